"""Every recorded Krea session, replayed through the engine's own `generate_block`.

Fed in: random draws, prompt embeds, input pictures and decoded pixels. Compared: every call.
"""

from typing import Any

import pytest
import torch
from support.engines import golden_data
from torch import Tensor

from framewire.worker.engine.denoising.noise import GivenNoise
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import KREA_REALTIME_14B, TransformerDims
from framewire.worker.engine.ranks.leader import Ranks
from framewire.worker.engine.vae.streaming import EncoderState, StreamingVae
from framewire.worker.engine.vae.weights import load_vae

KINDS = {"recompute": "context", "denoise": "denoise"}
TRAIN_STEPS = 1000


class RecordedVae:
    """Encodes with the recorded weights, decodes to the recorded pixels."""

    def __init__(self, session: "Session") -> None:
        config = {"base_dim": session.manifest["vae_dim"]}
        weights = golden_data.tensors("krea", "vae.safetensors")
        named = {k.removeprefix("w."): v for k, v in weights.items() if k.startswith("w.")}
        self._vae = StreamingVae(load_vae(named, config))
        self._session = session

    def open_encoder(self) -> EncoderState:
        return self._vae.open_encoder()

    def encode(self, pixels: Tensor, state: EncoderState, normalise: bool = True) -> Tensor:
        if pixels.isnan().any():
            return self._session.webcam_latents()
        return self._vae.encode(pixels, state, normalise)

    def encode_still(self, pixels: Tensor) -> Tensor:
        return self._vae.encode_still(pixels)

    def open_decoder(self) -> list[int]:
        return [0]

    def decode(self, z: Tensor, state: list[int]) -> Tensor:
        block, state[0] = state[0], state[0] + 1
        pixels = self._session.tensors[f"b{block}.pixels"][0].float()
        withheld = torch.full_like(pixels[:3], torch.nan)
        return torch.cat([withheld, pixels]) if block == 0 else pixels


class Session:
    """One recorded session: what goes in, what came out, and the trace of a replay."""

    def __init__(self, name: str) -> None:
        self.manifest = golden_data.manifest()
        self.entry: dict[str, Any] = self.manifest["sessions"][name]
        self.tensors = golden_data.tensors("krea", f"session_{name}.safetensors")
        self.given: dict[str, Any] = self.entry["params"]
        self.blocks: list[dict[str, Any]] = self.entry["blocks"]
        self.input: dict[str, Tensor] = {}
        if self.given.get("start_img") or self.given.get("input_video"):
            self.input = golden_data.tensors("krea", f"session_{name}_input.safetensors")
        self.seen: list[dict[str, Any]] = []
        self._webcam_block = 0

    def params(self) -> StreamParams:
        names = ("width", "height", "seed", "strength", "timestep_shift", "kv_cache_num_frames")
        values = {name: self.given.get(name) for name in (*names, "keep_first_frame")}
        values["strength"] = self.given.get("strength", 1.0)
        values["num_denoising_steps"] = self.given.get("num_denoising_steps", 5)
        return StreamParams.of(KREA_REALTIME_14B, **values)

    def encode(self, text: str) -> Tensor:
        """As text encoder: the prompt `b` was recorded as the embeds of block b."""
        return self.tensors[f"b{text}.prompt_embeds"][0]

    def noise(self) -> list[Tensor]:
        """Each block's draws: the start noise, or what input is mixed with, then one a step."""
        blocks = []
        for block in self.blocks:
            draws = [self.tensors[f"rand.{i:03d}"] for i in range(*block["rand"])]
            if draws and draws[0].ndim == 5:
                start, draws = draws[0][0], draws[1:]
            else:
                whole = self.tensors["rand.001" if "video" in self.input else "rand.000"][0]
                last = block["current_start_frame_after"]
                start = whole[last - 3 : last]
            blocks.append(torch.stack([start, *draws]))
        return blocks

    def pictures(self, block: int, count: int) -> Tensor | None:
        if "video" in self.input:
            first = 0 if block == 0 else 9 + 12 * (block - 1)
            return self.input["video"][first : first + count].float()
        if self.given.get("webcam_mode"):
            return torch.full((count, 3, self.given["height"], self.given["width"]), torch.nan)
        return None

    def webcam_latents(self) -> Tensor:
        """The input latents of the next webcam block, from its recorded first mix."""
        block = self._webcam_block
        self._webcam_block += 1
        call = next(c for c in self.blocks[block]["calls"] if c["kind"] == "denoise")
        sigma = call["t"][0] / TRAIN_STEPS
        mixed = self.tensors[f"{call['key']}.x"][0].double()
        if sigma == 1:  # nothing of the input is left in the mix
            return torch.zeros_like(mixed).float()
        return ((mixed - sigma * self.noise()[block][0].double()) / (1 - sigma)).float()

    def trace(
        self, kind: str, block: int, first_frame: int, timestep: float, x: Tensor, x0: Tensor
    ) -> None:
        self.seen.append(
            {"kind": kind, "block": block, "at": first_frame, "t": timestep, "x": x, "x0": x0}
        )

    def open(self, ranks: Ranks | None = None) -> Generation:
        dims = self.manifest["dit"]
        weights = golden_data.tensors("krea", "transformer.safetensors")
        preset = KREA_REALTIME_14B.with_dims(
            "golden",
            TransformerDims(
                layers=dims["layers"],
                heads=dims["heads"],
                ffn_dim=dims["ffn"],
                head_dim=dims["dim"] // dims["heads"],
                text_dim=dims["text_dim"],
                freq_dim=dims["freq_dim"],
            ),
        )
        named = {k.removeprefix("w."): v for k, v in weights.items() if k.startswith("w.")}
        transformer = load_transformer(named, preset.dims, dtype=torch.float32)
        vae = RecordedVae(self)
        if ranks is not None:
            ranks.load(transformer, preset.dims, EngineOptions())
        engine = Engine(preset, transformer, vae, decoder=vae, text_encoder=self, ranks=ranks)
        return engine.open(
            "0",
            self.params(),
            start_frame=self.input.get("image_u8"),
            noise=GivenNoise(self.noise()),
            trace=self.trace,
        )

    def tolerance(self, block: int) -> float:
        """Looser only where pixels stored as float16 have been encoded."""
        keep = self.given.get("keep_first_frame", False)
        still = not keep and 3 * (block - 1) >= self.given.get("kv_cache_num_frames", 3)
        return golden_data.FROM_PIXELS if still or "video" in self.input else golden_data.EXACT


