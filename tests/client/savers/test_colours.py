"""Colours of videos: what a player shows that believes the tags is what the JPEG shows."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.frames_made import (
    first_picture_by_its_tag,
    frame,
    patch_means,
    patches_jpeg,
)

from framewire.client.savers import VideoSaver


@pytest.mark.parametrize("ending", ["mp4", "webm", "mov", "mkv"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_twelve_colours_are_tagged_and_within_3_of_the_jpegs(
    tmp_path: Path, ending: str, subsampling: int
) -> None:
    """BT.709, limited; untagged, a player takes BT.601 for small and BT.709 for large videos."""
    jpeg = patches_jpeg(832, 480, subsampling)
    path = tmp_path / f"a.{ending}"
    saver = VideoSaver(path)
    saver.open()
    for index in range(3):
        saver.write(frame(index, jpeg), None)
    saver.close()
    tags, shown = first_picture_by_its_tag(path)
    assert tags == (1, 1, 1, 1)
    (tmp_path / "a.jpg").write_bytes(jpeg)
    with Image.open(tmp_path / "a.jpg") as picture:
        meant = patch_means(np.asarray(picture.convert("RGB")))
    assert np.abs(patch_means(shown) - meant).max() <= 3


def test_a_grey_and_a_scaled_jpeg_keep_their_colours(tmp_path: Path) -> None:
    """The first decides the size; a JPEG need not have colours."""
    path = tmp_path / "a.mp4"
    Image.new("L", (64, 64), 200).save(tmp_path / "grey.jpg")
    saver = VideoSaver(path)
    saver.open()
    saver.write(frame(0, (tmp_path / "grey.jpg").read_bytes()), None)
    saver.write(frame(1, patches_jpeg(832, 480, 2)), None)
    saver.close()
    _, shown = first_picture_by_its_tag(path)
    assert np.abs(shown.reshape(-1, 3).mean(0) - 200).max() <= 3
