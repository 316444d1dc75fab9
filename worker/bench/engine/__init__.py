"""`framewire-worker bench engine`: what the model costs on this device, stage by stage."""
