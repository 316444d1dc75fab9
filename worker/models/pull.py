"""Getting a preset's weights from the hub: whole, checked, and resumed where they were left.

huggingface_hub asks, authorises and streams; a file that is cut goes on from its last byte, also
in a later run, and counts as here only after its bytes were hashed. Loads no torch.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .catalogue import Entry, PublishedFile, gigabytes
from .hub_access import Token, http_library, is_private, origin, reach

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]{0,127}")
_CHUNK = 8 * 2**20
_ATTEMPTS = 5


class PullError(RuntimeError):
    """The weights could not be had; the message says why and what to do, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Where to get files and where to keep them.

    Attributes:
        endpoint: the hub's address; None leaves it to `HF_ENDPOINT`.
        cache_dir: None leaves it to `HF_HOME`.
        token: None leaves it to `HF_TOKEN` or the stored login.
        allow_plaintext: send the token to a hub without TLS, too.
        free_bytes: says how much room a folder's disk has.
        progress: a tqdm class for the bars; None takes huggingface_hub's.
    """

    endpoint: str | None = None
    cache_dir: Path | None = None
    token: Token = None
    allow_plaintext: bool = False
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    progress: type[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Remote:
    """A file as the hub tells of it.

    Attributes:
        url: where its bytes are: at the hub, or in the storage that it redirects to.
        token: for the hub.
    """

    file: PublishedFile
    hub_url: str
    url: str
    token: Token
    etag: str
    size: int
    blob: Path

    @property
    def part(self) -> Path:
        """Where its bytes gather until they are complete and checked."""
        return self.blob.with_name(f"{self.blob.name}.part")

    @property
    def held(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0


def pull(
    entry: Entry,
    files: Sequence[PublishedFile],
    hub: Hub,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Download `files` of `entry` into the hub's cache, those that are there already excepted.

    With an adapter comes the config that PEFT keeps beside it, where its repository has one.

    Args:
        say: told each step in a line.

    Raises:
        PullError: the hub, the network, the disk or the content stands in the way.
    """
    if entry.notice:
        say(f"{entry.preset}: {entry.notice}")
    wanted = [file for file in files if file.local(hub.cache_dir) is None]
    for file in wanted:
        if file.at:
            raise PullError(f"{file.at}: no such file: put it there, and pull again")
    configs = [one for file in files if (one := file.config) and not one.local(hub.cache_dir)]
    here = len(files) - len(wanted)
    if here:
        say(f"{entry.preset}: {here} of {len(files)} files are here already")
    token = _token(hub, say) if wanted or configs else False
    remotes = [_ask(file, hub, token) for file in wanted]
    for config in configs:
        if (remote := _ask_config(config, hub, token, say)) is not None:
            # Before its weights: without it these would be served, but at another strength.
            remotes.insert(0, remote)
    _check_room(remotes, hub)
    for remote in remotes:
        resumed = f", resumed at {gigabytes(remote.held)}" if remote.held else ""
        say(f"{remote.file.repo}/{remote.file.path} ({gigabytes(remote.size)}{resumed})")
        _fetch(remote, hub)
    say(f"{entry.preset}: complete")


def _token(hub: Hub, say: Callable[[str], None]) -> Token:
    """The token that the hub may see; none where others could read it on the way."""
    from huggingface_hub import constants, get_token

    endpoint = hub.endpoint or constants.ENDPOINT
    reach(endpoint)
    if hub.allow_plaintext or is_private(endpoint):
        return hub.token
    if hub.token or (hub.token is None and get_token()):
        say(
            f"{endpoint} has no TLS, so the token is not sent there: use https://, or "
            "--allow-plaintext"
        )
    return False


