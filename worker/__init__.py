"""framewire's worker: the protocol in front of a model."""
