"""From the hub to frames at tiny size: files with published names, by the path of the real ones."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from support.engines.adapters_made import in_style, random_pairs
from support.servers.stand_in_hub import StandInHub, hub_serving
from support.servers.worker_server import serving
from support.viewers.plain_stream import QUICK, plain_stream
from support.viewers.raw_viewer import connected
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from framewire.worker.backends import presets
from framewire.worker.backends.wan import WanBackend
from framewire.worker.engine.build import Build
from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.lora.chosen import ChosenAdapter
from framewire.worker.engine.preset import FRAMES_PER_LATENT, Preset
from framewire.worker.engine.random_weights import (
    TINY_LONGLIVE,
    TINY_RANDOM,
    random_transformer,
    random_vae,
)
from framewire.worker.models import catalogue, own
from framewire.worker.models.catalogue import Entry, parse
from framewire.worker.models.pull import Hub, pull
from framewire.worker.models.setup import ModelSetup

CPU = torch.device("cpu")
BUILD = Build(CPU, torch.float32, torch.float32)
TRANSFORMER = "small-14b.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
RENAMED = (
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("proj_out", "head.head"),
    ("ffn.net.0.proj", "ffn.0"),
    ("ffn.net.2", "ffn.2"),
    ("to_out.0", "o"),
    ("attn1.to_", "self_attn."),
    ("attn2.to_", "cross_attn."),
    ("attn1.", "self_attn."),
    ("attn2.", "cross_attn."),
    (".norm2.", ".norm3."),
    (".scale_shift_table", ".modulation"),
)


def published(name: str) -> str:
    """A name of diffusers' as Krea's file has it."""
    if name == "scale_shift_table":
        return "model.head.modulation"
    for ours, theirs in RENAMED:
        name = name.replace(ours, theirs)
    return f"model.{name}"


def write_files(folder: Path) -> None:
    """A model in the files that are published for the large one."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        transformer = random_transformer(TINY_RANDOM.dims, device=CPU, dtype=torch.float32)
        vae: AutoencoderKLWan = random_vae(TINY_RANDOM.vae, device=CPU, dtype=torch.float32)
        dims = {"d_model": 16, "d_ff": 24, "d_kv": 4, "num_heads": 4, "num_layers": 2}
        text = UMT5EncoderModel(UMT5Config(vocab_size=64, **dims))
    (folder / "vae").mkdir(parents=True)
    weights = {published(name): value for name, value in transformer.state_dict().items()}
    save_file(weights, folder / TRANSFORMER)
    save_file(vae.state_dict(), folder / VAE)
    text.save_pretrained(folder / "text_encoder")
    words = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", "a", "red", "fox"))}
    tokens = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder / "tokenizer")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("published")
    write_files(folder)
    return folder


@pytest.fixture
def pulled(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """The files in a cache of this test's own, pulled from a hub, and known by the catalogue."""
    return pull_from_a_hub(files, {TRANSFORMER: "transformer"}, TINY_RANDOM, tmp_path, monkeypatch)


def pull_from_a_hub(
    files: Path,
    parts: dict[str, str],
    preset: Preset,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    notice: str = "",
    say: Callable[[str], None] = lambda line: None,
) -> Entry:
    """Pull a folder's files, of which those that are alone in it are of these parts."""
    paths = [path for path in sorted(files.rglob("*")) if path.is_file()]
    listed = []
    hub = StandInHub()
    for path in paths:
        name = path.relative_to(files).as_posix()
        hub.files[f"someone/small/{name}"] = path.read_bytes()
        part = parts.get(name, name.split("/")[0])
        listed.append(
            {"part": part, "repo": "someone/small", "path": name, "bytes": 1, "licence": "MIT"}
        )
    table = {"title": "Small", "licence": "MIT", "needs": "nothing", "files": listed}
    entry = parse({preset.name: {**table, "notice": notice}})[preset.name]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(presets, "catalogue", lambda: {preset.name: entry})
    with hub_serving(hub):
        pull(entry, entry.files, Hub(endpoint=hub.url, cache_dir=cache, token=False), say)  # type: ignore[arg-type]
    return entry


async def test_pulled_weights_stream_over_a_socket(pulled: Entry) -> None:
    backend = WanBackend(TINY_RANDOM, lambda: presets.published_engine(TINY_RANDOM, BUILD))
    async with serving(backend) as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a red fox", num_blocks=3, **QUICK)
        frames = (await viewer.stream()).frames
    engine = presets.published_engine(TINY_RANDOM, BUILD)
    assert frames == plain_stream("a red fox", 3, engine=engine)
    other = plain_stream("a fox", 3, engine=engine)
    assert frames != other, "the pulled text encoder reads the prompt"


def test_weights_of_the_right_dtype_are_the_files_own_memory(pulled: Entry) -> None:
    """Nothing is held twice: the file is mapped, and the network uses the map."""
    engine = presets.published_engine(TINY_RANDOM, BUILD)
    path = pulled.paths("transformer")[0].resolve()
    model = engine.transformer._model
    address = model.blocks[0].ffn.net[2].weight.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, _, last = line.split()[0].partition("-")
        if int(first, 16) <= address < int(last, 16):
            assert str(path) in line
            return
    raise AssertionError("the weight is in no mapping")


@pytest.mark.parametrize("keep", [50, 5000])
def test_a_truncated_file_is_named(pulled: Entry, keep: int) -> None:
    path = pulled.paths("transformer")[0]
    path.resolve().write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=rf"{TRANSFORMER}: not a readable safetensors"):
        presets.published_engine(TINY_RANDOM, BUILD)


