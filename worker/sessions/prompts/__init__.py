"""Prompts of one session on their way into its blocks."""