def _ask(file: PublishedFile, hub: Hub, token: Token) -> _Remote:
    """The file's address, size and hash, from the hub."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name

    url = hf_hub_url(file.repo, file.path, endpoint=hub.endpoint)
    with _plain_words(file):
        meta = get_hf_file_metadata(url, token=token, endpoint=hub.endpoint)
    if meta.etag is None or meta.size is None:
        raise PullError(f"{_name(file)}: the hub tells neither its size nor its hash")
    if not _FILE_NAME.fullmatch(meta.etag):
        raise PullError(f"{_name(file)}: the hub's hash of it, {meta.etag[:80]!r}, is none")
    cache = hub.cache_dir or Path(constants.HF_HUB_CACHE)
    folder = cache / repo_folder_name(repo_id=file.repo, repo_type="model")
    blob = folder / "blobs" / meta.etag
    return _Remote(file, url, meta.location, token, meta.etag, meta.size, blob)


def _ask_config(
    file: PublishedFile, hub: Hub, token: Token, say: Callable[[str], None]
) -> _Remote | None:
    """As of any file; None where the repository has no such file, or where asking is forbidden."""
    from huggingface_hub import errors

    try:
        return _ask(file, hub, token)
    except PullError as error:
        if isinstance(error.__cause__, errors.RemoteEntryNotFoundError):
            return None
        if isinstance(error.__cause__, errors.OfflineModeIsEnabled):
            say(f"{_name(file)}: not asked for, since HF_HUB_OFFLINE is set")
            return None
        raise


def _check_room(remotes: Sequence[_Remote], hub: Hub) -> None:
    """Refuse before the first byte what cannot fit."""
    if not remotes:
        return
    needed = sum(remote.size - remote.held for remote in remotes)
    folder = remotes[0].blob.parent
    folder.mkdir(parents=True, exist_ok=True)
    free = hub.free_bytes(folder)
    if needed > free:
        raise PullError(
            f"{gigabytes(needed)} to download, but the disk of {folder} has {gigabytes(free)} "
            "free: make room, or set HF_HOME to a folder on a larger disk"
        )


def _fetch(remote: _Remote, hub: Hub) -> None:
    from huggingface_hub import hf_hub_download

    file = remote.file
    remote.part.parent.mkdir(parents=True, exist_ok=True)
    if not remote.blob.exists():
        with _plain_words(file):
            _stream(remote, hub)
        _check_content(remote)
        remote.part.replace(remote.blob)
    with _plain_words(file):
        # The bytes are in their place: this names them in the cache and downloads nothing.
        hf_hub_download(
            file.repo,
            file.path,
            endpoint=hub.endpoint,
            cache_dir=hub.cache_dir,
            token=remote.token,
        )


def _stream(remote: _Remote, hub: Hub) -> None:
    """Append what is missing to the part file, trying again from where it was cut."""
    from huggingface_hub.file_download import http_get

    utils: Any = importlib.import_module("huggingface_hub.utils")

    at_hub = origin(remote.url) == origin(remote.hub_url)
    headers = utils.build_hf_headers(token=remote.token if at_hub else False)
    before = -1
    for _ in range(_ATTEMPTS):
        with remote.part.open("ab") as part:
            if remote.held > remote.size:
                part.truncate(0)
            try:
                http_get(
                    remote.url,
                    part,
                    resume_size=remote.held,
                    headers=headers,
                    expected_size=remote.size,
                    displayed_filename=remote.file.path,
                    tqdm_class=hub.progress,
                )
                return
            except http_library().TransportError:
                part.flush()
                if remote.held == before:
                    raise
                before = remote.held
    raise PullError(f"{_name(remote.file)}: cut {_ATTEMPTS} times; pull again to go on from there")


def _check_content(remote: _Remote) -> None:
    """Refuse bytes that aren't those that the hub, or the catalogue, says.

    The hub names large files by their SHA-256; small ones it names otherwise, and these are
    checked by their size, as the download does.
    """
    pinned = remote.file.sha256
    expected = {digest for digest in (pinned, remote.etag) if _SHA256.fullmatch(digest)}
    if not expected:
        return
    digest = hashlib.sha256()
    with remote.part.open("rb") as part:
        while chunk := part.read(_CHUNK):
            digest.update(chunk)
    if expected != {digest.hexdigest()}:
        remote.part.unlink()
        raise PullError(
            f"{_name(remote.file)}: its SHA-256 is {digest.hexdigest()[:12]}…, "
            f"but should be {' and '.join(f'{one[:12]}…' for one in sorted(expected))}: "
            "what was downloaded is deleted; pull again"
        )


@contextmanager
def _plain_words(file: PublishedFile) -> Iterator[None]:
    """What huggingface_hub and the system raise, as one line that says what to do."""
    from huggingface_hub import errors

    name = _name(file)
    try:
        yield
    except errors.GatedRepoError as error:
        raise PullError(
            f"{name}: gated: accept its licence at https://huggingface.co/{file.repo} "
            "and set HF_TOKEN to a token of that account"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise PullError(
            f"{name}: the hub knows no such repository, or it is private: set HF_TOKEN"
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise PullError(f"{name}: the repository has no such file any more") from error
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise PullError(
            f"{name}: not here, and HF_HUB_OFFLINE is set: unset it, or copy the hub's cache "
            "of another machine to HF_HOME"
        ) from error
    except errors.HfHubHTTPError as error:
        raise PullError(f"{name}: the hub answers {error.response.status_code}") from error
    except http_library().TransportError as error:
        raise PullError(
            f"{name}: the connection failed ({error}); pull again to go on from there"
        ) from error
    except ImportError as error:
        raise PullError(
            f"{name}: the proxy in the environment needs a package that is not installed: "
            f"{' '.join(str(error).split())}"
        ) from error
    except UnicodeEncodeError:
        raise PullError(
            f"{name}: the token has a character that no header can carry: copy it anew"
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise PullError(f"{name}: the disk is full; make room and pull again") from error
        raise PullError(f"{name}: {' '.join(str(error).split())}") from error


def _name(file: PublishedFile) -> str:
    return f"{file.repo}/{file.path}"
