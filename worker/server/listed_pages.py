"""What web pages of other origins may read: CORS, for those that the operator lists."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from .auth import Gate


def let_pages_read(app: FastAPI, gate: Gate) -> None:
    """Pages of the origins that are listed may read answers, refusals too, and no others may.

    Never with cookies, which mean nothing here. A page of this machine that is not listed may
    connect, as `Gate.check_browser` says, and reads nothing. Outermost, so that no refusal is
    hidden from a page.
    """
    app.add_middleware(
        CORSMiddleware,
        allow_origins=sorted(gate.origins),
        allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
        allow_headers=("*",),  # those that a page asks for are named to it
        expose_headers=(
            "Content-Disposition",
            "ETag",
            "Retry-After",
            "X-Fal-Error-Type",
            "X-Fal-Request-Id",
            "X-Fal-Request-Timeout-Type",
        ),
        allow_private_network=True,
    )
