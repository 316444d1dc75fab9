"""One stream: prompts, pictures and noise in, blocks of frames out, without end.

A stream's state and the order of a block: context, denoise passes, decode. How finished blocks
become context is a `Context`'s; what streams share (weights, scratch) is in `Shared`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .context.memory import Context, StreamMemory
from .denoising.blending import PromptBlender
from .denoising.noise import NoiseSource, SeededNoise
from .denoising.passes import Place
from .denoising.plan import BlockPlan, Planner
from .denoising.prompt_ramp import PromptRamp
from .denoising.runner import BlockRunner
from .denoising.stream_batch import StreamBatch
from .input_encoder import InputEncoder, encode_start
from .interfaces import Blend, Method, PassTrace, StageTimer
from .params import StreamParams
from .pixels import eight_bit
from .preset import FRAMES_PER_LATENT, LATENT_STRIDE
from .schedule import add_noise
from .shared import Shared

_MAX_WAITING = 2


@dataclass
class _Progress:
    """What the blocks so far have left behind; a reset begins another.

    Attributes:
        batch: the blocks under way, where denoising steps are batched.
        blocks: denoised; those `waiting` are not decoded yet, the first of them but for `begun`
            latents.
        withheld: frames made while the decoder warmed up.
        decoder: the decoder's state.
    """

    context: Context
    batch: StreamBatch | None
    noise: NoiseSource
    input_encoder: InputEncoder
    decoder: Any
    blocks: int = 0
    begun: int = 0
    withheld: int = 0
    waiting: deque[Tensor] = field(default_factory=deque)


class Generation:
    """A stream that is being generated. Opened by `Engine.open`; used on one thread."""

    def __init__(
        self,
        shared: Shared,
        prompt: str | Blend | Tensor,
        params: StreamParams,
        *,
        start_frame: Tensor | None,
        noise: NoiseSource | None,
        trace: PassTrace | None,
        timer: StageTimer,
        embeds: Tensor | None = None,
    ) -> None:
        """Prepare the first block: encode the prompt and the start frame, draw its noise."""
        self._shared = shared
        self._preset = shared.preset
        self._timer = timer
        self.params = params
        self._strengths = self._strengths_of(params)
        self._planner = Planner(shared.preset, shared.options, shared.transformer)
        self._prompt = prompt
        self._blender = PromptBlender(shared.text_encoder)
        self._ramp = PromptRamp(self._blender.embeds(prompt) if embeds is None else embeds)
        start: Tensor | None = None
        if start_frame is not None:
            frames = self._preset.block_frames
            start = encode_start(start_frame, frames, params, shared.vae, self._device)
        batch_size = self._planner.batch_size(params)
        self._memory = memory = StreamMemory(shared, params, batch_size, start)
        self._runner = BlockRunner(
            shared.scratch,
            shared.transformer,
            self._planner,
            self._ramp,
            memory.rope,
            timer,
            trace,
            memory.records,
        )
        self._progress = self._begin(noise)

    @property
    def block(self) -> int:
        """The index of the next block."""
        return self._progress.blocks

    @property
    def pictures_needed(self) -> int:
        """How many input pictures the next block takes, if it is to be made from input."""
        return self._progress.input_encoder.pictures_needed(self._preset.frames_of(self.block))

    @property
    def delay(self) -> int:
        """How many blocks later than it was begun a block comes out (where steps are batched)."""
        return 0 if self._progress.batch is None else self._progress.batch.size - 1

    @property
    def takes_prompts_mid_block(self) -> bool:
        """Whether a prompt can be taken in between two denoise passes of a block."""
        return self._shared.takes_prompts_mid_block and self.params.prompt_switch == "blend"

    def steer(
        self,
        *,
        prompt: str | Blend | Tensor | None = None,
        interp_steps: int | None = None,
        transition: Method = "linear",
        strength: float | None = None,
        noise_controller: bool | None = None,
        seed: int | None = None,
        loras: Mapping[str, float] | None = None,
        embeds: Tensor | None = None,
    ) -> None:
        """Change the stream from its next block on.

        Args:
            prompt: text, a blend of texts or prompt embeds; comes in over `interp_steps` blocks, 1 is at once. The
                prompt that the stream has or turns to already is no change.
            interp_steps: default to the stream's.
            transition: the way from the old prompt to this one.
            strength: of input pictures, 0-1.
            noise_controller: whether motion lowers it.
            seed: takes effect when the stream is reset.
            loras: strengths of live adapters by name, 0-2; the others stay as they are.
            embeds: of the prompt, where they are known already.

        Raises:
            ValueError: a value is out of range; then nothing has changed.
        """
        changes: dict[str, object] = {
            name: value
            for name, value in (
                ("strength", strength),
                ("noise_controller", noise_controller),
                ("seed", seed),
                ("loras", None if loras is None else {**self.params.loras, **loras}),
            )
            if value is not None
        }
        if interp_steps is not None and interp_steps < 1:
            raise ValueError(f"interp_steps must be at least 1, got {interp_steps}")
        params = replace(self.params, **changes)  # type: ignore[arg-type]
        strengths = self._strengths_of(params)
        if prompt is not None and not _same(prompt, self._prompt):
            steps = interp_steps if interp_steps is not None else params.interp_steps
            embeds = self._blender.embeds(prompt) if embeds is None else embeds
            self._ramp.turn_to(embeds, steps, transition)
            self._prompt = prompt
        self.params, self._strengths = params, strengths

    def reset(self, *, noise: NoiseSource | None = None) -> None:
        """Start over with the latest prompt, strength and seed, and the same start frame."""
        self._ramp.finish()
        self._progress = self._begin(noise)

    def generate_block(self, pictures: Tensor | None = None) -> Tensor:
        """Make the next block: uint8 frames [T, H, W, 3] on the engine's device.

        With Krea's preset T is 6 for the first block and 12 for later ones. Nothing waits for the
        device; the caller does, when it reads the frames. Where steps are batched the frames are
        those of an earlier block, and none while the batch fills.

        Args:
            pictures: input, `pictures_needed` of them: uint8 [T, H, W, 3], or float [T, 3, H, W]
                in [-1, 1], of the stream's size. Without, the block is made from the prompt.

        Raises:
            ValueError: wrong number or size of pictures; the stream is as before.
        """
        return self.decode_block(self.denoise_block(pictures))

    @torch.no_grad()
    def denoise_block(
        self, pictures: Tensor | None = None, *, between: Callable[[], bool] | None = None
    ) -> Tensor:
        """Make the next block's clean latents, float32 [F, C, h, w]; `decode_block` is due then.

        Decoding may lag one block behind, on another thread, but for the `early_latents`, whose
        pictures the next context needs.

        Args:
            between: called between two denoise passes of the block; may steer to another prompt,
                says whether it has, and then the first step towards it is taken with the next pass.
                Only where `takes_prompts_mid_block`.

        Raises:
            ValueError: wrong number or size of pictures; the stream is as before.
            RuntimeError: the last block's pictures are needed, or two blocks wait to be decoded.
        """
        if between is not None and not self.takes_prompts_mid_block:
            raise ValueError("no prompt can be taken in between the passes of this stream's blocks")
        if len(self._progress.waiting) >= _MAX_WAITING:
            raise RuntimeError(f"decode first: {_MAX_WAITING} blocks wait already")
        progress, strength = self._progress, self.params.strength
        if self._shared.transformer.strengths is not None:
            self._shared.transformer.strengths.use(self._strengths)
        frames = self._preset.frames_of(progress.blocks)
        if pictures is None and progress.batch is not None:
            raise ValueError("batch_steps is for blocks made from pictures, and there are none")
        progress.context.prepare()
        source = None
        if pictures is not None:
            source, strength = progress.input_encoder.encode(pictures, frames, self.params)
        params = replace(self.params, strength=strength)
        first = not progress.blocks
        plan = self._planner.plan(params, with_input=source is not None, first=first)
        noise = progress.noise.next_block().to(self._device, non_blocking=True)
        if self._advances_first:
            self._ramp.advance()
        self._runner.block = progress.blocks
        place = progress.context.enter(frames)
        if not self._advances_first:
            self._ramp.advance()
        x = noise[0]
        if source is not None:
            x = add_noise(source, x, plan.start_sigma)
        latents = self._denoise(place, x, noise, plan, between)
        progress.context.leave(latents)
        if latents.shape[0]:
            progress.waiting.append(latents)
        progress.blocks += 1
        progress.noise.prepare()
        return latents

    @property
    def early_latents(self) -> int:
        """How many leading latents of the newest block the next block's context needs decoded."""
        return self._progress.context.early_latents

    @torch.no_grad()
    def decode_block(self, latents: Tensor, *, only: int | None = None) -> Tensor:
        """Decode what is left of a block's latents to uint8 frames [T, H, W, 3].

        The frames that the decoder makes while it warms up are withheld.

        Args:
            only: stop after the block's first so many latents; a later call decodes the rest.

        Batched steps give no latents while their batch fills, and these no frames.

        Raises:
            ValueError: these are not the latents that wait the longest, such as those of a block
                from before a reset.
        """
        progress = self._progress
        if latents.shape[0] == 0:
            return self._no_frames()
        if not progress.waiting or progress.waiting[0] is not latents:
            raise ValueError("blocks are decoded once, in their order, and not after a reset")
        with self._timer("decode"):
            part = latents[progress.begun : only]
            pixels = self._shared.decoder.decode(part, progress.decoder)  # [T, 3, H, W]
            progress.context.add_pictures(pixels, part.shape[0])
            withheld = min(pixels.shape[0], self._preset.dropped_frames - progress.withheld)
            progress.withheld += withheld
            progress.begun += part.shape[0]
            if progress.begun == latents.shape[0]:
                progress.waiting.popleft()
                progress.begun = 0
            return eight_bit(pixels[withheld:])

    def frames_left(self, latents: Tensor) -> int:
        """How many frames a block of which some is decoded has yet to give."""
        progress = self._progress
        if not progress.waiting or progress.waiting[0] is not latents:
            return 0
        to_withhold = self._preset.dropped_frames - progress.withheld
        return FRAMES_PER_LATENT * (latents.shape[0] - progress.begun) - to_withhold

    @property
    def _device(self) -> torch.device:
        return self._shared.transformer.device

    @property
    def _advances_first(self) -> bool:
        """Whether a block's context already knows of its prompt."""
        current = self._shared.options.context_prompt == "current"
        return current or self.params.prompt_switch != "blend"

    def _strengths_of(self, params: StreamParams) -> tuple[float, ...]:
        live = self._shared.transformer.strengths
        if live is None:
            if params.loras:
                raise ValueError("loras: this engine has no live adapters")
            return ()
        return live.of(params.loras)

    def _begin(self, noise: NoiseSource | None) -> _Progress:
        """Nothing made yet: only the start frame, if any, and the first block's noise."""
        shared, params = self._shared, self.params
        if noise is None:
            first, pin = self._preset.first_block_frames, self._device.type == "cuda"
            noise = SeededNoise(params.seed, self._noise_shape(), first_frames=first, pin=pin)
        noise.prepare()
        batch_size = self._planner.batch_size(params)
        return _Progress(
            self._memory.context(self._runner),
            StreamBatch(batch_size) if batch_size > 1 else None,
            noise,
            InputEncoder(self._preset, shared.vae, self._device, self._timer),
            shared.decoder.open_decoder(),
        )

    def _noise_shape(self) -> tuple[int, ...]:
        # A stream may turn from text to input and back; the seed means the same noise throughout.
        draws = max(
            len(self._planner.timesteps(self.params, with_input=with_input, first=first))
            for with_input in (False, True)
            for first in (False, True)
        )
        sides = (self.params.height // LATENT_STRIDE, self.params.width // LATENT_STRIDE)
        return (draws, self._preset.block_frames, self._preset.dims.channels, *sides)

    def _denoise(
        self,
        place: Place,
        x: Tensor,
        noise: Tensor,
        plan: BlockPlan,
        between: Callable[[], bool] | None,
    ) -> Tensor:
        """Clean latents of this block, or, from batched steps, of the one that is done."""
        batch, runner = self._progress.batch, self._runner
        if batch is None or not place.positions:
            return runner.denoise(place, x, noise, plan, between)
        inputs = runner.inputs(place, x.shape[0])
        return batch.advance(inputs, x, noise, plan, runner.block, self._timer, runner.trace)

    def _no_frames(self) -> Tensor:
        shape = (0, self.params.height, self.params.width, 3)
        return torch.empty(shape, dtype=torch.uint8, device=self._device)


def _same(prompt: str | Blend | Tensor, other: str | Blend | Tensor) -> bool:
    if isinstance(prompt, Tensor) or isinstance(other, Tensor):
        return prompt is other
    return prompt == other
