"""Every recorded LongLive session, replayed through the engine's own `generate_block`.

Fed in: random draws and prompt embeds. Compared: every denoise pass's x and x0, what is passed again
at a new prompt, and the keys and values after that and at the end.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest
import torch
from support.engines import golden_data
from torch import Tensor

from framewire.worker.engine.context import memory
from framewire.worker.engine.context.appended import AppendedContext
from framewire.worker.engine.denoising.noise import GivenNoise
from framewire.worker.engine.denoising.passes import Place
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.generation import Generation
from framewire.worker.engine.lora.adapter import read_adapter
from framewire.worker.engine.lora.live import attach
from framewire.worker.engine.lora.merge import Merge
from framewire.worker.engine.network.attention import block_group, causal_groups
from framewire.worker.engine.network.rope import rotate
from framewire.worker.engine.network.transformer import Window
from framewire.worker.engine.network.weights import load_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import LONGLIVE_1_3B, Preset, TransformerDims
from framewire.worker.engine.ranks.leader import Ranks
from framewire.worker.engine.schedule import SigmaTable

FOLDER = "longlive"
NAMES = golden_data.longlive_names() or ["absent"]
How = Literal["merged", "live", "without"]


class GreyVae:
    """Decodes to grey frames of the right number: the recording has no VAE."""

    def open_encoder(self) -> None: ...

    def encode(self, pixels: Tensor, state: None, normalise: bool = True) -> Tensor:
        raise AssertionError("nothing is made from pictures")

    def encode_still(self, pixels: Tensor) -> Tensor:
        raise AssertionError("no context of this model has a picture in it")

    def open_decoder(self) -> list[bool]:
        return [True]

    def decode(self, z: Tensor, state: list[bool]) -> Tensor:
        frames, state[0] = 4 * z.shape[0] - 3 * state[0], False
        return torch.zeros(frames, 3, 8 * z.shape[2], 8 * z.shape[3])


@dataclass
class Seen:
    """A pass of the replay; of a re-cache with the keys and values that it leaves."""

    kind: str
    block: int
    at: int
    timestep: float
    x: Tensor
    x0: Tensor
    cache: list[tuple[Tensor, Tensor]]


class Session:
    """One recorded session: what goes in, what came out, and the trace of a replay."""

    def __init__(self, name: str) -> None:
        self.entry: dict[str, Any] = json.loads(
            golden_data.golden_file(FOLDER, f"{name}.json").read_text()
        )
        self.geometry: dict[str, Any] = json.loads(
            golden_data.golden_file(FOLDER, "manifest.json").read_text()
        )["geometry"]
        self.tensors = golden_data.tensors(FOLDER, f"{name}.safetensors")
        self.blocks: list[dict[str, Any]] = self.entry["blocks"]
        self.tokens: int = self.geometry["tokens_per_frame"]
        self.seen: list[Seen] = []
        self.generation: Generation | None = None

    def encode(self, text: str) -> Tensor:
        """As text encoder: prompts are recorded by name."""
        return self.tensors[text][0]

    def noise(self) -> list[Tensor]:
        """Each block's draws: its start noise, then what follows a step."""
        whole, frames = self.tensors["rand.000"][0], self.entry["frames_per_block"]
        return [
            torch.stack(
                [
                    whole[block["start_frame"] : block["start_frame"] + frames],
                    *(self.tensors[f"rand.{i:03d}"] for i in range(*block["rand"])),
                ]
            )
            for block in self.blocks
        ]

    def trace(
        self, kind: str, block: int, first_frame: int, timestep: float, x: Tensor, x0: Tensor
    ) -> None:
        cache = self.cache() if kind == "recache" else []
        self.seen.append(Seen(kind, block, first_frame, timestep, x, x0, cache))

    def preset(self) -> Preset:
        """The published one, but for what a session's settings change."""
        sizes, given = self.geometry, self.entry
        assert given["denoising_steps"] == pytest.approx([1000.0, 937.5, 2500 / 3, 625.0])
        return LONGLIVE_1_3B.with_dims(
            "golden",
            TransformerDims(
                layers=sizes["layers"],
                heads=sizes["heads"],
                ffn_dim=sizes["ffn"],
                head_dim=sizes["dim"] // sizes["heads"],
                text_dim=sizes["text_dim"],
                text_tokens=sizes["text_len"],
                freq_dim=sizes["freq_dim"],
            ),
            sink_frames=given["sink_size"],
            context_frames=given["local_attn_size"] - given["frames_per_block"],
            recache="keep_sink" if given["global_sink"] else "new_sink",
        )

    def open(
        self, how: How = "merged", ranks: Ranks | None = None, *, wrong: str = ""
    ) -> "Session":
        """Open the stream, by one of the `wrong` readings if one is named."""
        preset = self.preset()
        in_cache = self.entry["use_infinite_attention"]
        if wrong == "other places":
            in_cache = not in_cache
        options = EngineOptions(sink_positions="next" if in_cache else "made")
        weights = golden_data.tensors(FOLDER, "transformer.safetensors")
        path = golden_data.golden_file(FOLDER, "lora.safetensors")
        adapters = [] if how == "without" else [(read_adapter(path, preset.dims), 1.0)]
        merge = Merge(adapters if how == "merged" else [])
        model = load_transformer(weights, preset.dims, dtype=torch.float32, change=merge)
        strengths = attach(model, adapters) if how == "live" else None
        if ranks is not None:
            ranks.load(model, preset.dims, options)
        vae = GreyVae()
        engine = Engine(
            preset, model, vae, decoder=vae, text_encoder=self, options=options, ranks=ranks
        )
        engine.transformer.strengths = strengths
        params = StreamParams.of(
            preset,
            width=8 * self.geometry["latent_w"],
            height=8 * self.geometry["latent_h"],
            timestep_shift=self.entry["timestep_shift"],
            prompt_switch="blend" if wrong == "no recache" else None,
        )
        self.generation = engine.open(
            self.blocks[0]["prompt"], params, noise=GivenNoise(self.noise()), trace=self.trace
        )
        return self

    def replay(self) -> "Session":
        assert self.generation is not None
        for block in self.blocks:
            self.generation.steer(prompt=block["prompt"])
            frames = self.generation.generate_block()
            assert frames.shape[0] == (12 if block["block"] else 9)
        return self

    def calls(self, *kinds: str) -> list[tuple[int, dict[str, Any]]]:
        return [
            (block["block"], call)
            for block in self.blocks
            for call in block["calls"]
            if call["kind"] in kinds
        ]

    def passes(self, *kinds: str) -> list[Seen]:
        return [one for one in self.seen if one.kind in kinds]

    def compare_order(self) -> None:
        """The same passes in the same blocks, at the same timesteps and places in the stream."""
        expected = self.calls("recache", "denoise", "context")
        assert len(expected) == len(self.seen) > 0
        for (block, call), one in zip(expected, self.seen, strict=True):
            assert (one.kind, one.block) == (call["kind"], block), call["key"]
            assert one.timestep == pytest.approx(call["t"][0], abs=1e-4), call["key"]
            # Frames that write no keys, and that nobody sees, are not passed.
            assert one.at - call["start_frame"] == call["frames"] - one.x.shape[0], call["key"]

    def worst_pass(self, before: int | None = None) -> float:
        """How far any denoise pass, or a context pass's input, is off: in blocks before that one."""
        found = []
        calls = self.calls("denoise", "context")
        for (block, call), one in zip(calls, self.passes("denoise", "context"), strict=True):
            if before is not None and block >= before:
                break
            parts = ("x", "x0") if one.kind == "denoise" else ("x",)
            found += [
                golden_data.difference(getattr(one, part), self.tensors[f"{call['key']}.{part}"][0])
                for part in parts
            ]
        return max(found)

    def worst_recache(self) -> float:
        """How far what is passed again is off, or the keys and values that it leaves."""
        found = [0.0]
        for (_, call), one in zip(self.calls("recache"), self.passes("recache"), strict=True):
            wanted = self.tensors[f"{call['key']}.x"][0]
            found.append(golden_data.difference(one.x, wanted[-one.x.shape[0] :]))
            found.append(self._off(one.cache, f"{call['key']}.k", f"{call['key']}.v"))
        return max(found)

    def worst_key(self) -> float:
        """How far the keys and values are off at the end."""
        return self._off(self.cache(), "k_final", "v_final")

    def cache(self) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of each layer as recorded: the sink, then the rest by age."""
        assert self.generation is not None
        context: Any = self.generation._progress.context
        rope, sink = self.generation._memory.rope, context._sink.frames
        order = list(range(context._held))
        if context._is_full:
            order = [*order[:sink], *(context._slot(age) for age in order[: len(order) - sink])]
        positions = [context._sink.at + slot for slot in range(sink)]
        newest = context._position
        positions += range(newest - len(order) + sink, newest)
        turns = [rope.at(position, 1) for position in positions]
        cos, sin = (torch.cat(part) for part in zip(*turns, strict=True))
        found = []
        for layer in context._cache.layers:
            whole = [[part[0].split(self.tokens)[slot] for slot in order] for part in layer]
            keys, values = (torch.cat(frames)[None] for frames in whole)
            if self.entry["keys_are"] == "before rotary":
                keys = rotate(keys, cos, -sin)
            found.append((keys, values))
        return found

    def _off(self, cache: list[tuple[Tensor, Tensor]], *names: str) -> float:
        return max(
            golden_data.difference(part, self.tensors[f"{name}.{index}"])
            for index, layer in enumerate(cache)
            for name, part in zip(names, layer, strict=True)
        )


@pytest.mark.parametrize("how", ["merged", "live"])
@pytest.mark.parametrize("name", NAMES)
def test_golden_longlive_session(name: str, how: How) -> None:
    """A replayed session makes the same passes and leaves the same keys and values."""
    session = Session(name).open(how).replay()
    session.compare_order()
    assert session.worst_pass() <= golden_data.EXACT
    assert session.worst_recache() <= golden_data.EXACT
    assert session.worst_key() <= golden_data.EXACT


@pytest.mark.parametrize("name", NAMES)
def test_golden_longlive_session_on_two_ranks(name: str, two_ranks: Ranks) -> None:
    """Two processes make what one makes."""
    alone, shared = Session(name).open().replay(), Session(name).open(ranks=two_ranks).replay()
    assert len(shared.seen) == len(alone.seen) > 0
    for one, other in zip(alone.seen, shared.seen, strict=True):
        assert golden_data.difference(one.x0, other.x0) <= golden_data.SHARED


def test_golden_longlive_sessions_are_all_replayed() -> None:
    """A session file without its description would be passed over, and so would one not listed."""
    manifest = golden_data.golden_file(FOLDER, "manifest.json")
    recorded = {path.stem for path in manifest.parent.glob("*.safetensors")}
    assert recorded - {"transformer", "lora", "scheduler"} == set(NAMES)
    assert set(json.loads(manifest.read_text())["sessions"]) <= set(NAMES)


def test_golden_longlive_noise_levels() -> None:
    """The table of shift 5."""
    table = SigmaTable(LONGLIVE_1_3B.loader_shift)
    recorded = golden_data.tensors(FOLDER, "scheduler.safetensors")
    for name in ("sigmas", "timesteps"):
        found = golden_data.difference(getattr(table, name), recorded[name])
        assert found <= golden_data.EXACT, name


class CausalRecache(AppendedContext):
    """Passes again block by block, so that no frame sees later ones."""

    def _recache(self) -> None:
        runner, frames = self._runner, self._held
        write = runner.write_context

        def causal(place: Place, latents: Tensor, kind: str) -> None:
            window = Window(0, causal_groups(frames, 3, runner.rope.tokens_per_frame))
            write(replace(place, window=window), latents, kind)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runner, "write_context", causal)
            super()._recache()


class SinkKeptTooEarly(AppendedContext):
    """Leaves the sink its keys although nothing has gone out of the window yet."""

    def _recache(self) -> None:
        assert self._latents is not None
        sink, tokens = self._sink.frames, self._tokens
        behind = self._held - sink
        window = Window(sink * tokens, block_group(sink, behind, tokens))
        place = Place(self._cache, window, self._position - behind)
        self._runner.write_context(place, self._latents[-behind:], "recache")


def recached(name: str, *, before_roll: bool = False, whole: bool = False) -> bool:
    """Whether a session has a re-cache: before its first roll, of all that the cache holds."""
    path = golden_data.golden_root() / FOLDER / f"{name}.json"
    if not path.is_file():
        return False
    entry = json.loads(path.read_text())
    calls = [c for b in entry["blocks"] for c in b["calls"] if c["kind"] == "recache"]
    early = any(call["start_frame"] == 0 for call in calls)
    if before_roll:
        return early
    return bool(calls) and (not whole or early or not entry["global_sink"])


SWITCHED = [name for name in NAMES if recached(name)] or ["absent"]
PASSED_WHOLE = [name for name in NAMES if recached(name, whole=True)] or ["absent"]
SWITCHED_EARLY = [name for name in NAMES if recached(name, before_roll=True)] or ["absent"]


@pytest.mark.parametrize("name", SWITCHED)
def test_golden_longlive_session_without_its_recache_is_another(name: str) -> None:
    """The passes before the switch are the same, and those after it are far off."""
    session = Session(name).open(wrong="no recache").replay()
    assert session.worst_pass() > 10 * golden_data.EXACT
    assert session.worst_pass(session.calls("recache")[0][0]) <= golden_data.EXACT


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *((name, CausalRecache) for name in PASSED_WHOLE),
        *((name, SinkKeptTooEarly) for name in SWITCHED_EARLY),
    ],
)
def test_golden_longlive_session_with_a_recache_read_wrongly_is_another(
    name: str, wrong: type[AppendedContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Block by block, or with a sink that keeps its keys from the start."""
    monkeypatch.setattr(memory, "AppendedContext", wrong)
    session = Session(name).open().replay()
    assert session.worst_pass() > 10 * golden_data.EXACT
    assert session.worst_key() > 10 * golden_data.EXACT


@pytest.mark.parametrize("name", NAMES)
def test_golden_longlive_session_without_its_adapter_or_at_other_places_is_another(
    name: str,
) -> None:
    """The base alone is no LongLive; where the sink stands shows once the window has rolled."""
    assert Session(name).open("without").replay().worst_pass() > 10 * golden_data.EXACT
    elsewhere = Session(name).open(wrong="other places").replay()
    rolls = elsewhere.entry["frames"] > elsewhere.entry["local_attn_size"]
    assert (elsewhere.worst_pass() > 10 * golden_data.EXACT) == rolls
    assert elsewhere.worst_pass(before=4) <= golden_data.EXACT
