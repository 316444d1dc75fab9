"""What a page asks of prompts over HTTP."""
