"""framewire's async client."""
