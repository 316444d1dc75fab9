"""Prompts to embeddings: cleaning, length, padding, cache, and loading from files."""

import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.text.encoder import TextEncoder, clean
from framewire.worker.engine.text.weights import load_umt5

CONFIG = {
    "vocab_size": 64,
    "d_model": 16,
    "d_ff": 24,
    "d_kv": 4,
    "num_heads": 4,
    "num_layers": 2,
}
WORDS = ("a", "red", "fox", "runs", "over", "the", "hill", "&", "é")
PARTS = {
    "norm1": "layer.0.layer_norm",
    "attn.q": "layer.0.SelfAttention.q",
    "attn.k": "layer.0.SelfAttention.k",
    "attn.v": "layer.0.SelfAttention.v",
    "attn.o": "layer.0.SelfAttention.o",
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Splits at spaces, ends a text with </s>; 0 pads."""
    words = {word: i for i, word in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    tokens = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def tiny_model(**settings: object) -> UMT5EncoderModel:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = UMT5EncoderModel(UMT5Config(**CONFIG, **settings)).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture
def encoder(tokenizer: PreTrainedTokenizerFast) -> TextEncoder:
    return TextEncoder(tokenizer, tiny_model())


def padded_run(tokenizer: PreTrainedTokenizerFast, text: str) -> Tensor:
    """The reference: pad to 512, mask, run, zero the padding."""
    tokens = tokenizer(
        text, padding="max_length", max_length=512, truncation=True, return_tensors="pt"
    )
    mask = tokens["attention_mask"]
    with torch.no_grad():
        rows = tiny_model()(tokens["input_ids"], attention_mask=mask).last_hidden_state
    return (rows * mask[..., None])[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  a  red\n\tfox ", "a red fox"),
        ("a &amp;amp; b", "a & b"),
        ("&lt;b&gt;", "<b>"),
        ("cafÃ©", "café"),
        ("a red fox", "a red fox"),
        ("&nbsp;fox&nbsp;", "fox"),
    ],
)
def test_cleaning_mends_entities_encoding_and_space(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize("text", ["a red fox runs over the hill", "", "fox " * 511, "fox " * 700])
def test_embeddings_equal_a_padded_and_masked_run(
    encoder: TextEncoder, tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    embeds = encoder.encode(text)
    assert embeds.shape == (512, encoder.text_dim) == (512, 16)
    torch.testing.assert_close(embeds, padded_run(tokenizer, text), rtol=0, atol=1e-5)


def test_rows_after_the_last_token_are_zero(encoder: TextEncoder) -> None:
    embeds = encoder.encode("a red fox")
    assert embeds[:4].abs().sum(1).all()  # three words and </s>
    assert not embeds[4:].any()


def count_runs(encoder: TextEncoder) -> list[int]:
    runs: list[int] = []
    encoder._model.register_forward_hook(lambda *_: runs.append(1))
    return runs


def test_a_text_is_encoded_once_however_it_is_spaced(encoder: TextEncoder) -> None:
    runs = count_runs(encoder)
    first = encoder.encode("a red fox")
    assert torch.equal(encoder.encode("  a red \n fox"), first)
    assert len(runs) == 1


def test_a_result_belongs_to_the_caller(encoder: TextEncoder) -> None:
    first = encoder.encode("a red fox")
    kept = first.clone()
    first.zero_()
    assert torch.equal(encoder.encode("a red fox"), kept)


def test_the_cache_is_bounded_and_drops_the_text_used_longest_ago(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    encoder = TextEncoder(tokenizer, tiny_model(), cached=2)
    runs = count_runs(encoder)
    for text in ("a", "red", "a", "fox"):  # fox pushes out red
        encoder.encode(text)
    assert len(runs) == 3
    encoder.encode("a")
    assert len(runs) == 3
    encoder.encode("red")
    assert len(runs) == 4
    assert len(encoder._cache) == 2


def test_threads_that_encode_at_once_get_their_own_texts(encoder: TextEncoder) -> None:
    texts = [" ".join(WORDS[: n + 1]) for n in range(6)]
    expected = [encoder.encode(text) for text in texts]
    fresh = TextEncoder(encoder._tokenizer, encoder._model)
    start, results = threading.Barrier(6), dict[int, Tensor]()

    def work(index: int) -> None:
        start.wait(timeout=60)
        results[index] = fresh.encode(texts[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert all(torch.equal(results[index], expected[index]) for index in range(6))


def test_a_model_whose_token_embedding_was_not_loaded_is_refused(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model = tiny_model()
    model.encoder.embed_tokens = torch.nn.Embedding(64, 16)
    with pytest.raises(ValueError, match="token embedding was not loaded"):
        TextEncoder(tokenizer, model)


def save_folder(folder: Path, tokenizer: PreTrainedTokenizerFast, **settings: object) -> Path:
    tokenizer.save_pretrained(folder / "tokenizer")
    tiny_model(**settings).save_pretrained(folder / "text_encoder")
    return folder / "text_encoder" / "model.safetensors"


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kept", ["shared.weight", "encoder.embed_tokens.weight"])
def test_a_folder_loads_whichever_name_its_token_embedding_has(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, tied: bool, kept: str
) -> None:
    weights = save_folder(tmp_path, tokenizer, tie_word_embeddings=tied)
    tensors = load_file(weights)
    embedding = tensors.pop("shared.weight")
    tensors.pop("encoder.embed_tokens.weight", None)
    save_file(tensors | {kept: embedding}, weights, metadata={"format": "pt"})

    model = tiny_model(tie_word_embeddings=tied)
    assert torch.equal(model.shared.weight, embedding)
    model.encoder.embed_tokens.weight = model.shared.weight
    expected = TextEncoder(tokenizer, model).encode("a red fox")
    loaded = TextEncoder.from_pretrained(tmp_path, "cpu", torch.float32)
    assert torch.equal(loaded.encode("a red fox"), expected)


def test_a_folder_loads_in_the_wanted_dtype(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    save_folder(tmp_path, tokenizer)
    encoder = TextEncoder.from_pretrained(tmp_path, "cpu", torch.bfloat16)
    assert encoder.encode("a red fox").dtype == torch.bfloat16


def test_a_folder_that_lacks_a_weight_or_a_part_is_refused_by_name(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(CheckpointError, match=r"text_encoder: no text encoder here"):
        TextEncoder.from_pretrained(tmp_path, "cpu", torch.float32)
    weights = save_folder(tmp_path, tokenizer)
    tensors = load_file(weights)
    del tensors["encoder.block.1.layer.0.SelfAttention.q.weight"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"text_encoder: lacks encoder\.block\.1\.\S+\.q\."):
        TextEncoder.from_pretrained(tmp_path, "cpu", torch.float32)


def wan_tensors() -> dict[str, Tensor]:
    """The tiny model's weights under the names of Wan's own file."""
    state = tiny_model().state_dict()
    renamed = {
        "token_embedding.weight": state["shared.weight"],
        "norm.weight": state["encoder.final_layer_norm.weight"],
    }
    for block in range(2):
        for ours, theirs in PARTS.items():
            name = f"blocks.{block}.{ours}.weight"
            renamed[name] = state[f"encoder.block.{block}.{theirs}.weight"]
    return renamed


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_wans_own_file_loads_and_encodes_alike(
    tmp_path: Path, encoder: TextEncoder, tokenizer: PreTrainedTokenizerFast, suffix: str
) -> None:
    path = tmp_path / f"t5.{suffix}"
    tensors = wan_tensors()
    save_file(tensors, path) if suffix == "safetensors" else torch.save(tensors, path)
    loaded = TextEncoder(tokenizer, load_umt5(path, CONFIG, dtype=torch.float32))
    assert torch.equal(loaded.encode("a red fox"), encoder.encode("a red fox"))


def test_the_token_embedding_is_held_once_even_when_cast() -> None:
    model = load_umt5(wan_tensors(), CONFIG, dtype=torch.bfloat16)
    assert model.encoder.embed_tokens.weight is model.shared.weight
    assert model.shared.weight.dtype == torch.bfloat16


def test_wans_file_with_a_lost_or_strange_name_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t5.safetensors"
    tensors = wan_tensors()
    save_file({name: value for name, value in tensors.items() if name != "norm.weight"}, path)
    with pytest.raises(CheckpointError, match=r"t5\.safetensors: lacks encoder\.final_layer_norm"):
        load_umt5(path, CONFIG)
    save_file(tensors | {"blocks.0.attn.z.weight": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match=r"t5\.safetensors: 'blocks\.0\.attn\.z\.weight'"):
        load_umt5(path, CONFIG)
    save_file({name: value for name, value in tensors.items() if "token" not in name}, path)
    with pytest.raises(CheckpointError, match=r"t5\.safetensors: lacks .*embed_tokens"):
        load_umt5(path, CONFIG)
