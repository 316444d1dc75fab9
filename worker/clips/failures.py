"""What the parts that make a clip raise, as the reasons that its caller is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from framewire.protocol.expansion import ExpansionError
from framewire.worker.backends.base import CapacityError, SettingsError
from framewire.worker.runtime.admission import Full
from framewire.worker.runtime.lane import LaneStuck
from framewire.worker.runtime.worker import Draining

from .decoding import VideoError
from .errors import (
    BackendHangs,
    ClipBusy,
    ClipNotWritten,
    ClipRefused,
    ClipTooLong,
    HelperFailed,
    NotInstalled,
    WorkerStopping,
)
from .video import ExtraMissing, WriteError, require_av

_CALLED = {"start_frame": "image_url"}
"""What a setting is called by those who ask for clips, where it has another name."""


@contextmanager
def failures_named() -> Iterator[None]:
    """In its block, every failure of a clip is a `ClipError`."""
    try:
        require_av()
        yield
    except SettingsError as error:
        raise ClipRefused(_CALLED.get(error.key, error.key), str(error)) from error
    except VideoError as error:
        raise ClipRefused("video_url", str(error)) from error
    except (Full, CapacityError) as error:
        raise ClipBusy(str(error)) from error
    except Draining as error:
        raise WorkerStopping("the worker is shutting down: ask again") from error
    except ExtraMissing as error:
        raise NotInstalled(str(error)) from error
    except ExpansionError as error:
        raise HelperFailed(str(error)) from error
    except LaneStuck as error:
        raise BackendHangs("the backend hangs") from error
    except WriteError as error:
        raise ClipNotWritten(str(error)) from error
    except TimeoutError as error:
        raise ClipTooLong("the clip took too long") from error
