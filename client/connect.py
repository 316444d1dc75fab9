"""`connect`: from an address and credentials to a session. The one place where parts are chosen."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from types import TracebackType

from .address import Address, parse_address
from .credentials import Credentials, credentials_from_env, fal_run_host
from .events import Event, OnEvent, Reconnected, tell
from .inbox import Inbox, Policy
from .limits.due import FramesDue
from .opening import Opener
from .reconnect.policy import Reconnect, Redirect, policy_of
from .reconnect.wire import ReconnectingWire
from .session import Session
from .timeline.journal import Journal
from .tokens import token_source
from .wire import Wire

DEFAULT_EXPIRATION = 120
BUFFER_FRAMES = 24


class connect:
    """Connect to a worker or to fal's hosted endpoint.

    Use it as `async with connect(...) as session`, or `session = await connect(...)` and close
    the session yourself.

    Args:
        url_or_app: `ws://host:port/ws` (or http, https, wss; `host:port` will do), or a fal app id
            (`owner/alias`).

        key: becomes a token at fal's or the worker's `/tokens/`.
        token: a ready-made JWT.
        secret: shared with the worker; tokens are minted here. Without any of the three the
            environment is asked: `FAL_KEY` and its kin for fal, `FRAMEWIRE_TOKEN`,
            `FRAMEWIRE_KEY` or `FRAMEWIRE_SECRET` for workers.
        token_url: mint there instead.
        token_expiration: seconds that minted tokens live.
        headers: sent with the WebSocket request.
        allow_plaintext: send a key or token to another machine without TLS (`ws://`, `http://`),
            where others can read it. To this machine's loopback it may always go so.

        buffer: what happens to frames that arrive faster than they are read: `"wait"` slows
            the worker down, `"newest"` drops the oldest (counted in `session.dropped`).
        buffer_frames: how many frames may wait.
        on_event: called at once with each event: those of the worker for streams started with
            `events=True`, and `Reconnecting` and `Reconnected`.

        reconnect: True, or a `Reconnect`, opens another connection when one is lost in mid
            stream, with a fresh token, and asks for what is left of the stream with the latest
            values: the caller gets as many frames as it asked for. `num_blocks` left out is 20
            then, and a seed left out is chosen here. A clip (`input="all"`) is not resumed.

        journal: keeps what is said and heard, for `journal.timeline()`, which plays it again.
            Events have to be asked for (`events=True`) if it is to be exact.

        open_timeout: seconds for the WebSocket handshake.
        ready_timeout: seconds for the worker to be ready after it.
        first_frame_timeout: seconds of silence allowed after `start`; None for no limit.
        frame_timeout: seconds of silence allowed within a stream; None for no limit.
        close_timeout: seconds for closing.

    Raises:
        ConnectError: there is no connection to be had; AuthError, AddressError.
        ServerError: the server said no; CapacityError.
    """

    def __init__(
        self,
        url_or_app: str,
        *,
        key: str | None = None,
        token: str | None = None,
        secret: str | None = None,
        token_url: str | None = None,
        token_expiration: int = DEFAULT_EXPIRATION,
        headers: Mapping[str, str] | None = None,
        allow_plaintext: bool = False,
        buffer: Policy = "wait",
        buffer_frames: int = BUFFER_FRAMES,
        on_event: OnEvent | None = None,
        reconnect: bool | Reconnect = False,
        journal: Journal | None = None,
        open_timeout: float = 30.0,
        ready_timeout: float = 60.0,
        first_frame_timeout: float | None = 60.0,
        frame_timeout: float | None = 10.0,
        close_timeout: float = 5.0,
    ) -> None:
        self._url, self._headers = url_or_app, dict(headers or {})
        self._token_url = token_url
        self._expiration = token_expiration
        self._allow_plaintext = allow_plaintext
        self._credentials = {"key": key, "token": token, "secret": secret}
        self._new_opener = partial(
            Opener,
            open_timeout=open_timeout,
            ready_timeout=ready_timeout,
            close_timeout=close_timeout,
            allow_plaintext=allow_plaintext,
            on_event=on_event,
        )
        self._opener = self._aimed()
        self._policy = policy_of(reconnect)
        self._journal = journal
        self._new_inbox = partial(Inbox, buffer_frames, buffer)
        self._new_inbox()  # a buffer that cannot be is refused before anything is opened
        self._on_event = on_event
        self._patience = {
            "frame_timeout": frame_timeout,
            "first_frame_timeout": first_frame_timeout,
        }
        self._session: Session | None = None

    async def _open(self) -> Session:
        wire, patience, due = await self._listened_to(), self._patience, FramesDue()

        def told(event: Event) -> None:
            if isinstance(event, Reconnected):
                due.taken_over()
            tell(self._on_event, event)

        if self._policy is not None:
            wire = ReconnectingWire(
                wire,
                self._reopen,
                self._policy,
                on_event=told,
                on_left_out=None if self._journal is None else self._journal.leave_out,
                **patience,
            )
            patience = dict.fromkeys(patience)  # the wire looks after it
        return Session(
            wire,
            name=str(self._opener.address),
            inbox=self._new_inbox(),
            on_event=self._on_event,
            due=due,
            journal=self._journal,
            **patience,
        )

    def _aimed(self) -> Opener:
        address = parse_address(self._url, run_host=fal_run_host(), token_url=self._token_url)
        credentials = resolve_credentials(address, **self._credentials)
        tokens = token_source(
            address,
            credentials,
            expiration=self._expiration,
            allow_plaintext=self._allow_plaintext,
        )
        return self._new_opener(address, tokens, self._headers)

    async def _reopen(self, redirect: Redirect | None) -> Wire:
        if redirect is not None:
            self._url = self._url if redirect.url is None else redirect.url
            self._headers = self._headers if redirect.headers is None else dict(redirect.headers)
            self._opener = self._aimed()
        self._opener.tokens.refused()  # the next one is a fresh one
        return await self._listened_to()

    async def _listened_to(self) -> Wire:
        """Another connection."""
        wire = await self._opener()
        return wire if self._journal is None else self._journal.between(wire)

    def __await__(self) -> Generator[object, None, Session]:
        return self._open().__await__()

    async def __aenter__(self) -> Session:
        self._session = await self._open()
        return self._session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()


def resolve_credentials(
    address: Address, *, key: str | None, token: str | None, secret: str | None
) -> Credentials:
    """What the caller gave, or what the environment holds for this address."""
    given = Credentials(key=key, token=token, secret=secret)
    if given or address.has_token:
        return given
    return credentials_from_env(address)
