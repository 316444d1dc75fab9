"""The small text encoder reads known words, in their order, and nothing else."""

import torch

from framewire.worker.engine.tiny.text import TEXT_TOKENS, TinyTextEncoder


def _encoder() -> TinyTextEncoder:
    torch.manual_seed(0)
    return TinyTextEncoder(["red", "blue", "circle", "over"], width=32).eval()


def test_unknown_words_change_nothing() -> None:
    """A prompt with words from outside its world means what its known words say."""
    encoder = _encoder()
    plain = encoder.encode("red circle")
    assert torch.equal(encoder.encode("A magnificent RED, gleaming circle!!"), plain)


def test_word_order_counts() -> None:
    """`red over blue` isn't `blue over red`."""
    encoder = _encoder()
    one, other = encoder.encode("red over blue"), encoder.encode("blue over red")
    assert not torch.allclose(one, other)


def test_embeds_are_zero_after_the_last_word() -> None:
    """The form is that of the large encoder: zero rows after the text's end, also without text."""
    encoder = _encoder()
    for text, used in (("red circle", 3), ("", 1), ("red " * 100, TEXT_TOKENS)):
        embeds = encoder.encode(text)
        assert embeds.shape == (TEXT_TOKENS, 32)
        assert embeds[:used].abs().sum(1).min() > 0
        assert not embeds[used:].any()
