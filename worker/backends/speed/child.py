"""A process that tries options: `python -m framewire.worker.backends.speed.child`, see `proof`.

It makes a few small blocks of a model of the preset's layers, two of them with random weights, by
the plain way and by the options, and says how far they are apart.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from framewire.worker.backends.children import end_with_parent
from framewire.worker.engine.build import Build, random_engine
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset
from framewire.worker.engine.tiny.model import TINY, load_tiny

from .parts import plain
from .proof import Subject

_SIDE = 128
_LAYERS = 2
_PROMPT = "a red fox runs through snow"


class Trial:
    """Streams of one subject; those of the plain way are remembered."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._preset = small(subject.preset)
        self._device = torch.device(subject.device)
        self._plain: dict[EngineOptions, list[Tensor]] = {}

    def error(self, options: EngineOptions) -> float:
        """The largest relative error of any block's latents or pictures; NaN counts as infinite."""
        usual = plain(options)
        if usual not in self._plain:
            self._plain[usual] = self._made(usual)
        return most_apart(self._made(options), self._plain[usual])

    @torch.no_grad()
    def _made(self, options: EngineOptions) -> list[Tensor]:
        """Latents [F, C, h, w] and pictures [T, 3, H, W] of each block, float32 on the CPU."""
        engine, preset = self._engine(options), self._preset
        context = min(preset.context_frames, max(5, 2 * preset.block_frames))
        params = StreamParams.of(preset, seed=1, kv_cache_num_frames=context)
        stream = engine.open(_PROMPT, params)
        decoder = engine.decoder.open_decoder()
        made = []
        for block in range(4 + -(-context // preset.block_frames)):
            pictures = None
            if preset.follows_input or options.batch_steps:
                pictures = _grey(stream.pictures_needed, block, params)
            latents = stream.denoise_block(pictures)
            stream.decode_block(latents)
            if latents.shape[0]:
                made += [latents, engine.decoder.decode(latents, decoder)]
        return [tensor.float().cpu() for tensor in made]

    def _engine(self, options: EngineOptions) -> Engine:
        if self._preset.name == TINY.name:
            return load_tiny(self._device, options=options)
        dtype, vae_dtype = (
            getattr(torch, name) for name in (self._subject.dtype, self._subject.vae_dtype)
        )
        return random_engine(self._preset, Build(self._device, dtype, vae_dtype, options))


def small(preset: Preset) -> Preset:
    """The same layers, fewer of them, and smaller pictures; `tiny` is small as it is."""
    if preset.name == TINY.name:
        return preset
    return replace(
        preset,
        dims=replace(preset.dims, layers=min(preset.dims.layers, _LAYERS)),
        width=min(preset.width, _SIDE),
        height=min(preset.height, _SIDE),
    )


def most_apart(made: Sequence[Tensor], plain: Sequence[Tensor]) -> float:
    """The largest relative error of tensors against others; infinite where it is no number."""
    if len(made) != len(plain):
        return math.inf
    return max(_apart(one, other) for one, other in zip(made, plain, strict=True))


def _apart(made: Tensor, plain: Tensor) -> float:
    if made.shape != plain.shape or not bool(plain.isfinite().all()):
        return math.inf
    difference = float((made - plain).norm())
    if difference == 0:
        return 0.0
    error = difference / float((plain - plain.mean()).norm() or math.nan)
    return error if math.isfinite(error) else math.inf


def _grey(count: int, block: int, params: StreamParams) -> Tensor:
    """Input pictures, uint8 [T, H, W, 3]."""
    shades = torch.arange(count * block, count * (block + 1), dtype=torch.uint8) + 96
    return shades[:, None, None, None].expand(count, params.height, params.width, 3)


def main() -> int:
    """Answer until the worker has no more to ask, or something has failed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(lambda: os.killpg(0, signal.SIGKILL))
    channel = Connection(int(sys.argv[1]))
    subject: Subject = pickle.loads(channel.recv_bytes())
    if subject.threads:
        torch.set_num_threads(subject.threads)
    trial = Trial(subject)
    _say(channel, ready=True)
    while True:
        try:
            options: EngineOptions = pickle.loads(channel.recv_bytes())
        except EOFError:
            return 0
        try:
            _say(channel, error=trial.error(options))
        except Exception as error:  # noqa: BLE001 (a kernel or a compiler may raise anything)
            lines = str(error).strip().splitlines()
            _say(channel, failed=f"{type(error).__name__}: {lines[0] if lines else ''}")
            return 1


def _say(channel: Connection, **said: object) -> None:
    channel.send_bytes(json.dumps(said).encode())


if __name__ == "__main__":
    sys.exit(main())
