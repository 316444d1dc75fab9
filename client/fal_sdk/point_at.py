"""The URL constants of `fal_client`, set to a worker's. Loads it when asked to, not before."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from types import ModuleType
from urllib.parse import urlsplit

_FALS_OWN = "fal.run"


def point_at(url: str | None = None) -> None:
    """Let every client of `fal_client` in this process call a worker instead of fal.

    Runs, queue, streams, realtime, tokens and uploads go there from then on, also those of clients
    that are there already. A key is still needed: `FAL_KEY`, which a worker without `--auth jwt`
    does not look at.

    Args:
        url: the worker's, such as `http://127.0.0.1:8000`; None for that of `FAL_RUN_HOST`, which
            `framewire-worker env` sets.

    Raises:
        ValueError: there is no such URL.
        RuntimeError: this `fal_client` keeps its URLs elsewhere.
        ModuleNotFoundError: it is not installed.
    """
    client = importlib.import_module("fal_client.client")
    _set(client, _constants(url or _from_environment(client)))


@contextmanager
def pointed_at(url: str | None = None) -> Iterator[None]:
    """`point_at` for as long as the block lasts, as in a test."""
    client = importlib.import_module("fal_client.client")
    constants = _constants(url or _from_environment(client))
    before = {name: getattr(client, name, "") for name in constants}
    _set(client, constants)
    try:
        yield
    finally:
        _set(client, before)


def _from_environment(client: ModuleType) -> str:
    host: str = client.FAL_RUN_HOST
    if host == _FALS_OWN:
        raise ValueError(
            "no worker is named: give its URL, or set FAL_RUN_HOST as framewire-worker env does"
        )
    return f"https://{host}"


def _constants(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise ValueError(f"{url!r} is no URL of a worker, such as http://127.0.0.1:8000")
    base, secure = f"{parts.scheme}://{parts.netloc}", parts.scheme == "https"
    return {
        "RUN_URL_FORMAT": f"{base}/",
        "QUEUE_URL_FORMAT": f"{base}/queue/",
        "REALTIME_URL_FORMAT": f"{'wss' if secure else 'ws'}://{parts.netloc}/",
        "REST_URL": base,
        "CDN_URL": base,
    }


def _set(client: ModuleType, constants: Mapping[str, str]) -> None:
    missing = [name for name in constants if not isinstance(getattr(client, name, None), str)]
    if missing:
        raise RuntimeError(f"fal_client {version('fal-client')} has no {', '.join(missing)} to set")
    for name, value in constants.items():
        setattr(client, name, value)
