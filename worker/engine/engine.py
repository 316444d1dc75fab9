"""The engine of one device: the parts that all streams share, and streams opened on them.

Blocks of several streams may follow each other in any order, one at a time, since they write to
the same scratch.
"""

from __future__ import annotations

from diffusers import WanTransformer3DModel
from torch import Tensor

from .context.memory import check_loop
from .denoising.blending import PromptBlender
from .denoising.noise import NoiseSource
from .generation import Generation
from .interfaces import (
    Blend,
    Compiled,
    Decoder,
    Encoder,
    PassTrace,
    PromptEncoder,
    StageTimer,
    untimed,
)
from .network.scratch import Scratch
from .network.transformer import CausalTransformer
from .options import EngineOptions
from .params import StreamParams
from .preset import Preset
from .ranks.leader import LeadingTransformer, Ranks
from .shared import Shared


class Engine:
    """One model on one device, ready to open streams.

    Attributes:
        shared: the parts; they stay for as long as the engine lives.
        compiled: those whose shapes are compiled as they come.
    """

    def __init__(
        self,
        preset: Preset,
        transformer: WanTransformer3DModel,
        vae: Encoder,
        *,
        decoder: Decoder,
        text_encoder: PromptEncoder,
        options: EngineOptions | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        """Put the parts together; all are on their devices and in their dtypes already.

        Args:
            ranks: that share the transformer's work and have been given its weights.

        Raises:
            ValueError: the preset asks for a loop that this engine doesn't have, or an option for
                what the preset's loop doesn't.
        """
        options = options or EngineOptions()
        check_loop(preset, options)
        network = (
            CausalTransformer(transformer)
            if ranks is None
            else LeadingTransformer(transformer, ranks)
        )
        self.shared = Shared(
            preset=preset,
            options=options,
            transformer=network,
            vae=vae,
            decoder=decoder,
            text_encoder=text_encoder,
            scratch=Scratch(preset.dims, network),
        )
        self.compiled: list[Compiled] = [network]

    @property
    def preset(self) -> Preset:
        """The model's parameters."""
        return self.shared.preset

    @property
    def options(self) -> EngineOptions:
        """The departures from the reference."""
        return self.shared.options

    @property
    def transformer(self) -> CausalTransformer:
        """The network, with its device and dtype."""
        return self.shared.transformer

    @property
    def vae(self) -> Encoder:
        """What makes latents of pictures."""
        return self.shared.vae

    @property
    def decoder(self) -> Decoder:
        """What makes frames of latents."""
        return self.shared.decoder

    @property
    def decodes_by_latent(self) -> bool:
        """Whether a stream's frames are the same bits, and no later, if latents come one by one."""
        return bool(getattr(self.decoder, "by_latent", False))

    @property
    def scratch(self) -> Scratch:
        """The memory that every block overwrites."""
        return self.shared.scratch

    def stop_compiling(self) -> None:
        """Compile no further shape, so that no stream of another size stalls the others."""
        for part in self.compiled:
            part.stop_compiling()

    def encode_prompt(self, text: str) -> Tensor:
        """Prompt embeds [512, text_dim] of `text`; may run beside a block, on another thread."""
        return self.shared.text_encoder.encode(text)

    def encode_blend(self, blend: Blend) -> Tensor:
        """Prompt embeds [512, text_dim] of several texts; as `encode_prompt`."""
        return PromptBlender(self.shared.text_encoder).embeds(blend)

    def open(
        self,
        prompt: str | Blend | Tensor,
        params: StreamParams | None = None,
        *,
        start_frame: Tensor | None = None,
        noise: NoiseSource | None = None,
        trace: PassTrace | None = None,
        timer: StageTimer = untimed,
        embeds: Tensor | None = None,
    ) -> Generation:
        """Open a stream; on the thread that makes its blocks.

        Args:
            prompt: text, a blend of texts, or prompt embeds from `encode_prompt`.
            params: default to the preset's.
            start_frame: a picture, uint8 [H, W, 3] of the stream's size, that the stream follows.
            noise: instead of noise from the params' seed.
            trace: called with every pass.
            timer: entered around every stage of a block.
            embeds: of the prompt, where they are known already.

        Raises:
            ValueError: the start frame has another size.
        """
        return Generation(
            self.shared,
            prompt,
            params or StreamParams.of(self.preset),
            start_frame=start_frame,
            noise=noise,
            trace=trace,
            timer=timer,
            embeds=embeds,
        )
