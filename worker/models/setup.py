"""How a model is to be run, as the operator says it. Plain values: loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.setting import check_settings, setting

SpeedName = Literal["faithful", "fast", "max"]


def separated(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSetup:
    """Settings of the backends that run a model.

    Attributes:
        preset: the model; empty leaves it to the backend.
        device: `auto` takes a GPU if there is one; else as torch calls it, such as `cuda:1`.
            Several with commas between them are ranks, as with `num_gpus`.
        num_gpus: ranks that share the transformer's work, each a GPU, or on a CPU a process.
        rank_timeout: of one pass of all ranks; what takes longer is lost.
        on_rank_loss: the streams end either way. `exit` ends the worker with status 1.
        dtype: of the transformer: `auto` is bfloat16 on a GPU and float32 on a CPU; of `tiny` it is
            float32, and the autoencoder's too.
        threads: fixed when the model is loaded, since on a CPU the bytes of frames depend on it.
        context: 0 leaves it to the preset; streams that ask for a number get theirs.
        speed: what is added to `options` where it proves itself on this machine.
        speed_timeout: of a part that hangs, and of a compiler that takes longer.
        options: of the engine, as it gets them.
        prompt_switches: where what a stream remembers is appended to.
        given: names of options that were set by hand, which `speed` leaves alone.
        lora: merged into the weights when they are loaded, or live.
        lora_live: costs a little in every pass.
        warm_sizes: what is warmed up before it listens, as 832x480,480x832; empty is the
            preset's own size.
        warm_on_demand: other sizes are compiled when they first come, while others wait; without
            it they are served uncompiled.
    """

    preset: str = setting("", "the model that wan runs; framewire-worker models lists them")
    device: str = setting("auto", "auto, or as torch calls it, such as cuda:1 or cuda:0,cuda:1")
    num_gpus: int = setting(
        1, "GPUs that share the work of each stream; with --device cpu, processes", least=1
    )
    rank_timeout: float = setting(
        60.0, "seconds that GPUs which share a stream may wait for each other", least=1
    )
    on_rank_loss: str = setting(
        "restart",
        "when one of several GPUs fails: restart them all, or exit",
        choices=("restart", "exit"),
    )
    dtype: str = setting("auto", "of the transformer: auto, bfloat16, float16 or float32")
    threads: int = setting(
        0, "CPU threads of the model; 0: one for tiny, else as many as torch takes", least=0
    )
    context: int = setting(
        0,
        "latent frames that a block sees before itself, where a stream asks for none: 6, 9 or 18 of "
        "self-forcing-1.3b and causal-forcing-1.3b, whose ceilings on an H200 are 77, 66 and 47 frames a second with TAEHV "
        "(39 with 18 and its own decoder); else as many as the preset has",
        least=0,
    )
    speed: SpeedName = setting(
        "faithful",
        "several switches at once, each left out where it fails on this machine: faithful as the "
        "reference; fast as that but for rounding (attention, projections, layouts, compile, CUDA "
        "graphs); max with what changes pictures (no pass at 0, TAEHV, fp8), and what it costs. "
        "A switch set by hand wins",
        choices=get_args(SpeedName),
    )
    speed_timeout: float = setting(
        300.0, "seconds that each part of --speed has to prove itself", least=1
    )
    options: EngineOptions = field(default_factory=EngineOptions)
    prompt_switches: str = setting(
        "",
        "what streams may ask for at a new prompt, comma-separated, the usual one first: blend, "
        "flush, recache; else what the preset says",
    )
    given: frozenset[str] = frozenset()
    lora: tuple[str, ...] = setting(
        (),
        "an adapter (LoRA): FILE[=STRENGTH], or a name on the hub that was pulled, or of tiny gold "
        "or stage; may be repeated",
        read=separated,
    )
    lora_live: bool = setting(
        False, "keep adapters beside the weights, so that streams can change their strengths"
    )
    warm_sizes: str = setting("", "sizes to warm up, such as 832x480,480x832; else the preset's")
    warm_on_demand: bool = setting(
        False, "compile other sizes when they first come, while others wait"
    )

    def __post_init__(self) -> None:
        """Refuse what no model can be run with."""
        check_settings(self)
        self.sizes((16, 16))
        if self.lora_live and (self.num_gpus > 1 or "," in self.device):
            raise ValueError("lora_live: streams on several GPUs have merged adapters only")
        if self.lora_live and not self.lora:
            raise ValueError("lora_live: there is no adapter to keep beside the weights; set lora")

    def sizes(self, default: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """The sizes to warm up, each (width, height).

        Raises:
            ValueError: one isn't of the form WIDTHxHEIGHT.
        """
        if not self.warm_sizes:
            return (default,)
        return tuple(parse_size(text) for text in self.warm_sizes.split(","))


def parse_size(text: str) -> tuple[int, int]:
    """`832x480` as (832, 480).

    Raises:
        ValueError: it isn't of that form, or no size that can be made.
    """
    width, _, height = text.strip().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"size {text!r}: expected WIDTHxHEIGHT, such as 832x480")
    if int(width) % 16 or int(height) % 16 or not int(width) or not int(height):
        raise ValueError(f"size {text!r}: width and height must be multiples of 16")
    return int(width), int(height)
