"""What all streams of one engine share."""

from __future__ import annotations

from dataclasses import dataclass

from .interfaces import Decoder, Encoder, PromptEncoder
from .network.scratch import Scratch
from .network.transformer import CausalTransformer
from .options import EngineOptions
from .preset import Preset


@dataclass(frozen=True)
class Shared:
    """The parts of an engine, made once by it; every stream works with these very objects.

    Attributes:
        vae: encodes input pictures and start frames; `decoder` makes the frames.
        scratch: the memory that a block writes before it reads.
    """

    preset: Preset
    options: EngineOptions
    transformer: CausalTransformer
    vae: Encoder
    decoder: Decoder
    text_encoder: PromptEncoder
    scratch: Scratch

    @property
    def takes_prompts_mid_block(self) -> bool:
        """Whether a block's passes are run one by one, each for one block, so that text can change."""
        return not (self.options.cuda_graph or self.options.batch_steps)
