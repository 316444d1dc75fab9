"""A file of authorities that OpenSSL and node read: those trusted so far, and one certificate more.

Variables such as SSL_CERT_FILE replace what a program trusts, so the file has to hold all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import certifi

BUNDLE = "trusted.pem"
_BEFORE = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")


def bundle(folder: Path, certificate: Path, environ: Mapping[str, str]) -> Path:
    """Write `trusted.pem` in `folder`: certifi's roots, those that `environ` names, `certificate`.

    Where `environ` names that very file, what it held stays.

    Raises:
        OSError: a file cannot be read or written.
    """
    path = folder / BUNDLE
    named = [Path(environ[name]) for name in _BEFORE if environ.get(name)]
    parts = [Path(certifi.where()), *filter(Path.is_file, named)]
    blocks: dict[str, None] = {}
    for part in (*parts, certificate):
        blocks |= dict.fromkeys(_certificates(part.read_text("utf-8", "replace")))
    text = "\n".join(blocks) + "\n"
    if not path.is_file() or path.read_text("ascii") != text:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        half = path.with_suffix(".part")
        half.write_text(text, "ascii")
        half.replace(path)
    return path


def _certificates(pem: str) -> list[str]:
    """The blocks of a PEM file, without what stands between them."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    pieces = pem.split(begin)[1:]
    return [f"{begin}{piece.partition(end)[0]}{end}" for piece in pieces if end in piece]
