"""Where this machine's certificate lies."""

from __future__ import annotations

from pathlib import Path

SELF_SIGNED = "self-signed"
"""Its name in a state folder, where it may lie before a worker has taken that. Nobody's own files
are called so: what does not fit in it is replaced."""


def tls_folder(state_folder: str) -> Path:
    """`self-signed` in the operator's folder; without one it is of all workers of this user, at any port.

    It need not exist.

    Raises:
        ValueError: this user has no home folder.
    """
    try:
        chosen = state_folder or Path.home() / ".local" / "state" / "framewire"
        return Path(chosen).expanduser() / SELF_SIGNED
    except RuntimeError as error:
        raise ValueError(f"{error}: name a folder with --state-folder") from None
