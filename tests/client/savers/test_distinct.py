"""No output is a file that is read, or another output: by identity, before anything is touched."""

import os
from pathlib import Path

import pytest
from support.servers.stand_in import picture

from framewire.client import Recorder, SaveError, saver_for
from framewire.client.savers import refuse_shared_files


def refuse(outputs: list[str], inputs: list[Path]) -> None:
    refuse_shared_files(
        [(f"--out {name}", saver_for(name)) for name in outputs],
        [(f"--input {path}", path) for path in inputs],
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip under several names, and a folder of pictures, which is also where we are."""
    (tmp_path / "c.mp4").write_bytes(b"mine")
    (tmp_path / "link.mp4").symlink_to("c.mp4")
    os.link(tmp_path / "c.mp4", tmp_path / "hard.mp4")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/frame_000003.jpg").write_bytes(picture(3))
    (tmp_path / "pictures/cat.png").write_bytes(b"mine")
    (tmp_path / "also").symlink_to("pictures")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("output", "read"),
    [
        ("c.mp4", "c.mp4"),
        ("./c.mp4", "c.mp4"),
        ("pictures/../c.mp4", "c.mp4"),
        ("new/../c.mp4", "c.mp4"),
        ("link.mp4", "c.mp4"),
        ("c.mp4", "link.mp4"),
        ("hard.mp4", "c.mp4"),
        ("pictures/", "pictures"),
        ("also/", "pictures"),
        ("pictures", "also"),
        ("pictures/cat.png", "pictures"),
        ("pictures/", "pictures/frame_000003.jpg"),
        ("also/", "pictures/frame_000003.jpg"),
    ],
)
def test_an_output_is_no_input_under_any_name(folder: Path, output: str, read: str) -> None:
    """Another spelling, links of both kinds, through folders; a folder is all its frames."""
    before = sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))
    with pytest.raises(SaveError, match="is the same file as --input"):
        refuse([output], [folder / read])
    with pytest.raises(SaveError, match="is the same file as --input"):
        refuse(["other.mp4", str(folder / output)], [Path(read)])
    assert before == sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("c.mp4", "c.mp4"),
        ("c.mp4", "link.mp4"),
        ("new.mp4", "./new.mp4"),
        ("new/a.mp4", "new/../new/a.mp4"),
        ("pictures/a.gif", "also/a.gif"),
        ("new.mp4", "NEW.mp4"),
        ("new/", "new"),
        ("new/", "new/frame_000000.jpg"),
        ("x.mp4", "x.part.mp4"),
        ("x.part.mp4", "x.mp4"),
        ("-", "/dev/stdout"),
    ],
)
def test_two_outputs_are_two_files(folder: Path, one: str, other: str) -> None:
    """Those that do not exist yet too, and where case may not tell them apart."""
    with pytest.raises(SaveError, match=r"--out .* and --out .* same file"):
        refuse([one, other], [])
    if one != "-":
        with pytest.raises(SaveError, match="same file"):
            Recorder([saver_for(one), saver_for(other)])


@pytest.mark.parametrize(
    ("outputs", "read"),
    [
        (["new.mp4", "new.gif", "new/", "new/sheet.png"], "c.mp4"),
        (["pictures/new.png"], "pictures"),
        (["also/"], "pictures/cat.png"),
        (["/dev/null", "/dev/null"], "/dev/null"),
        (["c.part.mp4"], "c.mp4"),
    ],
)
def test_what_is_not_the_same_is_allowed(folder: Path, outputs: list[str], read: str) -> None:
    """Devices destroy nothing; a new file in a folder of pictures is none of them."""
    refuse(outputs, [Path(read)])


def test_names_that_exist_and_differ_in_case_are_told_apart(folder: Path) -> None:
    """Where the file system does."""
    (folder / "C.MP4").write_bytes(b"another")
    if (folder / "c.mp4").read_bytes() == b"another":
        pytest.skip("this file system takes no notice of case")
    refuse(["C.MP4", "c.mp4"], [])


def test_standard_output_may_be_a_file_too(folder: Path) -> None:
    """`--out - > x.mp4 --out x.mp4`."""
    with (folder / "x.mp4").open("wb") as file, pytest.raises(SaveError, match="same file"):
        refuse([f"/dev/fd/{file.fileno()}", "x.mp4"], [])
