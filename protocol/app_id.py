"""How fal names an app, and where its hosted apps are."""

from __future__ import annotations

import re
from dataclasses import dataclass

FAL_RUN_HOST = "fal.run"
FAL_TOKEN_URL = "https://rest.fal.ai/tokens/"
_APP_ID = re.compile(r"[\w.-]+/[\w.-]+(/[\w./-]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class AppId:
    """One app.

    Attributes:
        owner: whose it is, such as `fal-ai`.
        alias: its name, which tokens are minted for.
        path: of a route within it, without slashes around; may be empty.
    """

    owner: str
    alias: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> AppId:
        """The app that is written `OWNER/ALIAS`, perhaps with a path.

        Raises:
            ValueError: it is not.
        """
        if not _APP_ID.fullmatch(text):
            raise ValueError(f"{text!r} is no app id: like fal-ai/krea-wan-14b")
        owner, alias, *path = text.strip("/").split("/")
        if {owner, alias, *path} & {".", ".."}:
            raise ValueError(f"{text!r} is no app id: . and .. are no names")
        return cls(owner, alias, "/".join(path))

    def __str__(self) -> str:
        return f"{self.owner}/{self.alias}"

    def socket_path(self) -> str:
        """Where its stream is on the host that runs it: `/ws` within it, if it names no path."""
        return f"/{self.owner}/{self.alias}/{self.path or 'ws'}"
