"""One connection of either role: messages in, typed events out, without I/O.

Holds the state and nothing else; the table is in `states`, the bytes in `codec`. A driver feeds
it what its socket delivers and puts on the socket what `send` returns.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError

from .codec import dump_text, pack_map, parse_text, unpack_map
from .errors import LocalProtocolError, RemoteProtocolError
from .limits import MAX_BLOCKS, MAX_REJECTIONS_IN_A_ROW, MAX_RETRY_AFTER
from .messages import (
    BlockDone,
    CloseCode,
    Completed,
    Error,
    ErrorCode,
    Frame,
    FromClient,
    FromWorker,
    Message,
    Queued,
    Ready,
    Started,
    Steered,
    Unknown,
    Warned,
)
from .params import Params, Steer
from .states import SENDER, TRANSITIONS, Role, State, kind_of

_JPEG_START = b"\xff\xd8"
_EVENTS: dict[str, type[Queued | Started | BlockDone | Steered | Warned]] = {
    "queued": Queued,
    "started": Started,
    "block": BlockDone,
    "steered": Steered,
    "warning": Warned,
}


class Connection:
    """The protocol of one socket, seen from `role`.

    Args:
        role: which side this program is.
        envelope: a worker's frames go out as msgpack maps (`fmt=msgpack`) instead of bare JPEGs.
    """

    def __init__(self, role: Role, *, envelope: bool = False) -> None:
        self.role = role
        self.envelope = envelope
        self.state = State.OPENING
        self._rejections = 0

    @property
    def exhausted(self) -> bool:
        """Whether so many messages in a row were refused that the socket should be closed."""
        return self._rejections >= MAX_REJECTIONS_IN_A_ROW

    def receive(self, data: bytes | str) -> Message:
        """The message in one WebSocket message from the peer.

        Raises:
            RemoteProtocolError: it breaks the protocol; its `reply` and `close_code` say what
                to answer. The connection can go on unless `close_code` is set.
        """
        if self.role is Role.WORKER:
            return self._receive_as_worker(data)
        message = _parse_from_worker(data)
        self._advance(message, RemoteProtocolError)
        return message

    def send(self, message: Message) -> bytes | str:
        """What to put on the socket: bytes for a BINARY message, str for TEXT.

        Raises:
            LocalProtocolError: this role or state does not allow the message.
        """
        if SENDER[kind_of(message)] is not self.role:
            raise LocalProtocolError(f"a {self.role.value} does not send {type(message).__name__}")
        if isinstance(message, Params | Steer):
            data: bytes | str = pack_map(message.wire())
        else:
            data = _encode_from_worker(message, self.envelope)
        self._advance(message, LocalProtocolError)
        if isinstance(message, Error) and not message.ends_session:
            self._rejections += 1
        return data

    def _receive_as_worker(self, data: bytes | str) -> FromClient:
        steers = self.state in (State.EARLY, State.STREAMING, State.FAILED)
        try:
            if isinstance(data, str):
                raise RemoteProtocolError("expected a BINARY msgpack map, got a TEXT message")
            values = unpack_map(data)
            steers = not self._starts(values)
            message = (Steer if steers else Params).model_validate(values)
        except RemoteProtocolError as error:
            raise self._rejection(ErrorCode.BAD_MESSAGE, error.reason, (), steers) from error
        except ValidationError as error:
            details = tuple(
                cast("dict[str, Any]", item)
                for item in error.errors(
                    include_url=False, include_context=False, include_input=False
                )
            )
            reason = "; ".join(_explain(item) for item in details)
            raise self._rejection(ErrorCode.BAD_PARAMS, reason, details, steers) from error
        self._advance(message, RemoteProtocolError)
        if isinstance(message, Steer):
            self._rejections = 0
        return message

    def _starts(self, values: dict[str, Any]) -> bool:
        """The wire does not tag its maps: whether one is params depends on the state."""
        if self.state is State.COMPLETED:
            restarts = values.get("action") == "reset"
            return "prompt" in values and "image" not in values and not restarts
        return self.state in (State.OPENING, State.READY)

    def _rejection(
        self, code: ErrorCode, reason: str, errors: tuple[dict[str, Any], ...], steers: bool
    ) -> RemoteProtocolError:
        """What a bad map gets: an answer where params are due, silence where it would steer."""
        if steers:
            return RemoteProtocolError(reason)
        last = self._rejections + 1 >= MAX_REJECTIONS_IN_A_ROW
        return RemoteProtocolError(
            reason,
            reply=Error(code=code, reason=reason, errors=errors),
            close_code=CloseCode.POLICY if last else None,
        )

    def _advance(
        self, message: Message, fault: type[LocalProtocolError | RemoteProtocolError]
    ) -> None:
        if isinstance(message, Frame | Completed):
            self._rejections = 0
        allowed = TRANSITIONS[self.state]
        kind = kind_of(message)
        if kind not in allowed:
            expected = ", ".join(sorted(k.value for k in allowed)) or "nothing but the close"
            raise fault(f"{kind.value} while {self.state.value}; expected {expected}")
        self.state = allowed[kind]


def _encode_from_worker(message: Message, envelope: bool) -> bytes | str:
    match message:
        case Frame():
            if not envelope:
                return message.jpeg
            return pack_map(
                {
                    "image": message.jpeg,
                    "request_id": message.request_id,
                    "index": message.index,
                    "block": message.block,
                    "prompt_version": message.prompt_version,
                }
            )
        case Error():
            error = list(message.errors) if message.errors else message.code
            said: dict[str, Any] = {"type": "x-fal-error", "error": error, "reason": message.reason}
            if message.retry_after is not None:
                said["retry_after"] = message.retry_after
            return dump_text(said)
        case Unknown():
            raise LocalProtocolError("an unknown message cannot be sent")
        case _:
            return dump_text(message.model_dump(mode="json", exclude_none=True))


def _parse_from_worker(data: bytes | str) -> FromWorker:
    if isinstance(data, bytes):
        if data.startswith(_JPEG_START):
            return Frame(jpeg=data)
        values = unpack_map(data)
        if isinstance(values.get("image"), bytes):
            return _parse_envelope(values)
    else:
        values = parse_text(data)
    try:
        return _parse_said(values)
    except ValidationError as error:
        raise RemoteProtocolError(f"malformed message from the server: {values!r:.200}") from error


def _parse_envelope(values: dict[str, Any]) -> Frame:
    def number(key: str) -> int | None:
        value = values.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        if not 0 <= value <= MAX_BLOCKS:
            raise RemoteProtocolError(f"a frame whose {key} is {value}")
        return value

    request_id = values.get("request_id")
    return Frame(
        jpeg=values["image"],
        index=number("index"),
        block=number("block"),
        request_id=request_id if isinstance(request_id, str) else None,
        prompt_version=number("prompt_version"),
    )


def _parse_said(values: dict[str, Any]) -> FromWorker:
    kind = values.get("type")
    if "error" in values:
        return _parse_error(values)
    if values.get("status") == "ready":
        return Ready.model_validate(values)
    if values.get("status") == "completed":
        return Completed.model_validate(values)
    if isinstance(kind, str) and kind in _EVENTS:
        return _EVENTS[kind].model_validate(values)
    return Unknown(values)


def _parse_error(values: dict[str, Any]) -> Error:
    """Our own shape, Krea's `{"error": [...]}`, and fal's gateway's `{"error": "..."}`."""
    error = values["error"]
    reason = values.get("reason")
    if isinstance(error, list):
        details = tuple(item for item in error if isinstance(item, dict))
        reason = reason or "; ".join(_explain(item) for item in details) or str(error)
        return Error(code=ErrorCode.BAD_PARAMS, reason=str(reason), errors=details)
    code = (error or "ERROR") if isinstance(error, str) else f"{error!r:.200}"
    if code.upper() in ErrorCode.__members__:
        code = code.upper()
    return Error(code=code, reason=str(reason or code), retry_after=_seconds(values))


def _seconds(values: dict[str, Any]) -> float | None:
    """When to come back; what is no such number says nothing."""
    value = values.get("retry_after")
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= MAX_RETRY_AFTER else None


def _explain(item: dict[str, Any]) -> str:
    loc = item.get("loc")
    where = ".".join(str(part) for part in loc) if isinstance(loc, list | tuple) else ""
    return f"{where or 'params'}: {item.get('msg', 'invalid')}"
