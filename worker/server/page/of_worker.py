"""What the page is told about a worker with its backend."""

from __future__ import annotations

from typing import Any

from framewire.worker.backends.base import Backend, Defaults
from framewire.worker.config import Config

from .description import SIZES, Description, suggestions

_TEXT_NEEDS_INPUT = "this worker batches the steps of live input, so it needs input"


def described(config: Config, backend: Backend) -> Description:
    """A worker with this backend."""
    defaults = backend.defaults
    return Description(
        alias=config.alias,
        preset=backend.name,
        auth=config.auth == "jwt",
        defaults=wire_defaults(defaults),
        multiple=defaults.multiple,
        first_block_frames=defaults.first_block_frames,
        block_frames=defaults.block_frames,
        fps=defaults.fps,
        sizes=_sizes(defaults),
        unhonoured=dict.fromkeys(("text", "image"), _TEXT_NEEDS_INPUT)
        if defaults.needs_input
        else {},
        expands=bool(config.expansion_url),
        loras=defaults.loras,
        prompt_switches=defaults.prompt_switches,
        **suggestions(backend.name),
    )


def wire_defaults(defaults: Defaults) -> dict[str, Any]:
    """The defaults that the page shows, by their keys on the wire."""
    keys = ("width", "height", "num_blocks", "num_denoising_steps", "strength", "interp_steps")
    return {key: getattr(defaults, key) for key in keys}


def _sizes(defaults: Defaults) -> tuple[tuple[int, int], ...]:
    own = (defaults.width, defaults.height)
    return (own, *(size for size in SIZES if size != own))
