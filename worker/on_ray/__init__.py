"""The worker behind Ray Serve."""
