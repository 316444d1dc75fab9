"""How much a caller may hold before it has said a word: sockets, handshakes, half messages."""
