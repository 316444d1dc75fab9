"""One viewer's stream of an engine: settings in, blocks in two phases out.

A block is denoised on the lane; of the pictures only the few that the next block's context is made
from are decoded there as well, the rest by whoever finishes the block, while the lane goes on:
latent by latent, so that a block's first picture waits for a third of the decoding only. Whoever
decodes first decodes what came before, so that the order is the stream's, and the result the same,
however the threads run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.pixels import fit
from framewire.worker.engine.ranks.leader import RanksLost

from .base import BackendBroken, Block, CapacityError, Change, Picture, Settings
from .wan_clock import Spent, StageClock
from .wan_overlap import Encoded, Overlap

_WARM_PROMPT = "warming up"
_GIVEN_UP = "a GPU's process was lost, and this stream with it: connect again"


@dataclass(frozen=True, slots=True)
class _Part:
    """Frames on their way to main memory, and how many of their block come after them."""

    arrived: Callable[[], NDArray[np.uint8]]
    left: int


@dataclass(eq=False)
class _Made:
    """A denoised block on its way to frames.

    Attributes:
        decoded: latents; `parts` are the frames of them that nobody has taken yet.
    """

    latents: Tensor
    ready: Any
    spent: Spent
    delay: int = 0
    decoded: int = 0
    parts: deque[_Part] = field(default_factory=deque)

    @property
    def undecoded(self) -> int:
        """Latents."""
        return len(self.latents) - self.decoded


@dataclass(frozen=True, slots=True)
class _Finish:
    """What finishes a block, whole or `InParts`."""

    session: WanSession
    made: _Made

    def __call__(self) -> Block:
        parts = [self.part()]
        while parts[-1].left:
            parts.append(self.part())
        frames = np.concatenate([part.frames for part in parts]) if parts[1:] else parts[0].frames
        return replace(parts[-1], frames=frames)

    def part(self) -> Block:
        return self.session.part_of(self.made)


class WanSession:
    """One stream. Made by `WanBackend.open`.

    Args:
        overlap: of the engine's device.
        on_close: told of a session that has freed what it held.
    """

    def __init__(
        self,
        engine: Engine,
        overlap: Overlap,
        params: StreamParams,
        settings: Settings,
        on_close: Callable[[WanSession], None],
    ) -> None:
        self._engine = engine
        self._overlap = overlap
        self._params = params
        self._settings = settings
        self._on_close = on_close
        self._live = settings.live
        self._by_latent = engine.decodes_by_latent
        self._generation: Generation | None = None
        self._clock = StageClock(engine.transformer.device)
        self._decoding = threading.Lock()
        self._waiting: deque[_Made] = deque()
        self._early: Any = None
        self._is_given_up = False

    @property
    def generation(self) -> Generation:
        """The engine's stream.

        Raises:
            BackendBroken: the backend has given it up.
        """
        if self._is_given_up:
            raise BackendBroken(_GIVEN_UP)
        assert self._generation is not None, "the session is closed"
        return self._generation

    def begin(self) -> None:
        """Encode the prompt and the start frame, and draw the first noise."""
        start = self._settings.start_frame
        self._generation = self._engine.open(
            self._settings.blend or self._settings.prompt,
            self._params,
            start_frame=None if start is None else self._pictures([start])[0],
            timer=self._clock,
            embeds=self._embeds(self._settings.encoded),
        )

    def pictures_wanted(self) -> int:
        """How many pictures the next block is made from; 0 for a block from text alone."""
        return self.generation.pictures_needed if self._live else 0

    def steer(self, change: Change) -> None:
        """Take `change` into account from the next block on."""
        self.generation.steer(
            prompt=change.blend or change.prompt,
            interp_steps=change.interp_steps,
            transition=change.transition,
            strength=change.strength,
            noise_controller=change.noise_controller,
            loras=change.loras,
            embeds=self._embeds(change.encoded),
        )
        if change.live is not None:
            self._live = change.live

    def next_block(
        self,
        pictures: Sequence[Picture],
        newest: Callable[[], Change | None] | None = None,
    ) -> Callable[[], Block]:
        """Denoise the next block; the returned call decodes it.

        Args:
            newest: asked for another prompt between two passes; where prompts are taken mid-block.

        Raises:
            ValueError: not exactly `pictures_wanted()` pictures.
            CapacityError: the device ran out of memory; this stream is over.
        """
        wanted = self.pictures_wanted()
        if len(pictures) != wanted:
            raise ValueError(f"expected {wanted} pictures, got {len(pictures)}")
        overlap = self._overlap
        try:
            self._catch_up()
            overlap.after(self._early)
            with self._clock.collecting() as spent:
                latents = self.generation.denoise_block(
                    self._pictures(pictures) if pictures else None,
                    between=None if newest is None else self._asking(newest),
                )
            made = _Made(latents, overlap.mark(), spent, self._delay())
            if made.undecoded:
                self._waiting.append(made)
            self._decode_early(made)
            overlap.wait(made.ready)
        except torch.OutOfMemoryError as error:
            raise CapacityError("the device ran out of memory in this stream") from error
        except RanksLost as error:
            raise BackendBroken(_GIVEN_UP) from error
        return _Finish(self, made)

    def give_up(self) -> None:
        """Free what the session holds, since its engine is gone: whatever is asked of it fails."""
        self._is_given_up = True
        self._generation = None
        self._waiting.clear()

    def close(self) -> None:
        """Free what the session holds."""
        self._generation = None
        self._waiting.clear()
        self._on_close(self)

    def _asking(self, newest: Callable[[], Change | None]) -> Callable[[], bool]:
        """Asks while the pass before runs: a device is told of its work long before it comes to it."""
        queued: Any = None

        def between() -> bool:
            nonlocal queued
            self._overlap.wait(queued)
            queued = self._overlap.mark()
            change = newest()
            if change is not None:
                self.steer(change)
            return change is not None

        return between

    def _delay(self) -> int:
        """Blocks since the pictures came that this one shows; a stream's first shows its own."""
        return self.generation.delay if self.generation.block > 1 else 0

    def part_of(self, made: _Made) -> Block:
        """The next frames of a block, decoded if nobody has yet."""
        with self._decoding:
            self._decode_before(made)
            while made.undecoded and len(made.parts) < self._overlap.parts_at_once:
                self._decode(made, made.decoded + 1 if self._by_latent else len(made.latents))
        if not made.parts:
            size = (self._settings.height, self._settings.width)
            return Block(np.empty((0, *size, 3), np.uint8), made.spent.total(), made.delay)
        part = made.parts.popleft()
        frames = self._scaled(part.arrived())
        return Block(frames, {} if part.left else made.spent.total(), made.delay, part.left)

    def _decode_early(self, made: _Made) -> None:
        """Decode what the next block's context needs, before the block is handed over."""
        if not self.generation.early_latents:
            return
        with self._decoding:
            self._decode_before(made)
            early = self.generation.early_latents  # of this block alone, now that it is the next
            if early:
                self._decode(made, early)
                self._early = self._overlap.mark_decoding()

    def _catch_up(self) -> None:
        """Decode all that waits but the newest block, of which enough is decoded already."""
        with self._decoding:
            if self._waiting:
                self._decode_before(self._waiting[-1])

    def _decode_before(self, made: _Made) -> None:
        """Decode what waits before `made`, in order."""
        while made in self._waiting and (first := self._waiting[0]) is not made:
            self._decode(first, len(first.latents))

    def _decode(self, made: _Made, until: int) -> None:
        """Decode a block's latents up to `until`, one by one where the decoder can."""
        overlap = self._overlap
        while made.decoded < until:
            upto = made.decoded + 1 if self._by_latent else until
            with self._clock.collecting() as spent, overlap.decoding(made.ready, made.latents):
                frames = self.generation.decode_block(made.latents, only=upto)
                if frames.shape[0]:
                    left = self.generation.frames_left(made.latents)
                    made.parts.append(_Part(overlap.to_cpu(frames), left))
            made.spent.extend(spent)
            made.decoded = upto
        if not made.undecoded and made in self._waiting:
            self._waiting.remove(made)

    def _embeds(self, encoded: Encoded | None) -> Tensor | None:
        return None if encoded is None else self._overlap.embeds(encoded)

    def _pictures(self, pictures: Sequence[Picture]) -> Tensor:
        """Pictures uint8 [T, H, W, 3] at the engine's size."""
        height, width = self._params.height, self._params.width
        tensors = [torch.from_numpy(np.ascontiguousarray(picture)) for picture in pictures]
        return torch.stack([fit(tensor, height, width) for tensor in tensors])

    def _scaled(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frames at the session's size, where the engine has another."""
        size = (self._settings.height, self._settings.width)
        if frames.shape[1:3] == size:
            return frames
        # Bytes, and channels last: no copy is made, and it takes a tenth of the time of floats.
        planes = torch.from_numpy(frames).movedim(3, 1)
        scaled = functional.interpolate(planes, size, mode="bilinear")
        return scaled.movedim(1, 3).contiguous().numpy()


def warm_up(engine: Engine, params: StreamParams) -> None:
    """Run a stream of input pictures until its shapes repeat: text alone has no others."""
    generation = engine.open(_WARM_PROMPT, params)
    shape = (params.height, params.width, 3)
    grey = torch.full(shape, 128, dtype=torch.uint8)
    full = 1 + -(-params.kv_cache_num_frames // engine.preset.block_frames)
    switches, blocks = {
        "blend": ((), full + 1),
        "flush": ((full,), 2 * full + 1),  # then it fills again, from other places
        "recache": ((full, full + 1), full + 2),  # of all of it, and of what is behind a sink
    }[params.prompt_switch]
    for block in range(blocks):
        if block in switches:
            generation.steer(prompt=f"{_WARM_PROMPT}, {block}", interp_steps=1)
        latents = generation.denoise_block(grey.expand(generation.pictures_needed, *shape))
        cuts = range(1, len(latents)) if engine.decodes_by_latent else ()
        for upto in (*cuts, None):
            generation.decode_block(latents, only=upto).cpu()
