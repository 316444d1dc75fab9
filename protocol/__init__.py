"""framewire's wire: fal's `krea-wan-14b` realtime protocol, without I/O.

Used by both sides and knowing neither. The document is README.md in this folder.
"""

from .app_id import FAL_RUN_HOST, FAL_TOKEN_URL, AppId
from .codec import dump_text, pack_map, parse_text, unpack_map
from .connection import Connection
from .errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from .escaping import escaped
from .limits import MAX_MESSAGE_BYTES, MAX_SEED
from .loopback import is_loopback
from .messages import (
    CLOSE_CODES,
    BlockDone,
    CloseCode,
    Completed,
    Error,
    ErrorCode,
    Event,
    Frame,
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
from .states import Role, State
from .tokens import (
    ALGORITHM,
    MAX_EXPIRATION,
    RealtimeTokenRequest,
    TokenRequest,
    claims,
    mint_headers,
    token_in,
    token_in_body,
)

__all__ = [
    "ALGORITHM",
    "CLOSE_CODES",
    "FAL_RUN_HOST",
    "FAL_TOKEN_URL",
    "MAX_EXPIRATION",
    "MAX_MESSAGE_BYTES",
    "MAX_SEED",
    "AppId",
    "BlockDone",
    "CloseCode",
    "Completed",
    "Connection",
    "Error",
    "ErrorCode",
    "Event",
    "Frame",
    "FromWorker",
    "LocalProtocolError",
    "Message",
    "Params",
    "ProtocolError",
    "Queued",
    "Ready",
    "RealtimeTokenRequest",
    "RemoteProtocolError",
    "Role",
    "Started",
    "State",
    "Steer",
    "Steered",
    "TokenRequest",
    "Unknown",
    "Warned",
    "claims",
    "dump_text",
    "escaped",
    "is_loopback",
    "mint_headers",
    "pack_map",
    "parse_text",
    "token_in",
    "token_in_body",
    "unpack_map",
]
