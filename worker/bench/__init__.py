"""`framewire-worker bench`: what things cost on this machine. Nothing else imports it."""
