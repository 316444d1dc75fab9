"""The models that come with the worker, in this process: it has loaded torch already."""

import pytest

from framewire.worker.backends.base import Backend


def small_model(name: str) -> Backend:
    """On one thread, since the same bytes take the same number; warmed up for 64x64 alone."""
    pytest.importorskip("diffusers")
    from framewire.worker.backends.presets import servable_presets
    from framewire.worker.models.setup import ModelSetup

    return servable_presets()[name].make(ModelSetup(device="cpu", threads=1, warm_sizes="64x64"))
