"""How a worker is set up: one frozen object, from the command line over the environment.

The only reader of the environment in the worker. Knows no server and no backend.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from .allowed_hosts import AllowedHosts
from .models.setup import DecoderName, ModelSetup

AuthMode = Literal["none", "jwt", "platform"]
SECRET_BYTES = 32  # of an HS256 key (RFC 7518, 3.2)
ENV_PREFIX = "FRAMEWIRE_"
_SECRETS = ("secret", "key", "expansion_key")


class ConfigError(ValueError):
    """The settings cannot be served with; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything an operator can set; each field is also `FRAMEWIRE_` + its name in capitals.

    Attributes:
        backend: what makes the pictures; `auto` takes the best one that this machine can run.
        preset: the model, for backends that run one; from here to `warm_on_demand` see
            `models.setup.ModelSetup`.
        max_sessions: streams at once, 0 (or `auto`) for as many as memory has room for; `queue`
            more may wait for a place.
        auth: `none` (loopback only), `jwt`, or `platform` (a gateway has checked already).
        secret: signs and verifies tokens (HS256); `key` is what `POST /tokens/` asks for.
        alias: the app that tokens must allow and that `/{owner}/{alias}/ws` names.
        origins: browser origins that may connect besides loopback ones, comma-separated.
        grace: seconds that a drain may take.
        ready_timeout: seconds for params to arrive; the other time-outs are seconds as well.
        clip_life: seconds that a finished clip can be fetched; `clip_megabytes` of them are kept.
        video_hosts: hosts that a `video_url` may name, comma-separated: names, `*.example.com`,
            `*` for any public one, or networks such as 10.0.0.0/8 for private addresses.
        expansion_url: base URL of an OpenAI-compatible endpoint that expands prompts.
    """

    backend: str = "auto"
    preset: str = ""
    device: str = "auto"
    dtype: str = "auto"
    decoder: DecoderName = "wan"
    attention: str = "sdpa"
    compile: bool = False
    fp8: bool = False
    fuse_qkv: bool = False
    cuda_graph: bool = False
    skip_zero: bool = False
    context_every: int = 1
    sink_frames: int = 0
    batch_steps: bool = False
    warm_sizes: str = ""
    warm_on_demand: bool = False
    host: str = "127.0.0.1"
    port: int = 8000
    max_sessions: int = 4
    queue: int = 16
    max_connections: int = 256
    auth: AuthMode = "none"
    secret: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    alias: str = "krea-wan-14b"
    origins: str = ""
    token_expiration: int = 300
    grace: float = 30.0
    ready_timeout: float = 60.0
    stall_timeout: float = 30.0
    idle_timeout: float = 300.0
    session_timeout: float = 3600.0
    queue_timeout: float = 5.0
    block_timeout: float = 120.0
    input_patience: float = 10.0
    jpeg_quality: int = 90
    clip_life: float = 3600.0
    clip_megabytes: int = 512
    video_hosts: str = ""
    video_megabytes: int = 64
    expansion_url: str = ""
    expansion_key: str = field(default="", repr=False)
    expansion_model: str = ""
    codec_threads: int = 2
    ssl_keyfile: str = ""
    ssl_certfile: str = ""
    log_level: str = "info"

    def __post_init__(self) -> None:
        if self.auth not in get_args(AuthMode):
            raise ConfigError(f"auth {self.auth!r}: choose one of {', '.join(get_args(AuthMode))}")
        if not self.loopback and self.auth == "none":
            raise ConfigError(
                f"{self.host} can be reached from other machines and auth is none: "
                "add --auth jwt with --secret or --key, or bind --host 127.0.0.1"
            )
        if self.auth == "jwt" and not (self.secret or self.key):
            raise ConfigError(
                "auth jwt needs a secret that signs tokens (--secret) or a key that mints them "
                "(--key); set FRAMEWIRE_SECRET or FRAMEWIRE_KEY to keep it out of the process list"
            )
        if self.secret and len(self.secret.encode()) < SECRET_BYTES:
            raise ConfigError(
                f"a secret of {len(self.secret.encode())} bytes can be guessed from one token: use "
                f"{SECRET_BYTES} or more (python -c 'import secrets; print(secrets.token_hex())')"
            )
        try:
            AllowedHosts(self.video_hosts)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if bool(self.ssl_keyfile) != bool(self.ssl_certfile):
            raise ConfigError("--ssl-keyfile and --ssl-certfile go together")
        try:
            self.model_setup()
        except ValueError as error:
            raise ConfigError(str(error)) from None
        for name, least in (("port", 0), ("max_sessions", 0), ("queue", 0), ("codec_threads", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if self.port > 65535:
            raise ConfigError(f"port must be at most 65535, not {self.port}")

    def model_setup(self) -> ModelSetup:
        """What concerns the backends that run a model.

        Raises:
            ValueError: a value is out of range.
        """
        names = [entry.name for entry in fields(ModelSetup)]
        return ModelSetup(**{name: getattr(self, name) for name in names})

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the bound address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def load(cls, environ: Mapping[str, str], **given: Any) -> Config:
        """Settings from the environment, overridden by what was `given` (None: not given).

        Raises:
            ConfigError: a value has the wrong type or cannot be served with.
        """
        values: dict[str, Any] = {}
        for entry in fields(cls):
            text = environ.get(ENV_PREFIX + entry.name.upper())
            if text is not None:
                values[entry.name] = _parse(entry.name, type(entry.default), text)
        values.update({name: value for name, value in given.items() if value is not None})
        return cls(**values)

    def shown(self) -> dict[str, Any]:
        """The settings for a log: secrets say only whether they are set."""
        shown = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return shown | {name: "set" if shown[name] else "not set" for name in _SECRETS}


def parse_flag(text: str) -> bool:
    """A switch in words.

    Raises:
        ValueError: neither yes nor no.
    """
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(f"expected yes or no, got {text!r}")


def number_or_auto(text: str) -> int:
    """A number, or `auto` for 0.

    Raises:
        ValueError: neither.
    """
    return 0 if text == "auto" else int(text)


def parser_of(name: str, kind: type) -> Callable[[str], Any]:
    """What reads the setting `name` from text."""
    if kind is bool:
        return parse_flag
    return number_or_auto if name == "max_sessions" else kind


def _parse(name: str, kind: type, text: str) -> Any:
    try:
        return parser_of(name, kind)(text)
    except ValueError:
        expected = "yes or no" if kind is bool else kind.__name__
        raise ConfigError(
            f"{ENV_PREFIX}{name.upper()}: expected {expected}, got {text!r}"
        ) from None
