"""What a server may not do to its client: say nothing for ever, or send for ever."""
