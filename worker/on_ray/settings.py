"""What Ray Serve has to be told of a worker's settings, so that nothing is typed twice.

Knows Serve's names for things, and does not import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framewire.protocol import is_loopback
from framewire.worker.backends import choose, named
from framewire.worker.config import Config, ConfigError

PREFIX = "FRAMEWIRE_"
MIN_REPLICAS, MAX_REPLICAS = f"{PREFIX}RAY_MIN_REPLICAS", f"{PREFIX}RAY_MAX_REPLICAS"
_REPLICAS = (1, 4)
_TO_BE_REFUSED = 4
"""Sockets of a replica beyond its places and its line: each is told in words that it is full."""
_FULL = 0.8
"""Of the places of all replicas, the share in use beyond which another replica is started."""
_ROUTER = "framewire.worker.on_ray.router.FewestSockets"
_AFTER_GRACE = 5.0
"""Seconds that a replica has, beyond the worker's own grace, before Ray kills it."""


def settings_on_ray(environ: Mapping[str, str]) -> Config:
    """The settings of `FRAMEWIRE_*`, with defaults that fit many replicas behind one address.

    Raises:
        ConfigError: as on the local worker.
    """
    # Serve's proxy sends each request to whichever replica it likes, so that nobody would find a
    # queued one again; a line at one replica does not see the places of the others.
    defaults = {"FRAMEWIRE_PORT": "0", "FRAMEWIRE_JOBS": "0", "FRAMEWIRE_QUEUE": "2"}
    return Config.load({**defaults, **environ})


def serve_options(config: Config, environ: Mapping[str, str]) -> dict[str, Any]:
    """The options of the deployment.

    Raises:
        ConfigError: the numbers of replicas make no sense, or the backend is none.
    """
    least, most = _replicas(environ)
    places = config.max_sessions or 1
    return {
        # A socket that Serve does not hand on hangs, without a word; so all get through to a
        # replica, which says that it is full.
        "max_ongoing_requests": places + config.queue + _TO_BE_REFUSED,
        "max_queued_requests": -1,
        "graceful_shutdown_timeout_s": config.grace + _AFTER_GRACE,
        "graceful_shutdown_wait_loop_s": 0.5,
        "health_check_period_s": 5.0,
        "request_router_config": {"request_router_class": _ROUTER},
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": most,
            "initial_replicas": least,
            "target_ongoing_requests": max(0.5, places * _FULL),
            "upscale_delay_s": 5.0,
            "downscale_delay_s": 300.0,
        },
        "ray_actor_options": {"num_gpus": _gpus(config), "num_cpus": 1},
    }


def check_reach(config: Config, host: str) -> None:
    """Refuse a proxy that other machines can reach while anybody may connect.

    Raises:
        ConfigError: says what to change.
    """
    if config.auth == "none" and not is_loopback(host):
        raise ConfigError(
            f"Ray's proxy at {host} can be reached from other machines and auth is none: set "
            "FRAMEWIRE_AUTH=jwt with FRAMEWIRE_SECRET, or http_options' host to 127.0.0.1"
        )


def _gpus(config: Config) -> int:
    """GPUs of a replica: what its model is spread over; none where it runs on a CPU."""
    try:
        name = named(config.backend, config.model)
        if name == "auto":
            name = choose(name, config.model)[0].name
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if name.startswith(("testcard", "tiny")) or config.model.device.startswith("cpu"):
        return 0
    return max(config.model.num_gpus, config.model.device.count(",") + 1)


def _replicas(environ: Mapping[str, str]) -> tuple[int, int]:
    found = []
    for name, default in zip((MIN_REPLICAS, MAX_REPLICAS), _REPLICAS, strict=True):
        text = environ.get(name, "").strip()
        if text and not (text.isascii() and text.isdecimal() and len(text) < 7):
            raise ConfigError(f"{name} {text!r}: give a number of replicas")
        found.append(int(text) if text else default)
    least, most = found
    if not environ.get(MAX_REPLICAS):
        most = max(least, most)
    if most < 1:
        raise ConfigError(f"{MAX_REPLICAS} {most}: at least 1")
    if most < least:
        raise ConfigError(f"{MIN_REPLICAS} is {least} and {MAX_REPLICAS} {most}: the other way")
    return least, most
