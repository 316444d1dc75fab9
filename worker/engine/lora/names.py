"""What a name in an adapter's file means: which layer of the transformer, and which part of a change.

Knows diffusers' names, PEFT's, and those of Kohya, musubi-tuner and ComfyUI, over Wan's original
layer names or diffusers'. Reads no file.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.network.weights import BLOCK_NAMES, TOP_NAMES, diffusers_name

Part = Literal["down", "up", "alpha", "weight", "bias"]
"""Of a low-rank pair its matrices and the number that it is scaled by; or what is added as it is."""

_PREFIXES = (
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "model.",
    "_fsdp_wrapped_module.",
)
_PAIR = re.compile(r"(.+)\.(?:lora_(A|B|down|up)|lora\.(down|up))(?:\.\w+)?\.weight")
_OTHERS = {".alpha": "alpha", ".diff": "weight", ".diff_b": "bias"}
_UNDERSCORED = "lora_unet_"
_KINDS = {
    "hada_": "LoHa",
    "lokr_": "LoKr",
    "oft_": "OFT",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    ".set_weight": "a set of whole weights",
}
_TEXT_ENCODER = ("lora_te", "text_encoder.", "conditioner.")


class Named(NamedTuple):
    """One entry of a file.

    Attributes:
        layer: in diffusers' words, such as `blocks.0.attn1.to_q`.
    """

    layer: str
    part: Part


def understood(name: str, source: str) -> Named:
    """What one name of an adapter's file means.

    Args:
        source: the file, for the error.

    Raises:
        CheckpointError: it is of another kind of adapter, or of no layer of a Wan transformer.
    """
    for mark, kind in _KINDS.items():
        if mark in name:
            raise CheckpointError(f"{source}: {name} is of {kind}; only LoRA can be read")
    if name.startswith(_TEXT_ENCODER):
        raise CheckpointError(
            f"{source}: {name} changes a text encoder; only a transformer's adapters can be read"
        )
    pair = _PAIR.fullmatch(name)
    if pair is not None:
        side = pair[2] or pair[3]
        return Named(_layer(pair[1], source), "down" if side in ("A", "down") else "up")
    for ending, part in _OTHERS.items():
        if name.endswith(ending):
            return Named(_layer(name.removesuffix(ending), source), part)  # type: ignore[arg-type]
    raise CheckpointError(f"{source}: {name} is no part of a LoRA")


def _layer(stem: str, source: str) -> str:
    if stem.startswith(_UNDERSCORED):
        return _of_underscored(stem, source)
    shortened = stem
    while True:
        prefix = next((p for p in _PREFIXES if shortened.startswith(p)), None)
        if prefix is None:
            break
        shortened = shortened.removeprefix(prefix)
    try:
        if shortened.endswith(".modulation"):
            return diffusers_name(shortened)
        return diffusers_name(f"{shortened}.weight").removesuffix(".weight")
    except CheckpointError:
        raise _unknown(stem, source) from None


def _of_underscored(stem: str, source: str) -> str:
    """Kohya's names have lost their dots, so they are looked up among all that there are."""
    rest = stem.removeprefix(_UNDERSCORED)
    in_block = re.fullmatch(r"blocks_(\d+)_(.+)", rest)
    table = _BLOCK_UNDERSCORED if in_block else _TOP_UNDERSCORED
    found = table.get(in_block[2] if in_block else rest)
    if found is None:
        raise _unknown(stem, source)
    return f"blocks.{in_block[1]}.{found}" if in_block else found


def _unknown(stem: str, source: str) -> CheckpointError:
    return CheckpointError(
        f"{source}: {stem} is no layer of a Wan2.1 text-to-video transformer: "
        "this adapter is for another model"
    )


def _underscored(names: dict[str, str]) -> dict[str, str]:
    both = {**names, **{name: name for name in names.values()}}
    return {name.replace(".", "_"): known for name, known in both.items()}


_BLOCK_UNDERSCORED = _underscored(BLOCK_NAMES)
_TOP_UNDERSCORED = _underscored(TOP_NAMES)
