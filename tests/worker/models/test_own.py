"""A user's own fine-tune: added by a TOML file, and taken wherever a preset is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from framewire.worker.backends import ModelSetup, choose
from framewire.worker.cli import main
from framewire.worker.models import own
from framewire.worker.models.catalogue import catalogue, presets

SOUND = """\
name = "our-fox-1.3b"
base = "self-forcing-1.3b"
licence = "CC-BY-4.0"
notice = "made from films of ours"
best_at = "foxes"
[files]
transformer = "fox.safetensors"
[differences]
num_denoising_steps = 3
sections = ["generator"]
"""


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "framewire.worker.cli", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def written(folder: Path, text: str = SOUND) -> Path:
    (folder / "fox.safetensors").write_bytes(b"weights")
    path = folder / "fox.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path


@pytest.mark.timeout(300)
def test_the_commands_take_a_model_of_ones_own(tmp_path: Path) -> None:
    """`models` lists it, `pull` gets what its base has, `bench` counts it, `serve` says what lacks."""
    added = run(tmp_path, "models", "add", str(written(tmp_path)), "--json")
    assert added.returncode == 0, added.stderr
    model = json.loads(added.stdout)["our-fox-1.3b"]
    assert (model["base"], model["licence"], model["steps"]) == (
        "self-forcing-1.3b", "CC-BY-4.0", 3,
    )  # fmt: skip
    (mine,) = [file for file in model["files"] if file["part"] == "transformer"]
    assert mine["path_here"] == str(tmp_path / "fox.safetensors") and mine["bytes"] == 7
    glance = run(tmp_path, "models").stdout
    assert "our-fox-1.3b" in glance and "* our-fox-1.3b: made from films of ours" in glance
    pulled = run(tmp_path, "pull", "our-fox-1.3b")
    assert pulled.returncode == 1
    assert "1 of 13 files are here already" in pulled.stderr
    assert "Wan-AI/Wan2.1-T2V-1.3B-Diffusers" in pulled.stderr
    served = run(tmp_path, "serve", "--preset", "our-fox-1.3b", "--port", "0")
    assert served.returncode == 2
    assert "framewire-worker pull our-fox-1.3b" in served.stderr
    removed = run(tmp_path, "models", "remove", "our-fox-1.3b")
    assert removed.returncode == 0 and (tmp_path / "fox.safetensors").exists()
    assert "our-fox-1.3b" not in run(tmp_path, "models").stdout


def test_bench_counts_it_with_its_differences(home: Path) -> None:
    pytest.importorskip("diffusers")
    from framewire.worker.bench.engine import run as bench

    own.add(written(home))
    assert bench.presets()["our-fox-1.3b"].num_denoising_steps == 3


def test_its_preset_is_the_base_s_but_for_the_differences(home: Path) -> None:
    own.add(written(home))
    mine, base = presets()["our-fox-1.3b"], presets()["self-forcing-1.3b"]
    assert (mine.num_denoising_steps, mine.sections) == (3, ("generator",))
    assert (mine.dims, mine.context, mine.context_frames) == (base.dims, base.context, 18)
    entry = catalogue()["our-fox-1.3b"]
    assert entry.paths("transformer") == [home / "fox.safetensors"]
    shared = {file for file in catalogue()["self-forcing-1.3b"].files if file.part != "transformer"}
    assert shared < set(entry.files)
    (home / "fox.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="isn't here: put it there"):
        catalogue()["our-fox-1.3b"].paths("transformer")
    with pytest.raises(ValueError, match=r"our-fox-1\.3b lacks"):
        choose("wan", ModelSetup(preset="our-fox-1.3b"))


def test_a_restricted_base_stays_so_and_a_whole_transformer_needs_no_adapter(home: Path) -> None:
    text = SOUND.replace('"self-forcing-1.3b"', '"longlive-1.3b"')
    own.add(written(home, text))
    entry = catalogue()["our-fox-1.3b"]
    assert entry.notice.startswith("made from films of ours. not for commercial use")
    assert "adapter" not in {file.part for file in entry.files}
    assert presets()["our-fox-1.3b"].adapter_section == ""


def test_a_file_on_the_hub_is_pulled_like_any_other(home: Path) -> None:
    own.add(written(home, SOUND.replace("fox.safetensors", "me/foxes/fox.safetensors")))
    (file,) = [one for one in catalogue()["our-fox-1.3b"].files if one.part == "transformer"]
    assert (file.repo, file.path, file.at) == ("me/foxes", "fox.safetensors", "")


def test_the_example_in_the_help_can_be_added(home: Path) -> None:
    assert own.add(written(home, own.EXAMPLE)).base == "self-forcing-1.3b"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "our-fox-1.3b"', 'name = "Our Fox"', "expected small letters"),
        ('name = "our-fox-1.3b"', 'name = "../fox"', "expected small letters"),
        ('name = "our-fox-1.3b"', 'name = "krea-realtime-14b"', "is another model's"),
        ('name = "our-fox-1.3b"', 'name = "tiny-fox"', "is another model's"),
        ('base = "self-forcing-1.3b"', 'base = "wan"', "choose one of krea-realtime-14b, self-"),
        ('licence = "CC-BY-4.0"', "licence = 4", "licence must be a text"),
        ("fox.safetensors", "wolf.safetensors", "wolf.safetensors': no such file"),
        ("transformer =", "clip =", "no key 'clip': choose of transformer, adapter, vae"),
        ("num_denoising_steps = 3", "steps_a_block = 3", "no key 'steps_a_block': choose of block_"),
        ("num_denoising_steps = 3", "num_denoising_steps = '3'", "should be a valid integer"),
        ("num_denoising_steps = 3", "num_denoising_steps = true", "should be a valid integer"),
        ("num_denoising_steps = 3", "num_denoising_steps = 0", "greater than or equal to 1"),
        ("num_denoising_steps = 3", "context = 'circle'", "Input should be 'rebuilt'"),
        ("num_denoising_steps = 3", "width = 100", "width must be a positive multiple of 16"),
        ("num_denoising_steps = 3", "first_block_frames = 1", "a first block of another length"),
        ("[differences]", "[differences", "no TOML"),
        ('name = "our-fox-1.3b"', "", "it has no name"),
        ('name = "our-fox-1.3b"', 'name = "wan"', "is another model's"),
        ('licence = "CC-BY-4.0"', "licence = " + "[" * 3000, "no TOML"),
        ("fox.safetensors", "a\\u0000b", "no such file"),
        ("fox.safetensors", "f" * 5000, "no such file"),
        ("fox.safetensors", "~nobody-here/fox", "no such file"),
        ("num_denoising_steps = 3", "num_denoising_steps = 9", "less than or equal to 8"),
        ("num_denoising_steps = 3", "timestep_shift = nan", "should be a finite number"),
        ("num_denoising_steps = 3", "loader_shift = inf", "must be 0.1 to 20, got inf"),
        ("num_denoising_steps = 3", "width = 999999984", "less than or equal to 2048"),
        ("num_denoising_steps = 3", "context_frames = 1000000", "must be 1 to 512"),
        ("num_denoising_steps = 3", "sink_frames = -1", "must be 0 to 512"),
        ("num_denoising_steps = 3", "sink_frames = 18", "fewer than context_frames, 18"),
        ("num_denoising_steps = 3", "dropped_frames = 9", "nothing would be left"),
        ("num_denoising_steps = 3", "steps = [500, 750]", "must be timesteps that fall strictly"),
        ("num_denoising_steps = 3", "steps = [750, 500]", "has 2, and num_denoising_steps is 4"),
        ("num_denoising_steps = 3", "steps = []", "must be timesteps"),
        ('sections = ["generator"]', 'sections = "generator"', "should be a valid list"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_told_and_not_kept(
    home: Path, old: str, new: str, said: str
) -> None:
    pytest.importorskip("diffusers")
    assert old in SOUND
    with pytest.raises(own.OwnModelError, match=r"fox\.toml: .*") as caught:
        own.add(written(home, SOUND.replace(old, new)))
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert own.own_models() == {}


def test_a_name_may_begin_as_a_backend_s_does(home: Path) -> None:
    assert own.add(written(home, SOUND.replace("our-fox", "wanderer"))).name == "wanderer-1.3b"


def test_a_file_is_kept_by_the_path_that_was_given(home: Path) -> None:
    """A link, as the hub's cache has them, is not followed to a name that says nothing."""
    path = written(home)
    (home / "blob").write_bytes((home / "fox.safetensors").read_bytes())
    (home / "fox.safetensors").unlink()
    (home / "fox.safetensors").symlink_to("blob")
    assert own.add(path).files["transformer"] == str(home / "fox.safetensors")