def replay(session: Session, ranks: Ranks | None = None) -> None:
    generation = session.open(ranks)
    for index, block in enumerate(session.blocks):
        generation.steer(prompt=str(index), interp_steps=1)
        frames = generation.generate_block(session.pictures(index, generation.pictures_needed))
        assert frames.shape[0] == block["frames_sent"]


@pytest.mark.parametrize("name", golden_data.session_names() or ["absent"])
def test_golden_krea_session_on_two_ranks(name: str, two_ranks: Ranks) -> None:
    """Two processes make what one makes."""
    golden_data.manifest()
    alone, shared = Session(name), Session(name)
    replay(alone)
    replay(shared, two_ranks)
    assert len(shared.seen) == len(alone.seen) > 0
    for one, other in zip(alone.seen, shared.seen, strict=True):
        assert golden_data.difference(one["x0"], other["x0"]) <= golden_data.SHARED


@pytest.mark.parametrize("name", golden_data.session_names() or ["absent"])
def test_golden_krea_session(name: str) -> None:
    """A replayed session makes the same calls, at the same places, with the same x and x0."""
    golden_data.manifest()
    session = Session(name)
    replay(session)
    expected = [
        (index, call) for index, block in enumerate(session.blocks) for call in block["calls"]
    ]
    assert len(expected) > 0
    assert len(session.seen) == len(expected)
    tokens = session.manifest["geometry"]["frame_seqlen"]
    for (index, call), seen in zip(expected, session.seen, strict=True):
        where = f"{name} {call['key']}"
        assert (seen["kind"], seen["block"]) == (KINDS[call["kind"]], index), where
        assert call["t"] == pytest.approx([seen["t"]] * call["frames"], abs=1e-4), where
        if call["kind"] == "denoise":
            assert seen["at"] * tokens == call["current_start_tokens"], where
        for part in ("x", "x0"):
            recorded = session.tensors[f"{call['key']}.{part}"][0]
            found = golden_data.difference(seen[part], recorded)
            assert found <= session.tolerance(index), f"{where}.{part} is off by {found:.2e}"
