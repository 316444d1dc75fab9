"""Weight files in, tensors on a module out, with errors that name the file and the key.

Names are translated by the module that knows them: `weights` of the network, the VAE, the text.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

_NAMED = 5
Change = Callable[[str, Tensor], Tensor]
"""A tensor, by its name, made into another of its shape."""


class CheckpointError(ValueError):
    """A weight file cannot be used: unreadable, or its names or shapes don't fit the model."""


def read_tensors(
    path: Path, *, prefix: str = "", sections: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Read the tensors of one weight file whose names start with `prefix`, on the CPU.

    Files are mapped, not copied, so tensors that nobody touches cost no memory.

    Args:
        path: a `.safetensors` file, or a torch file (`.pth`, `.pt`, `.bin`) of tensors only.
        prefix: kept in the returned names.
        sections: of a torch file that holds several sets of tensors (a training checkpoint) the
            names of those that will do, the best first. A file without sections is taken whole.

    Raises:
        CheckpointError: the file is missing, damaged, holds more than tensors, or has no such name
            or section.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weight file")
    tensors = (
        _read_safetensors(path, prefix)
        if _is_safetensors(path)
        else _read_torch(path, prefix, sections)
    )
    if not tensors:
        named = f" whose name starts with {prefix!r}" if prefix else ""
        raise CheckpointError(f"{path}: holds no tensor{named}")
    return tensors


def assign(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    device: torch.device,
    dtype: torch.dtype,
    change: Change | None = None,
) -> None:
    """Make `tensors` the parameters of `module`, cast and placed one by one.

    A tensor that already has the device and dtype is taken as it is, not copied: it then shares
    its memory with the caller's.

    Args:
        module: built on the meta device, so that nothing is allocated twice.
        source: what the tensors were read from, for the error.
        change: what is made of each once it is on the device, before it is cast.

    Raises:
        CheckpointError: a name is missing or unknown, or a shape differs.
    """
    expected = {name: tensor.shape for name, tensor in module.state_dict().items()}
    _complain(source, "lacks", sorted(expected.keys() - tensors.keys()))
    _complain(source, "has unknown", sorted(tensors.keys() - expected.keys()))
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"{source}: {name} has shape {list(tensors[name].shape)}, "
                f"but this configuration needs {list(shape)}"
            )
    placed = {}
    for name, tensor in tensors.items():
        if change is not None:
            tensor = change(name, tensor.to(device))
        placed[name] = tensor.to(device=device, dtype=dtype)
    module.load_state_dict(placed, strict=True, assign=True)
    module.requires_grad_(False).eval()


def _is_safetensors(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _read_safetensors(path: Path, prefix: str) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name: file.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error})") from error


def _read_torch(path: Path, prefix: str, sections: Sequence[str]) -> dict[str, Tensor]:
    try:
        content = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a readable torch file of tensors ({error})") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not named tensors")
    if sections and not any(isinstance(value, Tensor) for value in content.values()):
        content = _section(path, content, sections)
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: {name!r} is a {type(value).__name__}, not a tensor")
    return {name: value for name, value in content.items() if name.startswith(prefix)}


def _section(
    path: Path, content: Mapping[str, object], sections: Sequence[str]
) -> Mapping[str, object]:
    """The first of `sections` that `content` has."""
    for name in sections:
        section = content.get(name)
        if isinstance(section, Mapping):
            return section
    held = ", ".join(sorted(map(str, content))[:_NAMED])
    raise CheckpointError(f"{path}: has none of the sections {', '.join(sections)}, but {held}")


def _complain(source: str, what: str, names: list[str]) -> None:
    if not names:
        return
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    raise CheckpointError(f"{source}: {what} {', '.join(names[:_NAMED])}{more}")
