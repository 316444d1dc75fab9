"""What is live, for tests: numbered pictures, and FFmpeg and others that send them on loopback."""
