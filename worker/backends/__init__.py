"""What turns a session into blocks of frames. `base` is the seam; one file a backend."""

from __future__ import annotations

from framewire.worker.models.setup import ModelSetup

from .base import Backend

__all__ = ["NAMES", "Backend", "ModelSetup", "choose", "named"]

NAMES = ("testcard", "tiny", "wan")
_BEST = ("krea-realtime-14b", "tiny")
"""What `auto` would rather take, the best first."""


def choose(name: str, setup: ModelSetup | None = None) -> tuple[Backend, str]:
    """The backend called `name`, not yet loaded, and why it was chosen.

    Args:
        name: `auto`, one of `NAMES`, or a preset.
        setup: how a model is to be run; a preset in it names the backend as well.

    Raises:
        ValueError: there is no such backend, or this machine lacks what it needs; says in a line
            what, and what to run instead.
    """
    setup = setup or ModelSetup()
    wanted = named(name, setup)
    if wanted == "testcard":
        return _testcard(setup), "asked for"
    if wanted == "auto":
        return _best(setup)
    from .presets import ELSE, servable_presets

    preset = servable_presets()[wanted]
    missing = preset.missing(setup)
    if missing:
        raise ValueError(f"{wanted} lacks {missing}; without it: {ELSE}")
    return preset.make(setup), "asked for"


def named(name: str, setup: ModelSetup) -> str:
    """The preset that is asked for, or `testcard`, or `auto`; whether it can run is not looked at.

    Raises:
        ValueError: there is none of these names; says in a line what there is.
    """
    if name in ("auto", "testcard") and not setup.preset:
        return name
    from .presets import servable_presets

    presets = servable_presets()
    wanted = setup.preset or (name if name in presets else "")
    if name == "wan" and not wanted:
        raise ValueError(f"backend wan needs --preset: {', '.join(presets)}")
    if name not in ("auto", "wan", wanted) or not wanted:
        known = ", ".join(("auto", *NAMES))
        if name in NAMES:
            raise ValueError(
                f"backend {name} has no preset {setup.preset!r}: leave one of them out"
            )
        raise ValueError(f"no backend {name!r}: choose one of {known}")
    if wanted not in presets:
        raise ValueError(f"no preset {wanted!r}: choose one of {', '.join(presets)}")
    return wanted


def _best(setup: ModelSetup) -> tuple[Backend, str]:
    """The best preset that this machine can run, and what the better ones lack."""
    from .presets import servable_presets

    presets = servable_presets()
    passed_over: list[str] = []
    for name in _BEST:
        missing = presets[name].missing(setup)
        if not missing:
            why = "; ".join(["the best that runs here", *passed_over])
            return presets[name].make(setup), why
        passed_over.append(f"{name} lacks {missing}")
    return _testcard(setup), "; ".join(["it runs anywhere", *passed_over])


def _testcard(setup: ModelSetup) -> Backend:
    from .testcard import TestcardBackend

    if setup.lora:
        raise ValueError(
            f"lora {setup.lora[0]!r}: testcard has no weights to adapt: name a --preset"
        )
    return TestcardBackend()
