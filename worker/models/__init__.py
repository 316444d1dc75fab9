"""The published weights of each preset: what they are, where they come from, what is here."""
