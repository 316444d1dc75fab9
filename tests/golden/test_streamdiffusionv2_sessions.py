"""Every recorded StreamDiffusionV2 session, replayed through the engine's own `generate_block`.

Fed in: random draws, prompt embeds, input pictures and what they were encoded to (the recording
has no VAE). Compared: noise scales, noisy latents, every forward's x and x0, keys and values.
"""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from safetensors import safe_open
from support.engines import golden_data
from torch import Tensor

from framewire.worker.engine.context import ring
from framewire.worker.engine.context.ring import Slots
from framewire.worker.engine.denoising.noise import GivenNoise
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import STREAMDIFFUSIONV2_1_3B, Preset, TransformerDims
from framewire.worker.engine.ranks.leader import Ranks
from framewire.worker.engine.schedule import SigmaTable

FOLDER = "streamdiffusionv2"


class ReferenceSlots(Slots):
    """Slots with a mistake of the recorded code, which the product does not make.

    The block that fills the sink's last slot is compared with that slot while it is empty, so that
    slot is always the first to be replaced.
    """

    def choose(self, filled: Sequence[int]) -> Tensor:
        chosen = super().choose(filled)
        if filled[0] == self._sink - 1:
            self._due.fill_(self._sink - 1)
        return chosen


class RecordedVae:
    """Encodes to the recorded latents, decodes to grey frames of the right number."""

    def __init__(self, session: "Session") -> None:
        self._session = session

    def open_encoder(self) -> list[int]:
        return [0]

    def encode(self, pixels: Tensor, state: list[int], normalise: bool = True) -> Tensor:
        assert not normalise, "this model takes raw latents"
        chunk, state[0] = state[0], state[0] + 1
        assert torch.equal(pixels, self._session.pictures(chunk))
        return self._session.tensors[f"c{chunk:02d}.latents"][0]

    def encode_still(self, pixels: Tensor) -> Tensor:
        raise AssertionError("no context of this model has a picture in it")

    def open_decoder(self) -> list[bool]:
        return [True]

    def decode(self, z: Tensor, state: list[bool]) -> Tensor:
        frames, state[0] = 4 * z.shape[0] - 3 * state[0], False
        return torch.zeros(frames, 3, 8 * z.shape[2], 8 * z.shape[3])


