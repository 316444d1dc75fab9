"""Clips are read as a player shows them: the table that the worker's reader keeps to as well."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.videos_as_shown import Case, cases

from framewire.client.live_input.clip import clip_from

TABLE = cases()


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
def test_a_video_is_read_as_it_is_shown(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "clip"
    path.write_bytes(case.data)
    clip = clip_from(str(path))
    assert clip.size == case.size
    assert clip.fps == 16
    pictures = [one for one in clip.pictures() if isinstance(one, bytes)]
    case.check([np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for one in pictures])
