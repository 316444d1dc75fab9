"""Running the passes of one stream: at a place in its cache, recorded where that helps.

What every pass of a stream shares (its text, its rotary table, who watches and times it) is here;
where a block stands is the context's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from framewire.worker.engine.interfaces import PassTrace, StageTimer
from framewire.worker.engine.network.graphs import BlockGraphs
from framewire.worker.engine.network.kv_cache import TextCache
from framewire.worker.engine.network.rope import Rope
from framewire.worker.engine.network.scratch import Scratch
from framewire.worker.engine.network.transformer import CausalTransformer, Modulation
from framewire.worker.engine.schedule import DenoisingStep, Schedule

from .passes import PassInputs, PassObserver, Place, denoise, write_context
from .plan import BlockPlan, Planner
from .prompt_ramp import PromptRamp


@dataclass
class BlockRunner:
    """Passes of one stream.

    Attributes:
        rope: the table of every position that a frame can have.
        records: where device work is recorded and replayed, if anywhere.
        block: the index of the block that is being made.
    """

    scratch: Scratch
    transformer: CausalTransformer
    planner: Planner
    ramp: PromptRamp
    rope: Rope
    timer: StageTimer
    trace: PassTrace | None = None
    records: BlockGraphs | None = None
    block: int = 0

    def write_context(self, place: Place, latents: Tensor, kind: str = "context") -> None:
        """Bring clean latents [F, C, h, w] into the cache, by a pass at timestep 0.

        Args:
            kind: what a trace is told that it is.
        """
        inputs = self.inputs(place, latents.shape[0])
        modulation, sigma = self.planner.context_modulation, self.planner.loader.sigma(0.0)
        if self._records is None:
            observer = self.observer(kind, place.position)
            write_context(inputs, latents, modulation, sigma, observer)
            return

        slots = () if place.slots is None else (place.slots,)

        def work(latents: Tensor, cos: Tensor, sin: Tensor, *parts: Tensor) -> Tensor:
            given = parts[2] if slots else None
            here = replace(inputs, rope=(cos, sin), place=replace(place, slots=given))
            return write_context(here, latents, Modulation(*parts[:2]), sigma)

        key = ("context", place.window, bool(slots), inputs.addresses())
        self._records.run(key, work, (latents, *inputs.rope, *modulation, *slots))

    def denoise(
        self,
        place: Place,
        x: Tensor,
        noise: Tensor,
        plan: BlockPlan,
        between: Callable[[], bool] | None = None,
    ) -> Tensor:
        """All denoise passes on x [F, C, h, w]: its clean latents.

        Args:
            between: as of `Generation.denoise_block`; not for passes that are recorded.
        """
        inputs = self.inputs(place, x.shape[0])
        if self._records is None:
            observer = self.observer("denoise", place.position)
            return denoise(
                inputs,
                plan.schedule,
                x,
                noise,
                plan.modulations,
                timer=self.timer,
                observer=observer,
                newest_text=None if between is None else partial(self._newest_text, between),
            )
        given = {
            name: slots
            for name, slots in (("slots", place.slots), ("last_slots", place.last_slots))
            if slots is not None
        }
        again = tuple(step.next_sigma is not None for step in plan.schedule.steps)

        def work(
            x: Tensor,
            noise: Tensor,
            levels: Tensor,
            cos: Tensor,
            sin: Tensor,
            *parts: Tensor,
        ) -> Tensor:
            slots, parts = parts[: len(given)], parts[len(given) :]
            named: dict[str, Any] = dict(zip(given, slots, strict=True))
            here = replace(inputs, rope=(cos, sin), place=replace(place, **named))
            steps = [
                DenoisingStep(0.0, level[0], level[1] if more else None)
                for level, more in zip(levels, again, strict=True)
            ]
            pairs = zip(parts[::2], parts[1::2], strict=True)
            modulations = [Modulation(*pair) for pair in pairs]
            return denoise(here, Schedule(tuple(steps)), x, noise, modulations)

        levels = torch.tensor([[s.sigma, s.next_sigma or 0.0] for s in plan.schedule.steps])
        levels = levels.to(x.device, non_blocking=True)
        key = ("denoise", again, place.window, tuple(given), inputs.addresses())
        parts = [*given.values(), *(part for pair in plan.modulations for part in pair)]
        keep = None
        if place.last_slots is not None:  # which the first pass sees, and the last one overwrites
            keep = partial(place.cache.keeping, place.last_slots, inputs.rope[0].shape[0])
        with self.timer("denoise"):
            return self._records.run(key, work, (x, noise, levels, *inputs.rope, *parts), keep)

    def inputs(self, place: Place, frames: int) -> PassInputs:
        """What a pass of `frames` frames uses, in each row if it is a batch."""
        if place.positions:
            ropes = [self.rope.at(position, frames) for position in place.positions]
            rope = (torch.stack([cos for cos, _ in ropes]), torch.stack([sin for _, sin in ropes]))
        else:
            rope = self.rope.at(place.position, frames)
        text = self.scratch.text(self.ramp.current)
        return PassInputs(self.transformer, rope, text, place)

    def _newest_text(self, between: Callable[[], bool]) -> TextCache | None:
        """That of the ramp's next step, where `between` has begun a ramp."""
        return self.scratch.text(self.ramp.advance()) if between() else None

    def observer(self, kind: str, position: int) -> PassObserver | None:
        """Who is told of a pass, if anyone."""
        if self.trace is None:
            return None
        return partial(self.trace, kind, self.block, position)

    @property
    def _records(self) -> BlockGraphs | None:
        return self.records if self.trace is None else None
