"""`framewire-worker plan`: how many replicas an audience needs, and what they cost."""
