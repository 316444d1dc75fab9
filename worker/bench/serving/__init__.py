"""`framewire-worker bench serving`: what it costs to get frames to viewers."""
