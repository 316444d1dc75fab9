"""How a worker is set up: one frozen object, from the command line over the environment.

The only reader of the environment in the worker. Knows no server and no backend.
"""

from __future__ import annotations

import ipaddress
import math
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from framewire.protocol import AppId, is_loopback
from framewire.protocol.limits import MAX_FPS, MIN_FPS

from .allowed_hosts import AllowedHosts
from .engine.options import EngineOptions
from .engine.setting import check_settings, setting
from .models.setup import ModelSetup
from .naming import name_in_ids
from .settings import from_environment, made, values_of

AuthMode = Literal["none", "jwt", "platform"]
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FAL_NAMES = ("KEY", "KEY_ID", "KEY_SECRET", "API_KEY")
SECRET_BYTES = 32  # of an HS256 key (RFC 7518, 3.2)


class ConfigError(ValueError):
    """The settings cannot be served with; the message says what to change."""


def number_or_auto(text: str) -> int:
    """A number, or `auto` for 0.

    Raises:
        ValueError: neither.
    """
    return 0 if text == "auto" else int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything an operator can set; each is also `FRAMEWIRE_` + its name in capitals.

    Attributes:
        model: how the backends run a model; its settings are set by their own names.
        video_hosts: names, `*.example.com`, `*` for any public one, or networks such as
            10.0.0.0/8 for private addresses.
    """

    backend: str = setting("auto", "what makes the pictures: auto, testcard, tiny or wan")
    model: ModelSetup = field(default_factory=ModelSetup)
    fal: str = setting(
        "",
        "serve the page in front of this app of fal's, such as fal-ai/krea-wan-14b, without a "
        "model; needs FAL_KEY",
    )
    fal_key: str = setting("", "what pays at fal; better set as FAL_KEY", secret=True)
    host: str = setting("127.0.0.1", "address to bind; anything but loopback needs --auth")
    port: int = setting(8000, "port to bind; 0 takes a free one", least=0, most=65535)
    max_sessions: int = setting(
        4, "streams at once; auto: as many as memory has room for", least=0, read=number_or_auto
    )
    queue: int = setting(16, "streams that may wait for a place", least=0)
    max_connections: int = setting(256, "websockets at once")
    caller_sockets: int = setting(
        64, "sockets that one address may have open; 0: any number", least=0
    )
    caller_handshakes: int = setting(
        16, "of these, that have not asked for anything yet; 0: any number", least=0
    )
    caller_tokens: int = setting(
        30, "tokens that one address may ask for in a minute; 0: any number", least=0
    )
    caller_clips: int = setting(
        4, "clips that one address may have made at once; 0: any number", least=0
    )
    caller_expansions: int = setting(
        10, "prompts that one address may have expanded in a minute; 0: any number", least=0
    )
    forwarded_allow_ips: str = setting(
        "127.0.0.1",
        "proxies whose X-Forwarded-For and -Proto are believed: addresses and networks, "
        "comma-separated; * is any",
    )
    auth: AuthMode = setting(
        "none",
        "who may connect: none (loopback only), jwt, or platform (a gateway has checked)",
        choices=get_args(AuthMode),
    )
    secret: str = setting(
        "", "signs and verifies tokens; better set as FRAMEWIRE_SECRET", secret=True
    )
    key: str = setting("", "what POST /tokens/ asks for; better set as FRAMEWIRE_KEY", secret=True)
    alias: str = setting(
        "krea-wan-14b", "the app that tokens must allow and that /OWNER/ALIAS/ws names"
    )
    name: str = setting(
        "",
        "this worker's name, with which the ids of requests begin, for a balancer to route by; "
        "default: the machine's",
    )
    origins: str = setting(
        "", "browser origins whose pages may connect and read answers, comma-separated"
    )
    token_expiration: int = setting(300, "seconds that tokens of POST /api/fal live")
    grace: float = setting(30.0, "seconds that a drain may take")
    ready_timeout: float = setting(60.0, "seconds for params (or live pictures) to arrive")
    stall_timeout: float = setting(30.0, "seconds a viewer may go without reading")
    idle_timeout: float = setting(300.0, "seconds a completed session stays open")
    session_timeout: float = setting(3600.0, "seconds a session may last")
    queue_timeout: float = setting(5.0, "seconds to wait for a place without events")
    block_timeout: float = setting(120.0, "seconds one backend call may take")
    input_patience: float = setting(
        10.0, "seconds after which live input repeats its newest picture"
    )
    camera_wait: float = setting(
        1.0,
        "seconds that a stream with a start frame waits, after its first block, for live pictures",
        least=0,
    )
    input_megabytes: int = setting(
        1024, "megabytes of viewers' pictures that may wait, half of them for streams with a place"
    )
    pace: str = setting(
        "preset",
        "frames a second for web pages that ask for neither fps nor events: preset (the model's "
        "own rate), off, or a number",
    )
    jpeg_quality: int = setting(90, "quality of the frames, 1 to 100")
    jobs: int = setting(1000, "clips that may wait in the queue; 0: there is none", least=0)
    caller_jobs: int = setting(
        100, "of these, that one address may have waiting; 0: any number", least=0
    )
    job_megabytes: int = setting(2048, "megabytes of requests' bodies that wait, on disk", least=1)
    job_wait: float = setting(
        86_400.0, "seconds a clip may wait in the queue for its turn", least=1
    )
    clip_life: float = setting(3600.0, "seconds a finished clip can be fetched")
    clip_megabytes: int = setting(512, "megabytes of finished clips that are kept")
    upload_life: float = setting(86_400.0, "seconds an uploaded file is kept", least=1)
    upload_megabytes: int = setting(4096, "megabytes of uploaded files that are kept")
    upload_file_megabytes: int = setting(256, "megabytes that one uploaded file may have")
    max_uploads: int = setting(1000, "uploaded files that are kept")
    caller_uploads: int = setting(
        16, "uploads that one address may have under way; 0: any number", least=0
    )
    caller_upload_megabytes: int = setting(
        1024, "megabytes of one address's uploads that are kept; 0: any number", least=0
    )
    recording_megabytes: int = setting(
        1024, "megabytes of recordings that are kept, for clip_life; one has a quarter at most"
    )
    state_folder: str = setting(
        "",
        "folder of what a restart finds again, such as uploads; by default one for each port in "
        "~/.local/state/framewire, and with port 0 a temporary one",
    )
    video_hosts: str = setting(
        "", "hosts a video_url may name, comma-separated; none are fetched from otherwise"
    )
    video_megabytes: int = setting(64, "megabytes that an input video may have")
    expansion_url: str = setting(
        "", "OpenAI-compatible base URL that expands prompts, such as http://HOST/v1"
    )
    expansion_key: str = setting("", "its key; better set as FRAMEWIRE_EXPANSION_KEY", secret=True)
    allow_plaintext: bool = setting(
        False, "send expansion_key to another machine without TLS, where others can read it"
    )
    expansion_model: str = setting("", "the model to ask there")
    codec_threads: int = setting(
        2, "threads that encode frames; as many again decode what comes in", least=1
    )
    ssl_keyfile: str = setting("", "TLS key")
    ssl_certfile: str = setting("", "TLS certificate")
    self_signed: bool = setting(
        False, "serve TLS with a certificate for this machine, made at the first start and kept"
    )
    log_level: str = setting("info", "debug, info, warning or error")

    def __post_init__(self) -> None:
        try:
            check_settings(self)
            AllowedHosts(self.video_hosts)
            _page_fps(self.pace)
            _check_proxies(self.forwarded_allow_ips)
            _check_origins(self.origins)
        except ValueError as error:
            raise ConfigError(str(error)) from None
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
        if "/" in self.alias:
            raise ConfigError(f"alias {self.alias!r}: give the app's name alone, without its owner")
        self._check_fal()
        for name in ("key", "expansion_key", "fal_key"):
            if not (getattr(self, name).isascii() and getattr(self, name).isprintable()):
                raise ConfigError(f"{name} has a character that no header can carry")
        if self.expansion_key and not self.allow_plaintext and not _is_private(self.expansion_url):
            raise ConfigError(
                "expansion_key would go to another machine in clear: give an expansion_url with "
                "https://, or allow it with --allow-plaintext"
            )
        if bool(self.ssl_keyfile) != bool(self.ssl_certfile):
            raise ConfigError("--ssl-keyfile and --ssl-certfile go together")
        if self.self_signed and self.ssl_certfile:
            raise ConfigError(
                "--self-signed makes a certificate and --ssl-certfile names one: choose one of them"
            )

    def _check_fal(self) -> None:
        if not self.fal:
            return
        try:
            AppId.parse(self.fal)
        except ValueError as error:
            raise ConfigError(f"fal: {error}") from None
        if not self.fal_key or " " in self.fal_key:
            raise ConfigError(
                f"the page in front of {self.fal} needs a key of fal's: set FAL_KEY, bare, without "
                "'Key ' before it"
            )
        if self.auth == "platform":
            raise ConfigError(
                "--fal spends what FAL_KEY pays for, so it asks who calls itself: --auth jwt"
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the bound address."""
        return is_loopback(self.host)

    @property
    def name_in_ids(self) -> str:
        """This worker's name, as the ids begin with that it gives out."""
        return name_in_ids(self.name or socket.gethostname())

    @property
    def page_fps(self) -> float | None:
        """Frames a second for pages that name none; None for the preset's, 0 for no pace."""
        return _page_fps(self.pace)

    @classmethod
    def load(cls, environ: Mapping[str, str], **given: Any) -> Config:
        """Settings from the environment, overridden by what was `given` (None: not given).

        Raises:
            ConfigError: a value has the wrong type or cannot be served with.
        """
        given = {name: value for name, value in given.items() if value is not None}
        try:
            values = from_environment(cls, environ) | given
            if values.get("fal"):
                values = {"fal_key": _fal_key(environ)} | values
            config = made(cls, values)
            config = replace(config, model=replace(config.model, given=_options_of(values)))
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if "forwarded_allow_ips" in values and config.auth == "jwt" and not config.secret:
            raise ConfigError(
                "behind a proxy (forwarded_allow_ips) a key alone is not enough: each worker would "
                "sign with a secret of its own, and a token minted on one would not open the next; "
                "give all of them the same FRAMEWIRE_SECRET"
            )
        return config

    def shown(self) -> dict[str, Any]:
        """The settings by name, for a log: secrets say only whether they are set."""
        return values_of(self)


