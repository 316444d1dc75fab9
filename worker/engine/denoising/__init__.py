"""From noise to clean latents: plan, passes and batches of denoising steps."""
