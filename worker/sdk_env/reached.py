"""Whether a worker answers where the SDKs are pointed, in words for who reads the terminal."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

_SECONDS = 2.0


def what_is_wrong(host: str, port: int, trusted: Path | None) -> str:
    """Why no SDK can call `https://host:port`, and what to do; empty where it can.

    Args:
        host: without brackets.
        trusted: a file of authorities; the system's where it is None.
    """
    try:
        with (
            socket.create_connection((host, port), _SECONDS) as plain,
            ssl.create_default_context(cafile=trusted).wrap_socket(plain, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return (
            f"what listens at {host}:{port} has another certificate ({error.verify_message}): "
            "name the path that it printed with --ssl-certfile"
        )
    except ssl.SSLError:
        return (
            f"what listens at {host}:{port} speaks no TLS, and the SDKs speak nothing else: "
            "start it with framewire-worker serve --self-signed"
        )
    except OSError as error:
        why = error.strerror or str(error)
        return (
            f"nothing answers at {host}:{port} yet ({why}): "
            "start framewire-worker serve --self-signed"
        )
