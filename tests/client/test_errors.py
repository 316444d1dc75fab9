"""The exceptions: the tree that the docstring draws, and what each carries."""

import re
from collections.abc import Callable

import av
import pytest

from framewire.client import errors
from framewire.client.errors import FramewireError, ParamsError, WorkerStartError, error_from
from framewire.protocol import Error
from framewire.worker.clips import errors as clip_errors


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Readers plan their except clauses by it."""
    drawn: list[tuple[int, str]] = [
        (len(match[1]) // 4, match[2])
        for match in re.finditer(
            r"^([│├└─ ]*)(\w+Error|ConnectionLost)\b", errors.__doc__ or "", re.MULTILINE
        )
    ]
    path: list[str] = []
    for depth, name in drawn:
        path[depth:] = [name]
        parent = path[depth - 1] if depth else "Exception"
        assert getattr(errors, name).__base__.__name__ == parent
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, FramewireError)
    }
    assert {name for _, name in drawn} == defined


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("BAD_PARAMS", errors.ParamsError),
        ("BAD_MESSAGE", errors.ParamsError),
        ("UNAUTHORIZED", errors.AuthError),
        ("AT_CAPACITY", errors.CapacityError),
        ("TIMEOUT", errors.SessionTimeoutError),
        ("INTERNAL_ERROR", errors.WorkerFailedError),
        ("SOMETHING_ELSE", errors.ServerError),
    ],
)
def test_every_code_of_the_wire_has_its_exception(code: str, kind: type[FramewireError]) -> None:
    """With the server's code and reason in it."""
    error = error_from(Error(code=code, reason="because"))
    assert type(error) is kind
    assert (error.code, error.reason) == (code, "because")


def test_text_is_reason_and_hint() -> None:
    """What went wrong first, what to do in brackets."""
    assert str(errors.CapacityError("full")) == "full (try again later)"
    assert str(ParamsError("bad", hint="do this")) == "bad (do this)"
    assert str(ParamsError("bad")) == "bad"


def test_a_hint_that_the_server_gave_already_is_not_repeated() -> None:
    full = error_from(Error(code="AT_CAPACITY", reason="every place is taken: try again later"))
    assert str(full) == "every place is taken: try again later"
    assert str(error_from(Error(code="AT_CAPACITY", reason="full"))) == "full (try again later)"


@pytest.mark.parametrize("in_words", [errors.in_words, clip_errors.in_words])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-0x41444E49, "Invalid data found when processing input"),
        (-5, "Input/output error"),
        (-138, "FFmpeg failed and tells no reason (Error number -138 occurred)"),
    ],
)
def test_ffmpegs_numbers_never_come_without_words(
    in_words: Callable[[Exception], str], code: int, words: str
) -> None:
    """Nobody knows what 1094995529 is."""
    with pytest.raises(Exception) as caught:
        av.error.err_check(code, "x.mp4")
    assert in_words(caught.value) == words


@pytest.mark.parametrize("in_words", [errors.in_words, clip_errors.in_words])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("[Errno 5] it broke"), "it broke"),
        (ValueError("no such format"), "no such format"),
        (EOFError(), "EOFError"),
    ],
)
def test_failures_are_told_in_words(
    in_words: Callable[[Exception], str], error: Exception, words: str
) -> None:
    assert in_words(error) == words


@pytest.mark.parametrize("kind", [FramewireError, *FramewireError.__subclasses__()])
def test_no_error_takes_a_controls_or_a_book_of_a_peer_into_a_log(
    kind: type[FramewireError],
) -> None:
    error = kind("\x1b[2Ja\r\nINFO all is well\u202e" + "x" * 1_000_000)
    assert all(letter.isprintable() for letter in f"{error}{error.reason}")
    assert len(str(error)) < 3000
    code = error_from(Error(code="C\x9b" * 1000)).code
    assert code.isprintable() and len(code) < 100


def test_the_lines_of_a_worker_that_did_not_start_stay_lines() -> None:
    error = WorkerStartError("it ended:\n  Traceback\n  \x1b[2Jno", hint="")
    assert str(error).split("\n") == ["it ended:", "  Traceback", r"  \u001b[2Jno"]
