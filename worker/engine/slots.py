"""Which slot of a ring of keys a new frame takes, in every layer and lane.

A slot is the room of one frame in a cache; the first ones are a sink, whose frames stay. Which slot
is the oldest, and whether a frame of the sink is to go, is settled on the device: nothing waits.

The sink adapts: where a new frame's keys and values are less like those of some sink frame than a
threshold, the next frame takes that sink frame's slot instead of the oldest one's. The rule is
StreamDiffusionV2's; left out are mistakes of its code: sink slots that aren't filled yet are not
compared, a frame that has just been put in the sink replaces no other (so the window always goes
on), and a stream that starts over starts with an empty ring.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .kv_cache import KVCache


class Slots:
    """The slots of one stream's cache. Choices are int64 [layers, lanes], on the cache's device."""

    def __init__(self, cache: KVCache, frame_tokens: int, sink: int) -> None:
        """Begin with empty slots, the first `sink` of which are the sink's."""
        keys = cache.layers[0][0]
        self.count = cache.tokens // frame_tokens
        self.lanes = keys.shape[0]
        self._layers = cache.layers
        self._tokens = frame_tokens
        self._sink = sink
        # Empty slots are filled in order, so before the clock starts their place is their age.
        order = torch.arange(-self.count, 0, device=keys.device)
        self._written = order.repeat(len(cache.layers), self.lanes, 1)
        self._due = torch.full_like(self._written[:, :, 0], -1)
        self._clock = 0

    def choose(self, filled: Sequence[int]) -> Tensor:
        """The slot of the next frame: the next empty one, or the one due, or the oldest.

        Args:
            filled: how many slots are in use, lane by lane.
        """
        chosen = self.head()
        if min(filled) < self.count:
            empty = torch.tensor(filled, device=chosen.device)
            chosen = torch.where(empty < self.count, empty, chosen)
        self._clock += 1
        self._written.scatter_(-1, chosen[..., None], self._clock)
        full = torch.tensor([lane == self.count for lane in filled], device=chosen.device)
        self._due = torch.where(full, -1, self._due)
        return chosen

    def head(self) -> Tensor:
        """The slot that a frame would take next if all are in use."""
        oldest = self._written[:, :, self._sink :].argmin(-1) + self._sink
        return torch.where(self._due >= 0, self._due, oldest)

    def compare(self, slots: Tensor, lanes: Sequence[bool], threshold: float) -> None:
        """In `lanes`, mark the sink frame least like the one in `slots`, if below `threshold`."""
        likeness = [self._likeness(layer, slots[index]) for index, layer in enumerate(self._layers)]
        least, sink_slot = torch.stack(likeness).min(-1)
        marked = (least < threshold) & (slots >= self._sink)
        marked &= torch.tensor(list(lanes), device=slots.device)
        self._due = torch.where(marked, sink_slot, self._due)

    def _likeness(self, layer: tuple[Tensor, Tensor], slots: Tensor) -> Tensor:
        """Mean cosine of keys' and values' means to those of each sink frame, [lanes, sink]."""
        lanes = torch.arange(self.lanes, device=slots.device)
        parts = []
        for whole in layer:
            frames = whole.view(self.lanes, self.count, self._tokens, *whole.shape[2:])
            new = frames[lanes, slots].float().mean(1).flatten(1)  # [lanes, heads * head_dim]
            sink = frames[:, : self._sink].float().mean(2).flatten(2)
            parts.append(functional.cosine_similarity(sink, new[:, None], dim=-1))
        return (parts[0] + parts[1]) / 2
