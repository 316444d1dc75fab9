"""The streaming engine: torch only. Knows no socket, no message and no session."""