def test_a_wrong_file_is_named_with_the_key_and_both_shapes(pulled: Entry) -> None:
    path = pulled.paths("transformer")[0].resolve()
    weights = load_file(path)
    weights["model.blocks.1.ffn.0.weight"] = torch.zeros(7, 7)
    path.unlink()
    save_file(weights, path)
    words = rf"{TRANSFORMER}.*blocks\.1\.ffn.*\[7, 7\].*needs \[48, 32\]"
    with pytest.raises(CheckpointError, match=words):
        presets.published_engine(TINY_RANDOM, BUILD)


def test_a_file_that_lacks_a_key_is_named_with_it(pulled: Entry) -> None:
    path = pulled.paths("vae")[0].resolve()
    weights = load_file(path)
    del weights["decoder.conv_in.weight"]
    path.unlink()
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=r"diffusion_pytorch_model.*decoder\.conv_in\.weight"):
        presets.published_engine(TINY_RANDOM, BUILD)


def test_a_preset_that_was_not_pulled_says_how_to(
    pulled: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match="framewire-worker pull tiny-random"):
        presets.published_engine(TINY_RANDOM, BUILD)


async def test_a_model_of_ones_own_streams_with_its_weights_and_differences(
    pulled: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TOML file and the files of its base: no line of code."""
    weights = {
        name: 1.1 * value for name, value in load_file(pulled.paths("transformer")[0]).items()
    }
    save_file(weights, tmp_path / "fox.safetensors")
    lines = (
        'name = "our-fox"',
        f'base = "{TINY_RANDOM.name}"',
        "[files]",
        'transformer = "fox.safetensors"',
        "[differences]",
        "block_frames = 2",
        "first_block_frames = 2",
    )
    (tmp_path / "fox.toml").write_text("\n".join(lines))
    monkeypatch.setenv("HOME", str(tmp_path))
    for module in (own, catalogue):
        monkeypatch.setattr(module, "PRESETS", {TINY_RANDOM.name: TINY_RANDOM})
    monkeypatch.setattr(catalogue, "published", lambda: {TINY_RANDOM.name: pulled})
    monkeypatch.setattr(presets, "catalogue", catalogue.catalogue)
    own.add(tmp_path / "fox.toml")
    setup = ModelSetup(preset="our-fox", device="cpu", dtype="float32")
    backend = presets.servable_presets()["our-fox"].make(setup)
    async with serving(backend) as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a red fox", num_blocks=3, **QUICK)
        frames = (await viewer.stream()).frames
    assert len(frames) == backend.defaults.first_block_frames + 2 * 2 * FRAMES_PER_LATENT
    base = presets.published_engine(TINY_RANDOM, BUILD)
    assert frames[0] != plain_stream("a red fox", 1, engine=base)[0]


NOTICE = "not for commercial use"
BASE, ADAPTER = "base.pt", "lora.pt"


@pytest.fixture
def longlive(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Entry, list[str]]:
    """A model in two checkpoints of training, the second an adapter; and what pulling it said."""
    folder = tmp_path / "published"
    shutil.copytree(files, folder)
    weights = load_file(folder / TRANSFORMER)
    (folder / TRANSFORMER).unlink()
    torch.save({"generator": weights}, folder / BASE)
    pairs = in_style(random_pairs(), "peft")
    named = {name.replace(".default", ""): value for name, value in pairs.items()}
    whole = {"generator_lora": named, "critic_lora": {"unread": torch.ones(1)}, "step": 6000}
    torch.save(whole, folder / ADAPTER)
    parts, said = {BASE: "transformer", ADAPTER: "adapter"}, list[str]()
    cache = tmp_path / "cache"
    entry = pull_from_a_hub(folder, parts, TINY_LONGLIVE, cache, monkeypatch, NOTICE, said.append)
    return entry, said


def test_an_adapter_that_is_part_of_a_model_is_merged_before_the_cast(
    longlive: tuple[Entry, list[str]],
) -> None:
    """In float32, whatever the dtype; also where adapters of the operator's stay live."""
    before = load_file_of(longlive[0].paths("transformer")[0])
    wanted = {
        f"{layer}.weight": before[published(f"{layer}.weight")] + alpha / len(down) * up @ down
        for layer, (down, up, alpha) in random_pairs().items()
    }
    own = ChosenAdapter(longlive[0].paths("adapter")[0].with_name("ink.safetensors"), "ink")
    save_file(in_style(random_pairs(seed=1), "kohya"), own.path)
    half = replace(BUILD, dtype=torch.bfloat16)
    for build in (half, replace(half, adapters=[own], live_adapters=True)):
        engine = presets.published_engine(TINY_LONGLIVE, build)
        state = engine.transformer.model.state_dict()
        for name, value in wanted.items():
            held = state.get(name, state.get(name.replace(".weight", ".base.weight")))
            assert torch.equal(held, value.bfloat16()), name
    assert len(wanted) == 16


def test_a_model_that_is_not_for_commerce_is_pulled_with_a_word_of_it(
    longlive: tuple[Entry, list[str]],
) -> None:
    """Before its first byte."""
    assert longlive[1][0] == f"tiny-longlive: {NOTICE}"


def test_a_model_without_the_adapter_that_is_part_of_it_is_not_served(
    longlive: tuple[Entry, list[str]],
) -> None:
    longlive[0].paths("adapter")[0].unlink()
    with pytest.raises(FileNotFoundError, match="framewire-worker pull tiny-longlive"):
        presets.published_engine(TINY_LONGLIVE, BUILD)


def load_file_of(path: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["generator"]
    return weights
