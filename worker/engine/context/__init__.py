"""What a block sees of the past: rebuilt, appended or in a ring."""
