"""Context of keys as the last denoise pass left them, in a ring beside a sink (StreamDiffusionV2).

Once the ring is full, the last pass of a block writes to the slot that the next block's first pass
takes, so that the keys which stay are those of the passes before it: so it does in the reference,
whose recordings this equals.

Where denoising steps are batched, each row has a ring of its own, a frame moves on by one row a
block, and every pass takes a slot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from framewire.worker.engine.denoising.passes import Place
from framewire.worker.engine.denoising.runner import BlockRunner
from framewire.worker.engine.network.attention import Group, block_group
from framewire.worker.engine.network.graphs import BlockGraphs
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.network.transformer import Window
from framewire.worker.engine.preset import Preset


class Slots:
    """The slots of one stream's cache. Choices are int64 [layers, batch], on the cache's device."""

    def __init__(
        self, cache: KVCache, frame_tokens: int, sink: int, records: BlockGraphs | None = None
    ) -> None:
        """Begin with empty slots, the first `sink` of which are the sink's.

        Args:
            records: where comparisons are recorded, if anywhere.
        """
        keys = cache.layers[0][0]
        self.count = cache.tokens // frame_tokens
        self.batch = keys.shape[0]
        self._cache = cache
        self._tokens = frame_tokens
        self._sink = sink
        # Empty slots are filled in order, so before the clock starts their place is their age.
        order = torch.arange(-self.count, 0, device=keys.device)
        self._written = order.repeat(len(cache.layers), self.batch, 1)
        self._none = torch.full_like(self._written[:, :, 0], -1)
        self._due = self._none
        if records is not None:
            self._due = cache.beside("due", self._none).copy_(self._none)
        self._clock = 0
        self._records = records
        self._means: tuple[Tensor, ...] | None = None  # of keys and values, a slot's each

    def choose(self, filled: Sequence[int]) -> Tensor:
        """The slot of the next frame: the next empty one, or the one due, or the oldest.

        Args:
            filled: how many slots are in use, row by row.
        """
        chosen = self.head()
        if min(filled) < self.count:
            empty = torch.tensor(filled, device=chosen.device)
            chosen = torch.where(empty < self.count, empty, chosen)
        self._clock += 1
        self._written.scatter_(-1, chosen[..., None], self._clock)
        full = [used == self.count for used in filled]
        self._mark(self._where(full, self._none, self._due))
        return chosen

    def head(self) -> Tensor:
        """The slot that a frame would take next if all are in use."""
        oldest = self._written[:, :, self._sink :].argmin(-1) + self._sink
        return torch.where(self._due >= 0, self._due, oldest)

    def compare(self, slots: Tensor, rows: Sequence[bool], threshold: float) -> None:
        """In `rows`, mark the sink frame least like the one in `slots`, if below `threshold`."""

        def found(slots: Tensor) -> Tensor:
            least, sink_slot = self._likeness(slots).min(-1)
            marked = (least < threshold) & (slots >= self._sink)
            return torch.where(marked, sink_slot, self._due)

        if self._records is None or self._means is None or not all(rows):
            self._mark(self._where(rows, found(slots), self._due))
            return
        key = ("compare", threshold, self._tokens, self._sink, self._due.data_ptr())
        self._mark(self._records.run(key, found, (slots,)))

    def _mark(self, due: Tensor) -> None:
        """Take note of the slots that are due, where records have the address."""
        if self._records is None:
            self._due = due
        else:
            self._due.copy_(due)

    def _likeness(self, slots: Tensor) -> Tensor:
        """Mean cosine of keys' and values' means to those of each sink frame, [layers, batch, sink].

        Means are kept from block to block: only the frame in `slots` is new.
        """
        new = self._cache.frame_means(slots, self._tokens)
        if self._means is None:
            every = [
                self._cache.frame_means(torch.full_like(slots, slot), self._tokens)
                for slot in range(self.count)
            ]
            whole = [torch.stack(means, 2) for means in zip(*every, strict=True)]
            self._means = tuple(
                self._cache.beside(name, means).copy_(means)
                for name, means in zip(("key means", "value means"), whole, strict=True)
            )
        parts = []
        at = slots[:, :, None, None]
        for kept, fresh in zip(self._means, new, strict=True):
            kept.scatter_(2, at.expand(-1, -1, 1, kept.shape[3]), fresh[:, :, None])
            sink = kept[:, :, : self._sink]
            parts.append(functional.cosine_similarity(sink, fresh[:, :, None], dim=-1))
        return (parts[0] + parts[1]) / 2

    def _where(self, rows: Sequence[bool], then: Tensor, otherwise: Tensor) -> Tensor:
        """Row by row; nothing is sent to the device where all rows are alike."""
        if all(rows):
            return then
        return torch.where(torch.tensor(rows, device=then.device), then, otherwise)


class RingContext:
    """A `Context` of noisy keys."""

    def __init__(
        self,
        preset: Preset,
        runner: BlockRunner,
        *,
        cache: KVCache,
        sink: int,
        start: Tensor | None,
    ) -> None:
        """Begin with an empty ring.

        Args:
            cache: with a row for each step, where steps are batched.
            start: latents [F, C, h, w] that come before the first block.
        """
        self._preset = preset
        self._runner = runner
        self._cache = cache
        self._tokens = runner.rope.tokens_per_frame
        self._sink = sink
        self._start = start
        self._slots = Slots(cache, self._tokens, sink, runner.records)
        self._filled = [0] * self._slots.batch
        self._position = 0
        self._positions: deque[int] = deque(maxlen=self._slots.batch)
        self._later = 0  # blocks after the first
        self._chosen: Tensor | None = None
        self._begun = False

    @property
    def early_latents(self) -> int:
        """None: pictures are never looked at."""
        return 0

    def prepare(self) -> None:
        """Nothing to prepare."""

    def enter(self, frames: int) -> Place:
        """Where the next block stands; the stream's first takes all its steps in one row."""
        if self._start is not None:
            start, self._start = self._start, None
            with self._runner.timer("context"):
                self._runner.write_context(self._behind(start.shape[0]), start)
            self._advance([start.shape[0]] * self._slots.batch)
        if not self._begun:
            return self._behind(frames)
        if self._preset.wrap_at and self._position >= self._preset.wrap_at:
            self._position = self._slots.count - 1
        # Before a row has got its first frame it stands where that frame will.
        missing = 1 if self._positions else self._slots.batch
        self._positions.extendleft([self._position] * missing)
        fills = self._filled[0] >= self._slots.count - 1
        self._chosen = self._slots.choose(self._filled)
        slots, window = self._chosen * self._tokens, self._window()
        if self._slots.batch > 1:
            positions = tuple(self._positions)
            return Place(self._cache, window, self._position, slots, positions=positions)
        last_slots = self._slots.head() * self._tokens if fills else None
        return Place(self._cache, window, self._position, slots, last_slots)

    def leave(self, latents: Tensor) -> None:
        """Take note of the block's keys in the ring."""
        if self._chosen is None:
            self._begun = True
            self._cache.replicate()
            self._advance([self._preset.first_block_frames] * self._slots.batch)
            return
        self._later += 1
        moved = [row < self._later for row in range(self._slots.batch)]
        threshold = self._preset.sink_threshold
        if threshold is not None and self._sink:
            ready = [
                is_moved and filled >= self._sink
                for is_moved, filled in zip(moved, self._filled, strict=True)
            ]
            self._slots.compare(self._chosen, ready, threshold)
        self._advance([int(is_moved) for is_moved in moved])

    def add_pictures(self, pictures: Tensor, latents: int) -> None:
        """Pictures are not needed."""

    def _behind(self, frames: int) -> Place:
        """Behind what the first row holds, in that row."""
        held = self._filled[0]
        window = Window(held * self._tokens, block_group(held, frames, self._tokens))
        return Place(self._cache.first_row(), window, self._position)

    def _window(self) -> Window:
        """Every row sees its slots in use and the one it writes."""
        per_row = tuple(self._seen(min(used + 1, self._slots.count)) for used in self._filled)
        if len(set(per_row)) == 1:
            return Window(0, per_row[0])
        return Window(0, per_row[0], per_row)

    def _seen(self, frames: int) -> tuple[Group, ...]:
        return block_group(frames - 1, 1, self._tokens)

    def _advance(self, frames: list[int]) -> None:
        """Each row has so many frames more; the next block stands behind the first row's."""
        self._filled = [
            min(filled + more, self._slots.count)
            for filled, more in zip(self._filled, frames, strict=True)
        ]
        self._position += frames[0]
