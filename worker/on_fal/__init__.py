"""The worker as a fal app."""
