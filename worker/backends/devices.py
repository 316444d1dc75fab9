"""Which devices a setup means: one, or several that share each stream's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from framewire.worker.models.setup import ModelSetup

if TYPE_CHECKING:
    import torch


def devices_of(setup: ModelSetup) -> list[torch.device]:
    """The devices that a setup means, rank 0's first.

    Raises:
        ValueError: torch knows no such device, or there are not so many.
    """
    import torch

    names = setup.device.split(",")
    if setup.device == "auto":
        names = ["cuda" if torch.cuda.is_available() else "cpu"]
    try:
        devices = [torch.device(name.strip()) for name in names]
    except RuntimeError as error:
        raise ValueError(f"device {setup.device!r}: {str(error).splitlines()[0]}") from error
    if len(devices) == 1 and setup.num_gpus > 1:
        devices = _several(devices[0], setup.num_gpus)
    if setup.num_gpus > 1 and len(devices) != setup.num_gpus:
        raise ValueError(f"num_gpus {setup.num_gpus} and {len(devices)} devices: say one of them")
    if len(devices) > 1:
        _check(devices)
    return devices


def device_of(setup: ModelSetup) -> torch.device:
    """Rank 0's device, where all is but the other ranks' share of the transformer.

    Raises:
        ValueError: as `devices_of`.
    """
    return devices_of(setup)[0]


def _several(device: torch.device, count: int) -> list[torch.device]:
    import torch

    if device.type == "cpu":
        return [device] * count
    first = device.index or 0
    return [torch.device(device.type, first + index) for index in range(count)]


def _check(devices: list[torch.device]) -> None:
    import torch

    if len({device.type for device in devices}) > 1:
        raise ValueError("devices of one kind can share a stream's work, not of several")
    if devices[0].type != "cuda":
        return
    here = torch.cuda.device_count()
    places = [device.index or 0 for device in devices]
    if max(places) >= here:
        raise ValueError(f"{len(devices)} GPUs, up to cuda:{max(places)}: this machine has {here}")
    if len(set(places)) < len(places):
        raise ValueError("a GPU can be one rank of a stream only")
