"""The worker behind Ray Serve: `serve run framewire.worker.on_ray.app:app`.

Each replica is one worker with the whole local server's app; README.md tells how. `app` is bound
when it is asked for, from the settings of that moment.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve.context import _get_global_client  # the only way to Serve's details from a replica

from framewire.protocol import escaped
from framewire.worker.backends import choose
from framewire.worker.config import ConfigError
from framewire.worker.runtime.worker import Worker
from framewire.worker.server.app import create_app
from framewire.worker.server.logs.plain_lines import PlainLines
from framewire.worker.server.logs.redact import RedactTokens

from .settings import (
    MAX_REPLICAS,
    MIN_REPLICAS,
    PREFIX,
    check_reach,
    serve_options,
    settings_on_ray,
)
from .stopping import until_stopping

logger = logging.getLogger("framewire.worker.on_ray")


class UnwellError(RuntimeError):
    """The backend hangs, or could not be loaded again: Serve puts another replica in its place."""


@serve.deployment(name="framewire")
@serve.ingress()
class Replica:
    """One worker.

    Args:
        environ: settings by the names of their variables.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        replica = serve.get_replica_context().replica_id.unique_id
        self._config = settings_on_ray({f"{PREFIX}NAME": replica, **environ})
        self._app: FastAPI | None = None

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The app of the local server, whose sessions end in words when Serve stops the replica."""
        config = self._config
        controller = _controller()
        check_reach(config, controller.http_config.host)
        logging.getLogger("framewire").setLevel(config.log_level.upper())
        for handler in logging.getLogger("ray.serve").handlers:
            handler.addFilter(RedactTokens())
            handler.addFilter(PlainLines())
            logging.getLogger("framewire").addHandler(handler)
        backend, why = choose(config.backend, config.model)
        logger.info("settings: %s", json.dumps(config.shown()))
        logger.info("backend %s: %s", backend.name, why)
        app = self._app = create_app(config, backend)
        inner = app.router.lifespan_context
        replica = serve.get_replica_context().replica_id.unique_id

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
            async with inner(app) as state:
                stopping = asyncio.create_task(_drain_when_stopped(app.state.worker))
                try:
                    yield state
                finally:
                    stopping.cancel()

        async def _drain_when_stopped(worker: Worker) -> None:
            await until_stopping(controller.get_serve_details, replica)
            logger.info("Serve stops this replica: draining %d sockets", len(worker.connections))
            await worker.drain()

        app.router.lifespan_context = lifespan
        return app

    def check_health(self) -> None:
        """Serve's question every few seconds.

        Raises:
            UnwellError: this replica will make no more frames.
        """
        worker: Worker | None = None
        if self._app is not None:
            worker = getattr(self._app.state, "worker", None)  # which starting up makes
        if worker is not None and (worker.lane.stuck or worker.mending.failed):
            raise UnwellError("the backend hangs or is broken")


def _controller() -> Any:
    """Serve's own client, which a replica has."""
    return _get_global_client()


def _bound() -> serve.Application:
    """The deployment with this process's `FRAMEWIRE_*`, which replicas elsewhere do not have."""
    given = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    options = serve_options(settings_on_ray(given), given)
    # A replica that is given other settings is replaced; its number is no reason for that.
    own = {name: value for name, value in given.items() if name not in (MIN_REPLICAS, MAX_REPLICAS)}
    deployment: Any = Replica
    application: serve.Application = deployment.options(**options).bind(own)
    return application


def __getattr__(name: str) -> serve.Application:
    """`app`; importing this module reads no setting.

    Raises:
        ConfigError: where Serve builds it on a cluster.
        SystemExit: where `serve run` does, before there is one: a line is enough there.
    """
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return _bound()
    except ConfigError as error:
        if ray.is_initialized():
            raise
        raise SystemExit(f"framewire.worker.on_ray: {escaped(str(error))}") from None
