"""Uploads are read as a player shows them: the table that the client's reader keeps to as well."""

import pytest
from support.videos_as_shown import Case, cases

from framewire.worker.clips.video import VideoReader

TABLE = cases()


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
def test_a_video_is_read_as_it_is_shown(case: Case) -> None:
    reader = VideoReader(case.data, *case.size)
    taken = reader.take(len(case.shown))
    assert reader.take(1) == []
    reader.close()
    case.check(taken)
