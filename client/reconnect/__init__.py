"""A connection that is lost and found: when to try again, and what to say again."""
