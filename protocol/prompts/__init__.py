"""Prompts: how several are shown at once, and some to begin with."""
