"""A disk that is full, from the first byte or later: an error in words, and never a crash."""

import subprocess
import sys
from pathlib import Path

import av
import pytest
from support.frames_made import frame

from framewire.client import Recorder, SaveError, saver_for

ENDINGS = ["mp4", "mov", "mkv", "webm", "gif", "png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_disk_full_from_the_first_byte_ends_one_output_and_not_the_other(
    tmp_path: Path, ending: str
) -> None:
    """A container whose header failed is not flushed: FFmpeg would crash."""
    full, other = tmp_path / f"full.{ending}", tmp_path / f"other.{ending}"
    full.symlink_to("/dev/full")
    with pytest.raises(SaveError, match=f"full.{ending}: No space left on device"):
        async with Recorder([saver_for(str(full)), saver_for(str(other))]) as recorder:
            for index in range(20):
                await recorder.write(frame(index))
    (saved,) = recorder.saved
    assert saved.path == other
    with av.open(str(other)) as video:
        assert sum(1 for _ in video.decode(video=0)) == (1 if ending == "png" else 20)
    assert full.is_char_device()


CODE = """
import resource, signal, sys
sys.path.insert(0, sys.argv[1])
from support.frames_made import frame
from framewire.client import SaveError, saver_for

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
saver = saver_for(sys.argv[2])
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
try:
    saver.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), most))
    for index in range(120):
        saver.write(frame(index), None)
except SaveError as error:
    print("failed:", error)
try:
    saver.close()
except SaveError as error:
    print("failed:", error)
print("frames:", saver.saved and saver.saved.frames)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size there")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("room", [0, 40, 600, 1500, 3000])
def test_a_disk_that_gets_full_leaves_what_plays_or_what_was_there(
    tmp_path: Path, ending: str, room: int
) -> None:
    """In the header, in the first frame, later; in a process of its own, which must not crash."""
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"mine")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(Path(__file__).parents[2]), str(path), str(room)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stdout
    frames = done.stdout.splitlines()[-1].removeprefix("frames: ")
    if frames == "None":
        assert path.read_bytes() == b"mine"
    else:
        with av.open(str(path)) as video:
            assert sum(1 for _ in video.decode(video=0)) >= max(1, int(frames) - 1)
    assert list(tmp_path.iterdir()) == [path]
