"""Where this machine's certificate lies."""

from __future__ import annotations

from pathlib import Path


def tls_folder(state_folder: str) -> Path:
    """`tls` in the operator's folder; without one it is of all workers of this user, at any port.

    It need not exist.

    Raises:
        ValueError: this user has no home folder.
    """
    try:
        chosen = state_folder or Path.home() / ".local" / "state" / "framewire"
        return Path(chosen).expanduser() / "tls"
    except RuntimeError as error:
        raise ValueError(f"{error}: name a folder with --state-folder") from None
