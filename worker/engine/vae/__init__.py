"""From latents to pictures and back: the streaming Wan VAE and TAEHV."""
