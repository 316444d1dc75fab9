"""The inside of a `DecodingProcess`: bounds itself, opens one file, answers until nobody asks.

Knows no kind of file: the modules that run as such a process say how one is opened.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np

from framewire.worker.backends.base import Picture

from .decoding_process import HEAD

MEMORY = 4 << 30
"""Bytes of address space: more than any file needs that is within the bounds."""
_NICE = 10

Take = Callable[..., Sequence[Picture]]


def serve(opened: Callable[..., Take], refusals: type[Exception]) -> None:
    """Answer on standard output what standard input asks; returns at its end.

    Args:
        opened: called with the file's bytes and what is known about it; what it returns is called
            for each question with the keys of that. Its `left_out`, if it has one, is how many
            pictures could not be decoded so far.
        refusals: what both raise where the file is at fault.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    _bound(int(sys.argv[1]))
    take: Take | None = None
    pictures: Sequence[Picture]
    while (asked := _read(sys.stdin.buffer)) is not None:
        request, data = asked
        try:
            if take is None:
                take, pictures = opened(data, **request), []
            else:
                pictures = take(**request)
        except refusals as error:
            _answer(answers, refused=str(error))
        except MemoryError:
            _answer(answers, refused="decoding it takes more memory than it may")
        except Exception as error:  # noqa: BLE001 a decoder's, on what is hostile
            _answer(answers, refused=f"it cannot be decoded ({type(error).__name__})")
        else:
            shape = pictures[0].shape if pictures else ()
            left_out = getattr(take, "left_out", 0)
            _answer(answers, pictures, count=len(pictures), shape=shape, left_out=left_out)


def _bound(seconds: int) -> None:
    with suppress(ImportError, OSError, ValueError, AttributeError):  # where there are no limits
        import resource

        os.nice(_NICE)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _read(pipe: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    head = pipe.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    about, size = HEAD.unpack(head)
    return json.loads(pipe.read(about)), pipe.read(size)


def _answer(pipe: BinaryIO, pictures: Sequence[Picture] = (), **about: Any) -> None:
    said = json.dumps(about).encode()
    pipe.write(HEAD.pack(len(said), pictures[0].nbytes if pictures else 0) + said)
    pipe.writelines(np.ascontiguousarray(picture).data for picture in pictures)
    pipe.flush()
