"""One stream: prompts, pictures and noise in, blocks of frames out, without end.

Owns a stream's state and the order of a block: context pass, denoise passes, decode. What streams
share (weights, scratch memory) is the engine's. Doesn't know sessions, messages or other streams.
The order is that of Krea's server; each departure from it is an option of the engine.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .attention import block_group, causal_groups
from .context import History
from .graphs import BlockGraphs
from .kv_cache import KVCache
from .noise import NoiseSource, SeededNoise
from .params import StreamParams
from .parts import PassTrace, eight_bit, model_range
from .passes import Saw, Surroundings, denoise, write_context
from .plan import BlockPlan, Planner
from .preset import LATENT_STRIDE
from .prompt import PromptRamp
from .schedule import add_noise
from .timing import StageTimer
from .transformer import Modulation, Window
from .vae import FRAMES_PER_LATENT

if TYPE_CHECKING:
    from .engine import Engine

_MAX_WAITING = 2


@dataclass
class _Progress:
    """What the blocks so far have left behind; a reset begins another.

    Attributes:
        blocks: denoised; those `waiting` are not decoded yet, the first of them but for `begun`
            latents.
        withheld: frames made while the decoder warmed up.
        held: frames in the cache after the last block.
        decoder: the decoder's state; `encoder` the input encoder's, `entered` once it has begun.
    """

    history: History
    noise: NoiseSource
    decoder: Any
    encoder: Any
    entered: bool = False
    blocks: int = 0
    begun: int = 0
    withheld: int = 0
    held: int = 0
    waiting: deque[Tensor] = field(default_factory=deque)


class Generation:
    """A stream that is being generated. Opened by `Engine.open`; used on the lane's thread."""

    def __init__(
        self,
        engine: "Engine",
        prompt: str | Tensor,
        params: StreamParams,
        *,
        start_frame: Tensor | None,
        noise: NoiseSource | None,
        trace: PassTrace | None,
        timer: StageTimer,
    ) -> None:
        """Prepare the first block: encode the prompt and the start frame, draw its noise."""
        self._engine = engine
        self._preset = engine.preset
        self._trace = trace
        self._timer = timer
        self.params = params
        rows, columns = params.height // 16, params.width // 16
        self._tokens = rows * columns
        window = params.kv_cache_num_frames + self._preset.block_frames
        self._window_tokens = window * self._tokens
        self._rope = engine.lane.rope(window, rows, columns)
        self._own_cache: KVCache | None = None
        if engine.options.context_every > 1:
            self._own_cache = engine.lane.own_cache(self._window_tokens)
        self._planner = Planner(engine.preset, engine.options, engine.transformer)
        self._prompt = prompt
        self._ramp = PromptRamp(self._embeds(prompt))
        self._start: Tensor | None = None
        if start_frame is not None:
            self._start = self._encode_start(start_frame)
        self._progress = self._begin(noise)

    @property
    def block(self) -> int:
        """The index of the next block."""
        return self._progress.blocks

    @property
    def pictures_needed(self) -> int:
        """How many input pictures the next block takes, if it is to be made from input."""
        whole = self._preset.block_frames * FRAMES_PER_LATENT
        return whole - (0 if self._progress.entered else FRAMES_PER_LATENT - 1)

    def steer(
        self,
        *,
        prompt: str | Tensor | None = None,
        interp_steps: int | None = None,
        strength: float | None = None,
        seed: int | None = None,
    ) -> None:
        """Change the stream from its next block on.

        Args:
            prompt: text or prompt embeds; comes in over `interp_steps` blocks, 1 is at once. The
                prompt that the stream has or turns to already is no change.
            interp_steps: default to the stream's.
            strength: of input pictures, 0-1.
            seed: takes effect when the stream is reset.

        Raises:
            ValueError: a value is out of range; then nothing has changed.
        """
        changes: dict[str, object] = {
            name: value
            for name, value in (("strength", strength), ("seed", seed))
            if value is not None
        }
        if interp_steps is not None and interp_steps < 1:
            raise ValueError(f"interp_steps must be at least 1, got {interp_steps}")
        params = replace(self.params, **changes)  # type: ignore[arg-type]
        if prompt is not None and not _same(prompt, self._prompt):
            steps = interp_steps if interp_steps is not None else params.interp_steps
            self._ramp.turn_to(self._embeds(prompt), steps)
            self._prompt = prompt
        self.params = params

    def reset(self, *, noise: NoiseSource | None = None) -> None:
        """Start over with the latest prompt, strength and seed, and the same start frame."""
        self._ramp.finish()
        self._progress = self._begin(noise)

    def generate_block(self, pictures: Tensor | None = None) -> Tensor:
        """Make the next block: uint8 frames [T, H, W, 3] on the engine's device.

        With Krea's preset T is 6 for the first block and 12 for later ones. Nothing waits for the
        device; the caller does, when it reads the frames.

        Args:
            pictures: input, `pictures_needed` of them: uint8 [T, H, W, 3], or float [T, 3, H, W]
                in [-1, 1], of the stream's size. Without, the block is made from the prompt.

        Raises:
            ValueError: wrong number or size of pictures; the stream is as before.
        """
        return self.decode_block(self.denoise_block(pictures))

    @torch.no_grad()
    def denoise_block(self, pictures: Tensor | None = None) -> Tensor:
        """Make the next block's clean latents, float32 [F, C, h, w]; `decode_block` is due then.

        Decoding may lag one block behind, on another thread, but for the `early_latents`, whose
        pictures the next context needs.

        Raises:
            ValueError: wrong number or size of pictures; the stream is as before.
            RuntimeError: the last block's pictures are needed, or two blocks wait to be decoded.
        """
        if len(self._progress.waiting) >= _MAX_WAITING:
            raise RuntimeError(f"decode first: {_MAX_WAITING} blocks wait already")
        still = self._encode_still()
        source = None if pictures is None else self._encode_input(pictures)
        plan = self._planner.plan(self.params, with_input=source is not None)
        noise = self._progress.noise.next_block().to(self._device, non_blocking=True)
        if self._engine.options.context_prompt == "current":
            self._ramp.advance()
        context = self._fill_context(still)
        if self._engine.options.context_prompt == "previous":
            self._ramp.advance()
        x = noise[0]
        if source is not None:
            x = add_noise(source, x, plan.schedule.start_sigma)
        latents = self._denoise(x, noise, plan, context)
        self._progress.held = context + latents.shape[0]
        self._progress.history.add_block(latents)
        self._progress.waiting.append(latents)
        self._progress.blocks += 1
        self._progress.noise.prepare()
        return latents

    @property
    def early_latents(self) -> int:
        """How many leading latents of the newest block the next block's context needs decoded."""
        if self._preset.first_context != "reencode" or not self._context_due():
            return 0
        return self._progress.history.early_latents

    @torch.no_grad()
    def decode_block(self, latents: Tensor, *, only: int | None = None) -> Tensor:
        """Decode what is left of a block's latents to uint8 frames [T, H, W, 3].

        The frames that the decoder makes while it warms up are withheld.

        Args:
            only: stop after the block's first so many latents; a later call decodes the rest.

        Raises:
            ValueError: these are not the latents that wait the longest, such as those of a block
                from before a reset.
        """
        progress = self._progress
        if not progress.waiting or progress.waiting[0] is not latents:
            raise ValueError("blocks are decoded once, in their order, and not after a reset")
        with self._timer("decode"):
            part = latents[progress.begun : only]
            pixels = self._engine.decoder.decode(part, progress.decoder)  # [T, 3, H, W]
            progress.history.add_pictures(pixels, part.shape[0])
            withheld = min(pixels.shape[0], self._preset.dropped_frames - progress.withheld)
            progress.withheld += withheld
            progress.begun += part.shape[0]
            if progress.begun == latents.shape[0]:
                progress.waiting.popleft()
                progress.begun = 0
            return eight_bit(pixels[withheld:])

    @property
    def _device(self) -> torch.device:
        return self._engine.transformer.device

    def _begin(self, noise: NoiseSource | None) -> _Progress:
        """Nothing made yet: only the start frame, if any, and the first block's noise."""
        history = History(
            self.params.kv_cache_num_frames,
            self._preset.block_frames,
            keep_first=self.params.keep_first_frame,
        )
        if self._start is not None:
            history.start_with(self._start)
        if noise is None:
            pin = self._device.type == "cuda"
            noise = SeededNoise(self.params.seed, self._noise_shape(), pin=pin)
        noise.prepare()
        decoder, encoder = self._engine.decoder.open_decoder(), self._engine.vae.open_encoder()
        return _Progress(history, noise, decoder, encoder)

    def _noise_shape(self) -> tuple[int, ...]:
        draws = len(self._planner.timesteps(self.params, with_input=False))
        sides = (self.params.height // LATENT_STRIDE, self.params.width // LATENT_STRIDE)
        return (draws, self._preset.block_frames, self._preset.dims.channels, *sides)

    def _embeds(self, prompt: str | Tensor) -> Tensor:
        return self._engine.encode_prompt(prompt) if isinstance(prompt, str) else prompt

    def _check_size(self, pictures: Tensor, count: int) -> None:
        height, width = self.params.height, self.params.width
        eight = pictures.dtype == torch.uint8
        wanted = [count, height, width, 3] if eight else [count, 3, height, width]
        if list(pictures.shape) != wanted:
            raise ValueError(f"expected pictures {wanted}, got {list(pictures.shape)}")

    def _encode_start(self, picture: Tensor) -> Tensor:
        """The context latents of a start frame: the picture held for a whole block."""
        self._check_size(picture[None], 1)
        held = 1 + FRAMES_PER_LATENT * (self._preset.block_frames - 1)
        pixels = model_range(picture[None], self._device).expand(held, -1, -1, -1)
        vae = self._engine.vae
        return vae.encode(pixels, vae.open_encoder()).to(self._device, torch.float32)

    def _encode_input(self, pictures: Tensor) -> Tensor:
        self._check_size(pictures, self.pictures_needed)
        with self._timer("encode"):
            pixels = model_range(pictures, self._device)
            latents = self._engine.vae.encode(
                pixels, self._progress.encoder, normalise=self._preset.normalise_input
            )
        self._progress.entered = True
        return latents.to(self._device, torch.float32)

    def _encode_still(self) -> Tensor | None:
        """The context's first latent [1, C, h, w], where a picture is encoded anew for it."""
        if self._preset.first_context != "reencode" or not self._context_due():
            return None
        picture = self._progress.history.still()
        if picture is None:
            return None
        with self._timer("encode"):
            return self._engine.vae.encode_still(picture).to(self._device, torch.float32)

    def _context_due(self) -> bool:
        """Whether the next block's context is computed anew; else the cache rolls."""
        every = self._engine.options.context_every
        return not self._progress.held or (self.block - 1) % every == 0

    def _cache(self) -> KVCache:
        if self._own_cache is not None:
            return self._own_cache
        return self._engine.lane.cache(self._window_tokens)

    def _fill_context(self, still: Tensor | None) -> int:
        """Bring the context into the cache and return its number of frames."""
        if self._progress.history.empty:
            return 0
        with self._timer("context"):
            if not self._context_due():
                return self._roll()
            latents = self._progress.history.latents(still)
            frames = latents.shape[0]
            groups = causal_groups(frames, self._preset.block_frames, self._tokens)
            self._write_context(self._surroundings(0, frames, Window(0, groups)), latents)
            return frames

    def _roll(self) -> int:
        """Keep the window's last frames (and its first, if so asked) as the next context."""
        frames = min(self.params.kv_cache_num_frames, self._progress.held)
        gone = self._progress.held - frames
        pinned = int(self.params.keep_first_frame)
        if gone:
            first = (pinned + gone) * self._tokens
            count = (frames - pinned) * self._tokens
            self._cache().roll(first, pinned * self._tokens, count, gone)
        return frames

    def _write_context(self, at: Surroundings, latents: Tensor) -> None:
        modulation = self._planner.context_modulation
        sigma = self._planner.loader.sigma(0.0)
        graphs = self._graphs()
        if graphs is None:
            write_context(at, latents, modulation, sigma, self._saw("context", 0))
            return

        def work(latents: Tensor, *parts: Tensor) -> Tensor:
            return write_context(at, latents, Modulation(*parts), sigma)

        graphs.run(("context", at.window, at.addresses()), work, (latents, *modulation))

    def _denoise(self, x: Tensor, noise: Tensor, plan: BlockPlan, context: int) -> Tensor:
        """All denoise passes on x [F, C, h, w]: clean latents."""
        bias = self._engine.options.kv_attention_bias
        groups = block_group(context, x.shape[0], self._tokens, bias)
        at = self._surroundings(context, x.shape[0], Window(context * self._tokens, groups))
        graphs, schedule = self._graphs(), plan.schedule
        if graphs is None:
            saw = self._saw("denoise", context)
            return denoise(at, schedule, x, noise, plan.modulations, timer=self._timer, saw=saw)

        def work(x: Tensor, noise: Tensor, *parts: Tensor) -> Tensor:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            return denoise(at, schedule, x, noise, [Modulation(*pair) for pair in pairs])

        key = ("denoise", schedule, at.window, at.addresses())
        parts = [part for modulation in plan.modulations for part in modulation]
        with self._timer("denoise"):
            return graphs.run(key, work, (x, noise, *parts))

    def _surroundings(self, first_frame: int, frames: int, window: Window) -> Surroundings:
        engine = self._engine
        text = engine.lane.text(self._ramp.current)
        rope = self._rope.at(first_frame, frames)
        return Surroundings(engine.transformer, rope, self._cache(), text, window)

    def _graphs(self) -> BlockGraphs | None:
        """The engine's records, where this stream's work is the same as others'."""
        if self._trace is not None or self._own_cache is not None:
            return None
        return self._engine.lane.graphs

    def _saw(self, kind: str, first_frame: int) -> Saw | None:
        if self._trace is None:
            return None
        return partial(self._trace, kind, self.block, first_frame)


def _same(prompt: str | Tensor, other: str | Tensor) -> bool:
    if isinstance(prompt, str) and isinstance(other, str):
        return prompt == other
    return prompt is other
