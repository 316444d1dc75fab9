"""GIF's clock: hundredths of a second, and players slow down what is shorter than two of them."""

from pathlib import Path

import pytest
from PIL import Image
from support.frames_made import frame

from framewire.client.savers import GifSaver


def delays(path: Path) -> list[int]:
    """Milliseconds that each frame is shown."""
    found = []
    with Image.open(path) as gif:
        for index in range(gif.n_frames):  # type: ignore[attr-defined]
            gif.seek(index)
            found.append(int(gif.info["duration"]))
    return found


@pytest.mark.parametrize("fps", [10, 16, 24, 30, 48, 50, 60, 75, 100, 120, 240, 1000])
def test_no_frame_is_shown_for_less_than_20_ms_and_the_length_is_right(
    tmp_path: Path, fps: float
) -> None:
    """Above 50 a second frames are left out, and told of."""
    saver = GifSaver(tmp_path / "a.gif", fps=fps)
    saver.open()
    count = 90
    for index in range(count):
        saver.write(frame(index), None)
    saver.close()
    shown = delays(tmp_path / "a.gif")
    assert min(shown) >= 20
    assert sum(shown) == pytest.approx(1000 * count / fps, abs=30)
    saved = saver.saved
    assert saved is not None
    assert saved.frames == len(shown) == (count if fps <= 50 else saved.frames)
    assert saved.seconds == pytest.approx(count / fps)
    assert bool(saved.notes) == (fps > 50)
