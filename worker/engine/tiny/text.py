"""A small text encoder with the interface of `TextEncoder`: known words in, prompt embeds out.

Words that it doesn't know are left out, as if they had not been written. Trained together with the
tiny transformer by `examples/train_tiny`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

TEXT_TOKENS = 32
"""Rows of prompt embeds, the start token among them; longer prompts are cut."""
_PADDING, _START = 0, 1
_WORD = re.compile(r"[a-z]+")


class _Layer(nn.Module):
    """Attention and a two-layer perceptron, each after a norm and added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        """x: [B, L, width]; known: bool [B, L], which rows may be attended to."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))  # [B, L, 3, H, D]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(q, k, v, attn_mask=known[:, None, None])
        x = x + self.out(h.transpose(1, 2).flatten(2))
        x = x + self.mlp(self.norm2(x))
        return x


class TinyTextEncoder(nn.Module):
    """Word embeddings with positions and a few transformer layers."""

    def __init__(
        self, vocabulary: Sequence[str], *, width: int = 128, layers: int = 2, heads: int = 4
    ) -> None:
        """Random weights for a vocabulary of lower-case words."""
        super().__init__()
        self.vocabulary = tuple(vocabulary)
        self._ids = {word: index + 2 for index, word in enumerate(self.vocabulary)}
        self.words = nn.Embedding(len(self._ids) + 2, width)
        self.places = nn.Parameter(torch.randn(TEXT_TOKENS, width) * 0.3)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    @property
    def text_dim(self) -> int:
        """Width of an embedding."""
        return self.words.embedding_dim

    def ids(self, text: str) -> list[int]:
        """The start token and the known words of a text, `TEXT_TOKENS` ids, zeros at the end."""
        found = [self._ids[word] for word in _WORD.findall(text.lower()) if word in self._ids]
        row = [_START, *found][:TEXT_TOKENS]
        return row + [_PADDING] * (TEXT_TOKENS - len(row))

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [B, L] to prompt embeds [B, L, text_dim], zero where there is padding."""
        known = ids != _PADDING
        x = self.words(ids) + self.places
        for layer in self.layers:
            x = layer(x, known)
        embeds: Tensor = self.norm(x) * known[..., None]
        return embeds

    @torch.no_grad()
    def encode(self, text: str) -> Tensor:
        """Embed one prompt: [TEXT_TOKENS, text_dim], zero after the last known word."""
        ids = torch.tensor([self.ids(text)], device=self.places.device)
        embeds: Tensor = self(ids)[0]
        return embeds
