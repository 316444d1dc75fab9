"""Weights and kernels are kept on the volume, kernels apart for each kind of GPU."""

from pathlib import Path

import pytest

from framewire.worker.on_fal.volume import gpu_name, use_volume


def test_downloads_and_kernels_go_to_the_volume(tmp_path: Path) -> None:
    places = []
    for gpu in ("nvidia-h100", "nvidia-b200"):
        environ: dict[str, str] = {}
        use_volume(tmp_path, environ, gpu)
        assert all(Path(folder).is_dir() for folder in environ.values())
        assert all(Path(folder).is_relative_to(tmp_path) for folder in environ.values())
        places.append(environ)
    first, second = places
    assert first["HF_HOME"] == second["HF_HOME"]
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        assert first[name] != second[name]


def test_what_is_set_already_stays(tmp_path: Path) -> None:
    environ = {"HF_HOME": str(tmp_path / "mine")}
    use_volume(tmp_path, environ, "cpu")
    assert environ["HF_HOME"] == str(tmp_path / "mine")


def test_without_a_volume_nothing_changes(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    use_volume(tmp_path / "none", environ, "cpu")
    assert environ == {}


def test_a_gpu_is_named_as_a_folder_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_name() == "cpu"
    for script, name in (
        ("echo 'NVIDIA H100 80GB HBM3'; echo 'NVIDIA H100 80GB HBM3'", "nvidia-h100-80gb-hbm3"),
        ("exit 9", "cpu"),
        ("true", "cpu"),
    ):
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        assert gpu_name() == name