def _page_fps(text: str) -> float | None:
    if text in ("preset", "off"):
        return None if text == "preset" else 0.0
    try:
        fps = float(text)
    except ValueError:
        fps = math.nan
    if not (fps == 0 or MIN_FPS <= fps <= MAX_FPS):
        raise ValueError(
            f"pace {text!r}: give preset, off, or {MIN_FPS} to {MAX_FPS} frames a second"
        )
    return fps


def _fal_key(environ: Mapping[str, str]) -> str:
    """By the names that fal's own clients look for, in their order; empty where there is none."""
    found = {name: environ.get(f"FAL_{name}", "").strip() for name in _FAL_NAMES}
    pair = f"{found['KEY_ID']}:{found['KEY_SECRET']}"
    both = found["KEY_ID"] and found["KEY_SECRET"]
    return found["KEY"] or (pair if both else "") or found["API_KEY"]


def _options_of(values: Mapping[str, Any]) -> frozenset[str]:
    """The names of those that are the engine's options."""
    return frozenset(values.keys() & {entry.name for entry in fields(EngineOptions)})


def _is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent to `url`."""
    parts = urlsplit(url)
    return parts.scheme != "http" or is_loopback(parts.hostname)


def listed_origins(listed: str) -> frozenset[str]:
    """The origins of the setting."""
    return frozenset(filter(None, map(str.strip, listed.split(","))))


def _check_origins(listed: str) -> None:
    """Raises ValueError where one is not as a browser writes it, and so would never match."""
    for origin in listed_origins(listed):
        try:
            parts = urlsplit(origin)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ValueError(f"origins: {origin}: {error}") from None
        if not parts.scheme or not host:
            raise ValueError(f"origins: {origin!r}: write each as https://example.com")
        shown = f"[{host}]" if ":" in host else host
        right = f"{parts.scheme}://{shown}"
        if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
            right += f":{port}"
        if origin != right or "*" in host:
            hint = "no wildcards: list each" if "*" in host else f"a browser writes it {right}"
            raise ValueError(f"origins: {origin!r}: {hint}")


def _check_proxies(listed: str) -> None:
    """Raises ValueError where one is neither an address nor a network; a name would never match."""
    for proxy in [] if listed == "*" else filter(None, map(str.strip, listed.split(","))):
        try:
            ipaddress.ip_network(proxy)
        except ValueError as error:
            raise ValueError(f"forwarded_allow_ips: {error}") from None
