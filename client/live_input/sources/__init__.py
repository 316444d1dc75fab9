"""What is live: cameras, screens, network streams and pipes, opened, watched and opened again."""
