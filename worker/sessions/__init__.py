"""One viewer: the life of a session, its stream, what comes in and what goes out."""
