"""The passes of a block over the transformer: one that writes its context, then those that denoise.

What a pass uses besides its latents is a `PassInputs`, which holds nothing of a stream, so that the
sampling loop can be recorded once and replayed for every stream of a size.
"""

from __future__ import annotations

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
class Place:
    """Where a pass stands.

    Attributes:
        window: where in `cache` its keys go, and what it sees.
        position: of its first frame in time.
        slots: where each layer and row writes instead, int64 [layers, batch]; the last of
            several passes at `last_slots`, if given.
        positions: of a batch of steps the position of each row, the newest block's first.
    """

    cache: KVCache
    window: Window
    position: int
    slots: Tensor | None = None
    last_slots: Tensor | None = None
    positions: tuple[int, ...] = ()


@dataclass(frozen=True)
class PassInputs:
    """What a pass uses besides its latents: the network, the prompt, and where it stands.

    Attributes:
        rope: cosines and sines of the pass's tokens.
    """

    transformer: CausalTransformer
    rope: tuple[Tensor, Tensor]
    text: TextCache
    place: Place

    def addresses(self) -> tuple[int, ...]:
        """Where the memory lies: work on other addresses is other work."""
        keys, text = self.place.cache.layers[0][0], self.text.layers[0][0]
        return (keys.data_ptr(), text.data_ptr())

    def flow(self, x: Tensor, modulation: Modulation) -> Tensor:
        """The predicted flow of x [F, C, h, w]."""
        return self.flow_of_batch(x[None], modulation)[0]

    def flow_of_batch(self, x: Tensor, modulation: Modulation) -> Tensor:
        """The predicted flow of x [B, F, C, h, w], a row a block."""
        place = self.place
        return self.transformer.forward(
            x, modulation, self.rope, place.cache, self.text, place.window, place.slots
        )


def write_context(
    inputs: PassInputs,
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
        observer(0.0, latents, clean_latents(latents, inputs.flow(latents, modulation), sigma))
    else:
        place = inputs.place
        inputs.transformer.write_context(
            latents[None],
            modulation,
            inputs.rope,
            place.cache,
            inputs.text,
            place.window,
            place.slots,
        )
    return latents


def denoise(
    inputs: PassInputs,
    schedule: Schedule,
    x: Tensor,
    noise: Tensor,
    modulations: Sequence[Modulation],
    *,
    timer: StageTimer = untimed,
    observer: PassObserver | None = None,
    newest_text: Callable[[], TextCache | None] | None = None,
) -> Tensor:
    """All denoise passes on x [F, C, h, w]: its clean latents.

    Args:
        noise: the block's draws; x is made from the first, the k-th follows the k-th pass.
        modulations: one a step of `schedule`.
        newest_text: asked between two passes; what it returns takes the place of the inputs' text.
    """
    clean, last = x, len(schedule.steps) - 1
    for index, (step, modulation) in enumerate(zip(schedule.steps, modulations, strict=True)):
        if index and newest_text is not None and (text := newest_text()) is not None:
            inputs = replace(inputs, text=text)
        place = inputs.place
        if 0 < index == last and place.last_slots is not None:
            inputs = replace(inputs, place=replace(place, slots=place.last_slots))
        with timer("denoise"):
            clean = clean_latents(x, inputs.flow(x, modulation), step.sigma)
            if observer is not None:
                observer(step.timestep, x, clean)
            if step.next_sigma is not None:
                x = add_noise(clean, noise[index + 1], step.next_sigma)
    return clean
