"""Better prompts: a short one expanded, and some to begin with."""