@pytest.mark.parametrize("spoilt", ["{", "[]", "[" * 5000, '{"name": "our-fox-1.3b"}'])
def test_one_that_was_spoilt_by_hand_is_named_and_can_be_removed(
    home: Path, spoilt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By every command that looks models up, in a line; removing it mends them."""
    own.add(written(home))
    (own.folder() / "our-fox-1.3b.json").write_text(spoilt, encoding="utf-8")
    with pytest.raises(
        own.OwnModelError, match=r"our-fox-1\.3b\.json: .* models remove our-fox-1\.3b$"
    ):
        catalogue()
    planned = ["plan", "--viewers", "1", "--preset", "self-forcing-1.3b", "--gpu", "h100"]
    with pytest.raises(SystemExit):
        main(planned)
    assert "our-fox-1.3b.json" in capsys.readouterr().err.splitlines()[-1]
    assert main(["models"]) == 2
    assert main(["models", "remove", "our-fox-1.3b"]) == 0
    assert main(planned) == 0


def test_nothing_but_a_kept_model_is_removed(home: Path) -> None:
    own.add(written(home))
    (own.folder().parent / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(own.OwnModelError, match="no model of yours"):
        own.remove("../other")
    assert (own.folder().parent / "other.json").exists()


def test_adding_it_again_replaces_it_and_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(home)
    assert main(["models", "add", str(path)]) == 0
    assert "added our-fox-1.3b" in capsys.readouterr().err
    path.write_text(SOUND.replace("= 3", "= 2"), encoding="utf-8")
    assert main(["models", "add", str(path)]) == 0
    assert "replaced our-fox-1.3b" in capsys.readouterr().err
    assert presets()["our-fox-1.3b"].num_denoising_steps == 2
