"""The passes of a block over the transformer: one that writes its context, then those that denoise.

Owns the sampling loop. What a pass uses besides its input is a `PassInputs`, which holds nothing
of a stream, so that the loop can be recorded once and replayed for every stream of a size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from framewire.worker.engine.interfaces import StageTimer, untimed
from framewire.worker.engine.network.kv_cache import KVCache, TextCache
from framewire.worker.engine.network.transformer import CausalTransformer, Modulation, Window
from framewire.worker.engine.schedule import Schedule, add_noise, clean_latents

PassObserver = Callable[[float, Tensor, Tensor], None]
"""Told each pass: its timestep, what went in and what it made clean."""


@dataclass(frozen=True)
class PassInputs:
    """The network and the memory that a pass works in.

    Attributes:
        rope: cosines and sines of the pass's tokens.
        slots: where each layer and lane writes its keys, if not where `window` says; the last
            of several passes at `last_slots`, if given.
    """

    transformer: CausalTransformer
    rope: tuple[Tensor, Tensor]
    cache: KVCache
    text: TextCache
    window: Window
    slots: Tensor | None = None
    last_slots: Tensor | None = None

    def addresses(self) -> tuple[int, ...]:
        """Where the memory lies: work on other addresses is other work."""
        keys, text = self.cache.layers[0][0], self.text.layers[0][0]
        return (keys.data_ptr(), text.data_ptr())

    def flow(self, x: Tensor, modulation: Modulation) -> Tensor:
        """The predicted flow of x [F, C, h, w]."""
        return self.flow_of_lanes(x[None], modulation)[0]

    def flow_of_lanes(self, x: Tensor, modulation: Modulation) -> Tensor:
        """The predicted flow of x [lanes, F, C, h, w]."""
        return self.transformer.forward(
            x, modulation, self.rope, self.cache, self.text, self.window, self.slots
        )


def write_context(
    at: PassInputs,
    latents: Tensor,
    modulation: Modulation,
    sigma: float,
    observer: PassObserver | None = None,
) -> Tensor:
    """Bring clean latents [F, C, h, w] into the cache; returns them.

    Args:
        sigma: the noise level of timestep 0.
        observer: if given, the pass runs whole, for what it would make clean.
    """
    if observer is not None:
        observer(0.0, latents, clean_latents(latents, at.flow(latents, modulation), sigma))
    else:
        at.transformer.write_context(
            latents[None], modulation, at.rope, at.cache, at.text, at.window
        )
    return latents


def denoise(
    at: PassInputs,
    schedule: Schedule,
    x: Tensor,
    noise: Tensor,
    modulations: Sequence[Modulation],
    *,
    timer: StageTimer = untimed,
    observer: PassObserver | None = None,
) -> Tensor:
    """All denoise passes on x [F, C, h, w]: its clean latents.

    Args:
        noise: the block's draws; x is made from the first, the k-th follows the k-th pass.
        modulations: one a step of `schedule`.
    """
    clean, last = x, len(schedule.steps) - 1
    for index, (step, modulation) in enumerate(zip(schedule.steps, modulations, strict=True)):
        if 0 < index == last and at.last_slots is not None:
            at = replace(at, slots=at.last_slots)
        with timer("denoise"):
            clean = clean_latents(x, at.flow(x, modulation), step.sigma)
            if observer is not None:
                observer(step.timestep, x, clean)
            if step.next_sigma is not None:
                x = add_noise(clean, noise[index + 1], step.next_sigma)
    return clean