class Session:
    """One recorded session: what goes in, what came out, and the trace of a replay."""

    def __init__(self, name: str) -> None:
        self.entry: dict[str, Any] = json.loads(
            golden_data.golden_file(FOLDER, f"{name}.json").read_text()
        )
        self.tensors = golden_data.tensors(FOLDER, f"{name}.safetensors")
        self.chunks: list[dict[str, Any]] = self.entry["chunks"]
        self.config: dict[str, Any] = self.entry["config"]
        self.batched = self.entry["scenario"]["mode"] == "batch"
        self.seen: list[tuple[int, int, float, Tensor, Tensor]] = []

    def encode(self, text: str) -> Tensor:
        return self.tensors["prompt_embeds"][0]

    def pictures(self, chunk: int) -> Tensor:
        """The chunk's pictures: five, then four."""
        size: int = self.entry["chunk_size"]
        first = 0 if chunk == 0 else 1 + size * chunk
        video = self.tensors["video"][0].float().movedim(1, 0)
        return video[first : 1 + size * (chunk + 1)]

    def noise(self) -> list[Tensor]:
        """Each chunk's draws: what is mixed in, then what follows a step."""
        return [
            torch.stack(
                [self._frames(self.tensors[f"draw{i:03d}"]) for i in range(*chunk["draws"])]
            )
            for chunk in self.chunks
        ]

    def _frames(self, draw: Tensor) -> Tensor:
        return draw.reshape(-1, *draw.shape[-3:])

    def trace(
        self, kind: str, block: int, first_frame: int, timestep: float, x: Tensor, x0: Tensor
    ) -> None:
        assert kind == "denoise", "keys stay noisy: there is no context pass"
        self.seen.append((block, first_frame, timestep, x, x0))

    def preset(self) -> Preset:
        path = golden_data.golden_file(FOLDER, "dit.safetensors")
        with safe_open(path, framework="pt") as file:
            dims = json.loads(file.metadata()["config"])
        return STREAMDIFFUSIONV2_1_3B.with_dims(
            "golden",
            TransformerDims(
                layers=dims["num_layers"],
                heads=dims["num_heads"],
                ffn_dim=dims["ffn_dim"],
                head_dim=dims["dim"] // dims["num_heads"],
                text_dim=dims["text_dim"],
                text_tokens=dims["text_len"],
                freq_dim=dims["freq_dim"],
            ),
            wrap_at=self.entry["t_refresh"],
        )

    def open(self, ranks: Ranks | None = None) -> Generation:
        preset, options = self.preset(), EngineOptions(batch_steps=self.batched)
        weights = golden_data.tensors(FOLDER, "dit.safetensors")
        model = load_transformer(weights, preset.dims, dtype=torch.float32)
        vae = RecordedVae(self)
        if ranks is not None:
            ranks.load(model, preset.dims, options)
        engine = Engine(
            preset, model, vae, decoder=vae, text_encoder=self, options=options, ranks=ranks
        )
        params = StreamParams.of(
            preset,
            width=self.config["width"],
            height=self.config["height"],
            num_denoising_steps=self.entry["scenario"]["step"],
        )
        return engine.open("recorded", params, noise=GivenNoise(self.noise()), trace=self.trace)

    def expected(self) -> list[tuple[int, int, float, Tensor, Tensor]]:
        """Every forward, row by row, as the trace tells it."""
        calls = []
        tokens = self.entry["frame_seq_length"]
        for chunk in self.chunks:
            for index in range(*chunk["fwd"]):
                told = self.entry["forwards"][index]
                parts = [self.tensors[f"fwd{index:03d}.{part}"] for part in ("x", "x0")]
                calls += [
                    (chunk["idx"] - row, start // tokens, told["timestep"][row][0], x, x0)
                    for row, (start, x, x0) in enumerate(zip(told["start"], *parts, strict=True))
                ]
        return calls

    def compare_calls(self) -> None:
        expected = self.expected()
        assert len(expected) >= len(self.entry["forwards"]) > 0
        assert [call[:3] for call in self.seen] == [call[:3] for call in expected]
        for seen, call in zip(self.seen, expected, strict=True):
            for part, actual, wanted in zip(("x", "x0"), seen[3:], call[3:], strict=True):
                found = golden_data.difference(actual, wanted)
                assert found <= golden_data.EXACT, f"block {call[0]} {part} is off by {found:.2e}"

    def compare_noisy_latents(self) -> None:
        for chunk in self.chunks:
            noisy = next(
                x
                for block, _, told, x, _ in self.seen
                if block == chunk["idx"] and told != self.entry["steps"][-1]
            )
            wanted = self.tensors[f"c{chunk['idx']:02d}.noisy_latents"][0]
            assert golden_data.difference(noisy, wanted) <= golden_data.EXACT

    def compare_cache(self, generation: Generation) -> None:
        for index, (keys, values) in enumerate(generation._memory.cache().layers):
            for name, actual in (("k", keys), ("v", values)):
                wanted = self.tensors[f"final.kv{index}.{name}"]
                filled = wanted.abs().amax(dim=(2, 3)) > 0  # what was never written is zero there
                assert actual.shape == wanted.shape
                found = (actual - wanted)[filled].abs().max()
                assert found <= golden_data.EXACT, f"layer {index} {name} is off by {found:.2e}"


@pytest.mark.parametrize("name", golden_data.streamdiffusionv2_names() or ["absent"])
def test_golden_streamdiffusionv2_session(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replayed session makes the same forwards and leaves the same keys and values."""
    monkeypatch.setattr(ring, "Slots", ReferenceSlots)
    session = Session(name)
    generation = session.open()
    delay = len(session.entry["steps"]) - 1 if session.batched else 0
    assert generation.delay == delay
    for chunk in session.chunks:
        pictures = session.pictures(chunk["idx"])
        assert generation.pictures_needed == pictures.shape[0]
        frames = generation.generate_block(pictures)
        emitted = pictures.shape[0] if chunk.get("emitted", 1) else 0
        assert frames.shape[0] == emitted
        scale = generation._progress.input_encoder._scale._scale
        assert scale == pytest.approx(chunk["noise_scale"], abs=1e-5)
    session.compare_calls()
    session.compare_noisy_latents()
    session.compare_cache(generation)


@pytest.mark.parametrize("name", golden_data.streamdiffusionv2_names() or ["absent"])
def test_golden_streamdiffusionv2_session_on_two_ranks(
    name: str, monkeypatch: pytest.MonkeyPatch, two_ranks: Ranks
) -> None:
    """Two processes make what one makes."""
    monkeypatch.setattr(ring, "Slots", ReferenceSlots)
    alone, shared = Session(name), Session(name)
    for session, ranks in ((alone, None), (shared, two_ranks)):
        generation = session.open(ranks)
        for chunk in session.chunks:
            generation.generate_block(session.pictures(chunk["idx"]))
    assert len(shared.seen) == len(alone.seen) > 0
    for one, other in zip(alone.seen, shared.seen, strict=True):
        assert golden_data.difference(one[4], other[4]) <= golden_data.SHARED


def test_golden_streamdiffusionv2_sessions_are_all_replayed() -> None:
    """A session file without its description would be passed over."""
    folder = golden_data.golden_file(FOLDER, "dit.safetensors").parent
    recorded = {path.stem for path in folder.glob("v2v_*.safetensors")}
    assert recorded == set(golden_data.streamdiffusionv2_names())


def test_golden_streamdiffusionv2_noise_levels() -> None:
    """The table of shift 8."""
    table = SigmaTable(STREAMDIFFUSIONV2_1_3B.loader_shift)
    recorded = golden_data.tensors(FOLDER, "scheduler.safetensors")
    for name in ("sigmas", "timesteps"):
        found = golden_data.difference(getattr(table, name), recorded[name])
        assert found <= golden_data.EXACT, name
