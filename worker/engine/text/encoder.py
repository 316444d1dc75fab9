"""Prompts to embeddings: cleaning, the tokenizer, the UMT5 encoder, and a cache.

The form is the one that Wan's transformer was trained on: 512 rows, zeros after the prompt's last
token (the transformer attends to all of them, so the zeros carry weight).
"""

from __future__ import annotations

import html
import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Self

import ftfy
import torch
from torch import Tensor
from transformers import AutoTokenizer

from .weights import from_folder

LENGTH = 512
"""Rows of a prompt's embeddings; longer prompts are cut."""
_CACHED = 64

_SPACES = re.compile(r"\s+")


def clean(text: str) -> str:
    """Mend a prompt's encoding, HTML entities (twice) and white space, as Wan's training did."""
    mended = html.unescape(html.unescape(ftfy.fix_text(text)))
    return _SPACES.sub(" ", mended).strip()


class TextEncoder:
    """A tokenizer and a UMT5 encoder. Safe to call from several threads."""

    def __init__(
        self, tokenizer: Any, model: Any, *, length: int = LENGTH, cached: int = _CACHED
    ) -> None:
        """Take a transformers tokenizer and a `UMT5EncoderModel` on its device, in its dtype.

        Args:
            length: rows of a result.
            cached: texts whose embeddings are kept; the one used longest ago goes first.

        Raises:
            ValueError: the encoder's token embedding isn't the shared one, so one of the two was
                never loaded.
        """
        shared, used = model.shared.weight, model.encoder.embed_tokens.weight
        if shared is not used and not torch.equal(shared, used):
            raise ValueError(
                "the text encoder's token embedding was not loaded: "
                "encoder.embed_tokens.weight must be shared.weight"
            )
        self._tokenizer = tokenizer
        self._model = model.eval().requires_grad_(False)
        self._length = length
        self._cached = cached
        self._cache: OrderedDict[str, Tensor] = OrderedDict()
        self._cache_lock = threading.Lock()
        self._model_lock = threading.Lock()

    @classmethod
    def from_pretrained(cls, folder: Path, device: torch.device | str, dtype: torch.dtype) -> Self:
        """Load the `tokenizer` and `text_encoder` folders of a model in diffusers' layout.

        Nothing is downloaded.

        Raises:
            CheckpointError: a folder or a weight is missing.
        """
        model = from_folder(folder / "text_encoder", torch.device(device), dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        return cls(tokenizer, model)

    @property
    def text_dim(self) -> int:
        """Width of an embedding (4096 for UMT5-XXL)."""
        return int(self._model.config.d_model)

    def encode(self, text: str) -> Tensor:
        """Embed one prompt.

        Returns:
            [512, text_dim] on the model's device and in its dtype, zero after the last token.
            The caller's own: changing it changes no later result.
        """
        rows = self._rows(clean(text))
        padded = rows.new_zeros(self._length, rows.shape[1])
        padded[: len(rows)] = rows
        return padded

    def _rows(self, text: str) -> Tensor:
        """The embeddings of the true tokens only, [n, text_dim], from the cache if they are there.

        The cache has a lock of its own, so that a known prompt never waits for another's encoding.
        """
        with self._cache_lock:
            if text in self._cache:
                self._cache.move_to_end(text)
                return self._cache[text]
        with self._model_lock:
            with self._cache_lock:  # another thread may have encoded it meanwhile
                if text in self._cache:
                    return self._cache[text]
            rows = self._run(text)
        with self._cache_lock:
            self._cache[text] = rows
            while len(self._cache) > self._cached:
                self._cache.popitem(last=False)
        return rows

    @torch.no_grad()
    def _run(self, text: str) -> Tensor:
        # Padding is masked out of attention and zeroed afterwards: leaving it out changes nothing
        # but the time, which is that of the prompt's tokens and not of 512.
        tokens = self._tokenizer(
            text,
            truncation=True,
            max_length=self._length,
            add_special_tokens=True,
            return_tensors="pt",
        )
        ids = tokens["input_ids"].to(self._model.device)  # [1, n]
        rows: Tensor = self._model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        return rows  # [n, text_dim]
