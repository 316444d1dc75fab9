"""Options that name a file, as `argparse` reads them."""

from __future__ import annotations

import argparse

from framewire.client.live_input.sources.naming import HALF_URL, shown


def file_name(text: str) -> str:
    """Refuse an address, which would be made the name of a file, password and all.

    Raises:
        argparse.ArgumentTypeError: it is one.
    """
    if "://" in text or HALF_URL.match(text):
        raise argparse.ArgumentTypeError(f"{shown(text)}: an address, where a file is to be named")
    return text
