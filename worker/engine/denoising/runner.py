"""Running the passes of one stream: at a place in its cache, recorded where that helps.

Owns what every pass of a stream shares: its text, its rotary table, who watches and times it.
Knows neither which latents are context nor where a block is to stand; a `Place` says.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from framewire.worker.engine.interfaces import PassTrace, StageTimer
from framewire.worker.engine.network.graphs import BlockGraphs
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.network.rope import Rope
from framewire.worker.engine.network.transformer import Modulation, Window
from framewire.worker.engine.schedule import DenoisingStep, Schedule

from .passes import PassInputs, PassObserver, denoise, write_context
from .plan import BlockPlan, Planner
from .prompt_ramp import PromptRamp

if TYPE_CHECKING:
    from framewire.worker.engine.engine import Lane
    from framewire.worker.engine.network.transformer import CausalTransformer


@dataclass(frozen=True)
class Place:
    """Where a pass stands.

    Attributes:
        window: where in `cache` its keys go, and what it sees.
        position: of its first frame in time.
        slots: where each layer and lane writes instead, int64 [layers, lanes]; the last of
            several passes at `last_slots`, if given.
        lanes: of a batch of steps the position of each, the first one's first.
    """

    cache: KVCache
    window: Window
    position: int
    slots: Tensor | None = None
    last_slots: Tensor | None = None
    lanes: tuple[int, ...] = ()


@dataclass
class BlockRunner:
    """Passes of one stream.

    Attributes:
        rope: the table of every position that a frame can have.
        records: where device work is recorded and replayed, if anywhere.
        block: the index of the block that is being made.
    """

    lane: "Lane"
    transformer: "CausalTransformer"
    planner: Planner
    ramp: PromptRamp
    rope: Rope
    timer: StageTimer
    trace: PassTrace | None = None
    records: BlockGraphs | None = None
    block: int = 0

    def write_context(self, place: Place, latents: Tensor) -> None:
        """Bring clean latents [F, C, h, w] into the cache, by a pass at timestep 0."""
        at = self.surroundings(place, latents.shape[0])
        modulation, sigma = self.planner.context_modulation, self.planner.loader.sigma(0.0)
        if self._records is None:
            write_context(at, latents, modulation, sigma, self.observer("context", place.position))
            return

        def work(latents: Tensor, cos: Tensor, sin: Tensor, *parts: Tensor) -> Tensor:
            here = replace(at, rope=(cos, sin))
            return write_context(here, latents, Modulation(*parts), sigma)

        key = ("context", at.window, at.addresses())
        self._records.run(key, work, (latents, *at.rope, *modulation))

    def denoise(self, place: Place, x: Tensor, noise: Tensor, plan: BlockPlan) -> Tensor:
        """All denoise passes on x [F, C, h, w]: its clean latents."""
        at = self.surroundings(place, x.shape[0])
        if self._records is None:
            observer = self.observer("denoise", place.position)
            return denoise(
                at, plan.schedule, x, noise, plan.modulations, timer=self.timer, observer=observer
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
            here = replace(at, rope=(cos, sin), **named)
            steps = [
                DenoisingStep(0.0, level[0], level[1] if more else None)
                for level, more in zip(levels, again, strict=True)
            ]
            pairs = zip(parts[::2], parts[1::2], strict=True)
            modulations = [Modulation(*pair) for pair in pairs]
            return denoise(here, Schedule(tuple(steps)), x, noise, modulations)

        levels = torch.tensor([[s.sigma, s.next_sigma or 0.0] for s in plan.schedule.steps])
        levels = levels.to(x.device, non_blocking=True)
        key = ("denoise", again, at.window, tuple(given), at.addresses())
        parts = [*given.values(), *(part for pair in plan.modulations for part in pair)]
        keep = None
        if place.last_slots is not None:  # which the first pass sees, and the last one overwrites
            keep = partial(place.cache.keeping, place.last_slots, at.rope[0].shape[0])
        with self.timer("denoise"):
            return self._records.run(key, work, (x, noise, levels, *at.rope, *parts), keep)

    def surroundings(self, place: Place, frames: int) -> PassInputs:
        """The network and the memory around a pass of `frames` frames, in each lane if several."""
        if place.lanes:
            ropes = [self.rope.at(position, frames) for position in place.lanes]
            rope = (torch.stack([cos for cos, _ in ropes]), torch.stack([sin for _, sin in ropes]))
        else:
            rope = self.rope.at(place.position, frames)
        text = self.lane.text(self.ramp.current)
        return PassInputs(
            self.transformer,
            rope,
            place.cache,
            text,
            place.window,
            place.slots,
            place.last_slots,
        )

    def observer(
        self, kind: str, position: int, *, block: int | None = None
    ) -> PassObserver | None:
        """Who is told of a pass, if anyone."""
        if self.trace is None:
            return None
        return partial(self.trace, kind, self.block if block is None else block, position)

    @property
    def _records(self) -> BlockGraphs | None:
        return self.records if self.trace is None else None
