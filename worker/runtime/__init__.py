"""What all sessions of one worker share."""
