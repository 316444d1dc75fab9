"""What turns a session into blocks of frames. `base` is the seam; one file a backend."""
