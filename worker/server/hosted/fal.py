"""The app of fal's that is served here: its name, the key that opens it, and where fal is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from framewire.protocol import FAL_RUN_HOST, AppId
from framewire.worker.server.fal_proxy.targets import QUEUE_HOST, REST_HOSTS

REST_HOST = REST_HOSTS[0]
STORAGE_HOSTS = ("fal.media", "v3.fal.media", "v3b.fal.media")
"""Where uploads go and results lie; their URLs are signed, so they get no key."""
KEYED_HOSTS = (FAL_RUN_HOST, QUEUE_HOST, *REST_HOSTS)
HOSTS = (*KEYED_HOSTS, *STORAGE_HOSTS)


@dataclass(frozen=True, slots=True)
class Fal:
    """One app of fal's.

    Attributes:
        key: of the account that pays.
        elsewhere: origins that stand in for some of fal's hosts, by the host.
        socket_origin: where streams are.
    """

    app: AppId
    key: str = field(repr=False)
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    socket_origin: str = f"wss://{FAL_RUN_HOST}"

    @property
    def socket_url(self) -> str:
        """Where a browser connects; without a token."""
        return self.socket_origin + self.app.socket_path()

    def origin(self, host: str) -> str:
        """Of one of fal's hosts."""
        return self.elsewhere.get(host, f"https://{host}")

    @property
    def token_url(self) -> str:
        """Where a key becomes a token."""
        return f"{self.origin(REST_HOST)}/tokens/"
