"""Streams of a model behind the engine: one backend a preset, one `WanSession` a viewer.

The lane denoises; decoding and the copy to main memory are the call that `next_block` returns, but
for the part that the next context needs (see `wan_session`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

import torch

from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.context.memory import window_frames
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.lora.chosen import ChosenAdapter
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams, check_switch
from framewire.worker.engine.preset import FRAMES_PER_LATENT, PIXEL_MULTIPLE, Preset, PromptSwitch
from framewire.worker.engine.ranks.leader import Ranks, RanksLost, check_ranks
from framewire.worker.engine.vae.layout import fastest_kernels
from framewire.worker.models.setup import ModelSetup, separated

from .base import BackendBroken, Blend, CapacityError, Defaults, Settings, SettingsError
from .devices import devices_of
from .ranks.processes import RankProcesses
from .speed.parts import Resolved
from .wan_memory import Budget, Footprint, free_bytes
from .wan_overlap import Encoded, Overlap
from .wan_session import WanSession, warm_up

logger = logging.getLogger(__name__)

MOST_PLACES = 64


class WanBackend:
    """A `Backend` over one engine.

    Args:
        build: makes the engine; called on the lane, when the worker loads and `ranks` have joined.
        native: the model knows one size only; streams of other sizes are scaled from it.
        adapters: what the engine is built with; of live ones a stream may change the strengths.
        resolve: finds the options of the setup's speed, on the lane, before the engine is built.
    """

    def __init__(
        self,
        preset: Preset,
        build: Callable[[], Engine],
        setup: ModelSetup | None = None,
        *,
        native: bool = False,
        adapters: Sequence[ChosenAdapter] = (),
        resolve: Callable[[], Resolved] | None = None,
    ) -> None:
        self.name = preset.name
        self.preset = preset
        self.native = native
        self.setup = setup or ModelSetup()
        self._build = build
        self._resolve = resolve
        self._resolved = Resolved("faithful", self.setup.options)
        self._adapters = tuple(adapters)
        live = self._adapters if self.setup.lora_live else ()
        self._devices = devices_of(self.setup)
        if len(self._devices) > 1:
            check_ranks(preset, self.setup.options, len(self._devices))
            if live:
                raise ValueError("lora_live is for one GPU: without it adapters are merged")
        self._switches = _switches(preset, self.setup)
        self._processes: RankProcesses | None = None
        self._tell_broken: Callable[[], object] = lambda: None
        self._engine: Engine | None = None
        self._footprint: Footprint | None = None
        self.budget = Budget(0)
        self._warmed: list[StreamParams] = []
        self._open: dict[WanSession, StreamParams] = {}
        self.load_seconds = 0.0
        self.overlap = Overlap(torch.device("cpu"))
        self.defaults = Defaults(
            width=832 if native else preset.width,
            height=480 if native else preset.height,
            num_denoising_steps=preset.num_denoising_steps,
            strength=preset.strength,
            timestep_shift=preset.timestep_shift,
            kv_cache_num_frames=preset.context_frames,
            interp_steps=preset.interp_steps,
            multiple=PIXEL_MULTIPLE,
            follows_start_frame=preset.follows_input,
            first_block_frames=preset.first_pictures,
            block_frames=FRAMES_PER_LATENT * preset.block_frames,
            needs_input=self.setup.options.batch_steps,
            loras={one.name: one.strength for one in live},
            prompt_switches=self._switches if preset.context == "appended" else (),
        )

    @property
    def options(self) -> EngineOptions:
        """What the engine is built with: those of the setup, and what its speed adds."""
        return self._resolved.options

    def speed(self) -> dict[str, Any]:
        """What came of the setup's speed, once loaded."""
        return self._resolved.as_json()

    @property
    def engine(self) -> Engine:
        """The loaded engine."""
        assert self._engine is not None, "the backend is not loaded"
        return self._engine

    def load(self) -> None:
        """Build the engine and run every shape of the sizes that are to be warm.

        What an earlier load has left behind is given up, and its sessions are over. Where what the
        speed adds fails after all, on the whole model, the engine is built without it.
        """
        self._give_up()
        if self.setup.threads:
            torch.set_num_threads(self.setup.threads)
        if self._resolve is not None:
            self._resolved, self._resolve = self._resolve(), None
        try:
            self._load()
        except (RanksLost, CheckpointError, OSError):  # which no part is at fault for
            raise
        except Exception as error:
            if not self._resolved.parts:
                raise
            reason = f"{type(error).__name__} on the whole model"
            logger.warning(
                "%s: --speed %s goes without any of its parts: %s: %s",
                self.name,
                self._resolved.asked,
                reason,
                (str(error).strip().splitlines() or [""])[0],
            )
            self._resolved = self._resolved.without_parts(self.setup.options, reason)
        else:
            return
        self._give_up()
        _release_unused(self._devices[0])
        self._load()

    def _load(self) -> None:
        began = time.perf_counter()
        if len(self._devices) > 1:
            self._processes = RankProcesses(
                self._devices,
                threads=self.setup.threads,
                timeout=self.setup.rank_timeout,
                on_loss=self._tell_broken,
            )
        self._engine = engine = self._build()
        self.load_seconds = time.perf_counter() - began
        device = engine.transformer.device
        self.overlap = Overlap(device)
        self.budget = Budget(free_bytes(device))
        self._footprint = Footprint(engine)
        takes = engine.shared.takes_prompts_mid_block
        self.defaults = replace(self.defaults, mid_block_prompts=takes)
        logger.info("%s: loaded on %s in %.1f s", self.name, device, self.load_seconds)
        own = (self.preset.width, self.preset.height)
        for width, height in (own,) if self.native else self.setup.sizes(own):
            self._warm(width, height)
        if not self.setup.warm_on_demand:
            engine.stop_compiling()
        if self.ranks is not None:
            self.ranks.settled = True
        need = self._footprint.of(self._params())
        logger.info(
            "%s: %.1f GB free, %.2f GB a stream of %dx%d and %.1f GB shared: room for %d",
            self.name,
            self.budget.total / 1e9,
            need.own / 1e9,
            self.preset.width,
            self.preset.height,
            need.scratch / 1e9,
            self.places(),
        )

    def places(self) -> int:
        """How many streams of the preset's size there is room for, once loaded."""
        assert self._footprint is not None, "the backend is not loaded"
        return min(self.budget.places(self._footprint.of(self._params())), MOST_PLACES)

    def made_with(self) -> dict[str, str | int]:
        """Device, dtype, threads, torch, and what of the options departs from the reference."""
        engine, usual = self.engine, EngineOptions()
        device, dtype = engine.transformer.device, engine.transformer.dtype
        on_gpu = device.type == "cuda"
        options = asdict(engine.options)
        changed = [
            f"{key}={value}" for key, value in options.items() if value != getattr(usual, key)
        ]
        return {
            "preset": self.preset.name,
            "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
            "dtype": str(dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            **({"num_gpus": len(self._devices)} if len(self._devices) > 1 else {}),
            **({"loras": self._adapted()} if self._adapters else {}),
            **({"prompt_switch": self._switches[0]} if self.setup.prompt_switches else {}),
            "speed": ", ".join(changed) or "as the reference",
            "torch": torch.__version__,
        }

    def _adapted(self) -> str:
        kept = "live" if self.setup.lora_live else "merged"
        return ", ".join(f"{one.name}={one.strength:g} {kept}" for one in self._adapters)

    def encode(self, prompt: str, blend: Blend | None) -> Encoded:
        """Prompt embeds, encoded beside the lane.

        Raises:
            CapacityError: the device ran out of memory.
        """
        engine = self.engine
        try:
            if blend is None:
                return self.overlap.encoded(lambda: engine.encode_prompt(prompt))
            return self.overlap.encoded(lambda: engine.encode_blend(blend))
        except torch.OutOfMemoryError as error:
            raise CapacityError("no memory to encode a prompt: try again later") from error

    def open(self, settings: Settings) -> WanSession:
        """Start a stream.

        Raises:
            SettingsError: a value is out of range, or the size can fit on no account.
            CapacityError: no room beside the streams that run; they are untouched.
        """
        assert self._footprint is not None, "the backend is not loaded"
        try:
            params = self._params(settings)
        except ValueError as error:
            raise SettingsError(str(error).split()[0], str(error)) from error
        self._check_input(settings)
        session = WanSession(self.engine, self.overlap, params, settings, self._closed)
        self.budget.take(session, self._footprint.of(params))
        try:
            session.begin()
        except torch.OutOfMemoryError as error:
            self.budget.give_back(session)
            _release_unused(self.engine.transformer.device)
            raise CapacityError("no memory for one more stream: try again later") from error
        except RanksLost as error:
            self.budget.give_back(session)
            raise BackendBroken(str(error)) from error
        except BaseException:
            self.budget.give_back(session)
            raise
        self._open[session] = params
        self._say_if_cold(params)
        return session

    @property
    def ranks(self) -> Ranks | None:
        """Those that share the transformer's work, while it is loaded on several devices."""
        return None if self._processes is None else self._processes.ranks

    def when_broken(self, tell: Callable[[], object]) -> None:
        """Call `tell`, on any thread, when a rank is lost."""
        self._tell_broken = tell

    def close(self) -> None:
        """Free everything."""
        self._give_up()

    def _give_up(self) -> None:
        """Let go of the engine and of the other ranks; sessions that still run fail."""
        for session in list(self._open):
            session.give_up()
        self._open.clear()
        self._warmed.clear()
        self._engine = self._footprint = None
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def _closed(self, session: WanSession) -> None:
        """Take back the room of a session that has freed what it held."""
        self.budget.give_back(session)
        self._open.pop(session, None)
        kept = [self._params(), *self._warmed, *self._open.values()]
        self.engine.scratch.trim(max(map(self._window, kept)))

    def _params(self, settings: Settings | None = None) -> StreamParams:
        """The engine's params of a stream."""
        if settings is None:
            dearest = "recache" if "recache" in self._switches else self._switches[0]
            return StreamParams.of(self.preset, prompt_switch=dearest)
        return StreamParams.of(
            self.preset,
            width=None if self.native else settings.width,
            height=None if self.native else settings.height,
            seed=settings.seed,
            num_denoising_steps=settings.num_denoising_steps,
            denoising_steps=settings.denoising_steps,
            strength=settings.strength,
            timestep_shift=settings.timestep_shift,
            kv_cache_num_frames=settings.kv_cache_num_frames,
            keep_first_frame=settings.keep_first_frame,
            noise_controller=settings.noise_controller,
            prompt_switch=settings.prompt_switch or self._switches[0],
            loras=settings.loras,
        )

    def _check_input(self, settings: Settings) -> None:
        """Refuse a stream from text that makes sense only with pictures to start from."""
        if settings.live:
            return
        if self.engine.options.batch_steps:
            raise SettingsError(
                "webcam_mode",
                "this worker batches the denoising steps of live input, so it needs input: set "
                "webcam_mode and send `image` maps",
            )
        steps, whole = settings.denoising_steps, self.preset.text_steps
        if steps and whole and steps[0] < whole[0]:
            raise SettingsError(
                "denoising_steps",
                f"steps from {steps[0]:g} on refine input pictures, and this stream has none: set "
                f"webcam_mode and send `image` maps, or begin at {whole[0]:g}",
            )

    def _window(self, params: StreamParams) -> int:
        """Tokens that the scratch cache must hold for a stream."""
        if self._footprint is None or not self._footprint.shares_cache:
            return 0
        return (
            window_frames(self.preset, params) * params.width * params.height // PIXEL_MULTIPLE**2
        )

    def _warm(self, width: int, height: int) -> None:
        """Run a stream of this size through every shape, and measure its peak."""
        assert self._footprint is not None
        began = time.perf_counter()
        params = replace(self._params(), width=width, height=height)
        device = self.engine.transformer.device
        peak = _Peak(device)
        tuned = self.engine.options.tune_convolutions
        with fastest_kernels() if tuned else nullcontext():
            for way in self._switches:
                warm_up(self.engine, replace(params, prompt_switch=way))
        if peak.bytes() is not None and not self._warmed:
            self._footprint.measured(peak.bytes() or 0, params)
        self._warmed.append(params)
        seconds = time.perf_counter() - began
        logger.info("%s: warmed up at %dx%d in %.1f s", self.name, width, height, seconds)

    def _say_if_cold(self, params: StreamParams) -> None:
        if any((params.width, params.height) == (one.width, one.height) for one in self._warmed):
            return
        if not self.options.compile:
            how = "its first blocks are slower"
        elif self.setup.warm_on_demand:
            how = "compiled as it comes, while other streams wait"
        else:
            how = "served without compilation"
        logger.info("%s: %dx%d was not warmed up: %s", self.name, params.width, params.height, how)


def _switches(preset: Preset, setup: ModelSetup) -> tuple[PromptSwitch, ...]:
    """What streams may ask for at a new prompt, the usual one first.

    Raises:
        ValueError: the preset's context doesn't have one of them.
    """
    ways = dict.fromkeys(separated(setup.prompt_switches) or (preset.prompt_switch,))
    return tuple(check_switch(way, preset) for way in ways)


class _Peak:
    """The most memory that is used above what is used now, where that can be told."""

    def __init__(self, device: torch.device) -> None:
        self._cuda: Any = torch.cuda if device.type == "cuda" else None
        self._device = device
        if self._cuda:
            self._cuda.reset_peak_memory_stats(device)
            self._before = self._cuda.memory_allocated(device)

    def bytes(self) -> int | None:
        """Bytes, or None where nothing counts them."""
        if not self._cuda:
            return None
        # What stays (caches) is counted apart, so only what came and went is of interest.
        now = max(self._before, self._cuda.memory_allocated(self._device))
        return int(self._cuda.max_memory_allocated(self._device) - now)


def _release_unused(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
