"""What fal's hosts are called here: the path of the local route that means the same.

Pure: a URL is read, nothing is opened.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

RUN_HOST, QUEUE_HOST = "fal.run", "queue.fal.run"
REST_HOSTS = ("rest.fal.ai", "rest.alpha.fal.ai")
"""Both are in use: fal's clients of 2026 name the first, those before the second."""
_REST_PATHS = ("/tokens/", "/storage/")


class NoTarget(ValueError):
    """The URL names nothing that is answered here; the message says what is."""


def local_path(url: str) -> tuple[str, str]:
    """The path and the query of this worker's route for one of fal's URLs, as they are encoded.

    Runs keep their path, the queue's lies under `/queue`, tokens and storage keep theirs.

    Raises:
        NoTarget: another host, or none of these.
    """
    parts = _split(url)
    host, path = parts.hostname, parts.path
    names = path.strip("/").split("/")
    if host in (RUN_HOST, QUEUE_HOST) and len(names) >= 2 and all(names):
        return ("/queue" if host == QUEUE_HOST else "") + path, parts.query
    if host in REST_HOSTS and f"{path}/".startswith(_REST_PATHS):
        return path, parts.query
    raise NoTarget(
        f"Invalid request: {_shown(url)} is none of https://{RUN_HOST}/OWNER/APP/…, "
        f"https://{QUEUE_HOST}/OWNER/APP/…, https://{REST_HOSTS[0]}/tokens/ "
        f"and https://{REST_HOSTS[0]}/storage/…, which are answered here"
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        ours = parts.scheme == "https" and parts.port in (None, 443) and "@" not in parts.netloc
    except ValueError:
        ours = False
    if not (ours and url.isascii() and url.isprintable() and " " not in url):
        raise NoTarget(f"Invalid request: {_shown(url)} is no URL of fal's")
    return parts


def _shown(url: str) -> str:
    """Without the query, which may hold a token."""
    return ascii(url.partition("?")[0][:120])
