"""Ports for servers that a test starts later, or again: found free, and free until then."""

import random
import socket

NOT_EPHEMERAL = range(20_000, 30_000)
"""No outgoing connection is given one of these, and no server that takes any: else somebody would
have it while its server is dead or not there yet."""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of loopback that nobody has."""
    while True:
        port = random.choice(NOT_EPHEMERAL)
        with socket.socket(socket.AF_INET, kind) as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
