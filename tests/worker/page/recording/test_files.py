"""What the page records, in a real Chromium: the files as PyAV and a player see them."""

import io

import av
import pytest
from playwright.async_api import Browser
from support.recordings import FPS, KINDS, files, frames_of, image_of, opened, recorded
from support.servers.page_files import PageFiles, number_in

pytestmark = pytest.mark.browser
__all__ = ["files"]


@pytest.mark.parametrize("container", KINDS)
async def test_each_picture_is_one_frame_in_its_order_and_at_its_time(
    container: str, browser: Browser, files: PageFiles
) -> None:
    """All are added at once, so that the encoder is far behind; none is lost for that."""
    page = await opened(browser, files)
    said, data = await recorded(page, files, [(320, 240)] * 150, container=container)
    assert said == {
        "extension": container,
        "type": f"video/{container}",
        "note": "",
        "frames": 150,
        "added": 150,
        "waiting": said["waiting"],
    }
    assert said["waiting"] > 100
    frames = frames_of(data)
    assert [number_in(image_of(frame)) for frame in frames] == list(range(150))
    assert [frame.time for frame in frames] == pytest.approx(
        [number / FPS for number in range(150)], abs=0.001
    )
    red, green, blue = image_of(frames[0]).resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert abs(red - 120) < 25 and green < 50 and blue < 50


@pytest.mark.parametrize("container", KINDS)
async def test_a_file_has_its_length_and_an_index_in_front_and_can_be_sought_in(
    container: str, browser: Browser, files: PageFiles
) -> None:
    page = await opened(browser, files)
    _, data = await recorded(page, files, [(320, 240)] * 150, container=container, fps=12.5)
    index, pictures = (b"moov", b"mdat") if container == "mp4" else (b"\x1cS\xbbk", b"\x1fC\xb6u")
    assert 0 < data.index(index) < data.index(pictures)
    with av.open(io.BytesIO(data)) as file:
        stream = file.streams.video[0]
        assert file.duration == pytest.approx(150 / 12.5 * av.time_base, abs=1000)
        assert float(stream.average_rate or 0) == pytest.approx(12.5, abs=0.01)
        for second in (11, 3, 7.5):
            file.seek(int(second * av.time_base))
            first = next(file.decode(stream))
            assert second - 2 <= (first.time or 0) <= second
            assert number_in(image_of(first)) == round((first.time or 0) * 12.5)


@pytest.mark.parametrize("container", KINDS)
async def test_a_player_shows_the_length_and_jumps_to_any_place(
    container: str, browser: Browser, files: PageFiles
) -> None:
    page = await opened(browser, files)
    said = await page.evaluate(
        """async (type) => {
          const video = document.createElement("video");
          const heard = (name) => new Promise((resolve, reject) => {
            video.addEventListener(name, resolve, { once: true });
            video.addEventListener("error", () => reject(video.error.message), { once: true });
          });
          const { Recording } = await import("/page/recording/recording.js");
          const recording = new Recording({ container: type, fps: 16 });
          for (let number = 0; number < 100; number += 1) {
            recording.add(await (await fetch(`/${number}/320x240.jpg`)).blob());
          }
          const { blob } = await recording.file();
          video.muted = true;
          const known = heard("loadeddata");
          video.src = URL.createObjectURL(blob);
          await known;
          const sought = heard("seeked");
          video.currentTime = 5;
          await sought;
          return [video.duration, video.currentTime, video.videoWidth, video.videoHeight];
        }""",
        container,
    )
    assert said == pytest.approx([100 / FPS, 5, 320, 240], abs=0.01)


@pytest.mark.parametrize("container", KINDS)
async def test_a_picture_of_another_size_is_fitted_whole_into_that_of_the_first(
    container: str, browser: Browser, files: PageFiles
) -> None:
    """A start with another size goes on in the same file: neither cut nor pulled out of shape."""
    page = await opened(browser, files)
    sizes = [(320, 240)] * 5 + [(160, 240)] * 5 + [(640, 120)] * 5 + [(320, 240)] * 5
    _, data = await recorded(page, files, sizes, container=container)
    frames = [image_of(frame) for frame in frames_of(data)]
    assert {frame.size for frame in frames} == {(320, 240)}
    inner = [(0, 0, 320, 240), (80, 0, 240, 240), (0, 90, 320, 150), (0, 0, 320, 240)]
    shown = [number_in(frame.crop(inner[index // 5])) for index, frame in enumerate(frames)]
    assert shown == list(range(20))
    for index, corner in ((5, (40, 120)), (10, (160, 40))):
        assert max(frames[index].getpixel(corner)) < 40  # type: ignore[type-var,arg-type]


@pytest.mark.parametrize("container", KINDS)
async def test_sides_of_an_odd_length_get_one_pixel_more(
    container: str, browser: Browser, files: PageFiles
) -> None:
    page = await opened(browser, files)
    _, data = await recorded(page, files, [(321, 241)] * 10, container=container)
    frames = [image_of(frame) for frame in frames_of(data)]
    assert [number_in(frame) for frame in frames] == list(range(10))
    assert {frame.size for frame in frames} == {(322, 242)}
    red = frames[0].getpixel((321, 241))
    assert isinstance(red, tuple) and red[0] > 80, "no black edge"


@pytest.mark.parametrize("container", KINDS)
async def test_a_single_frame_makes_a_file(
    container: str, browser: Browser, files: PageFiles
) -> None:
    page = await opened(browser, files)
    said, data = await recorded(page, files, [(320, 240)], container=container)
    assert said["frames"] == 1 and len(frames_of(data)) == 1


@pytest.mark.parametrize("size", [(64, 64), (2048, 2048)])
async def test_the_smallest_and_the_largest_stream_can_be_recorded(
    size: tuple[int, int], browser: Browser, files: PageFiles
) -> None:
    page = await opened(browser, files)
    for container in KINDS:
        _, data = await recorded(page, files, [size] * 4, container=container)
        assert [number_in(image_of(frame)) for frame in frames_of(data)] == [0, 1, 2, 3]


@pytest.mark.parametrize("container", KINDS)
async def test_a_file_in_between_ends_nothing_and_waits_for_nothing_that_comes_later(
    container: str, browser: Browser, files: PageFiles
) -> None:
    """Frames go on coming while it is made, faster than they are encoded."""
    page = await opened(browser, files)
    counts = await page.evaluate(
        """async (container) => {
          const { Recording } = await import("/page/recording/recording.js");
          const jpegs = [];
          for (let number = 0; number < 100; number += 1) {
            jpegs.push(await (await fetch(`/${number}/320x240.jpg`)).blob());
          }
          const recording = new Recording({ container, fps: 16 });
          const files = [];
          const put = async ({ blob, frames }, index) => {
            await fetch(`/file${index}`, { method: "PUT", body: blob });
            return frames;
          };
          jpegs.forEach((jpeg, number) => {
            recording.add(jpeg);
            if (number % 30 === 9) files.push(recording.file());
          });
          files.push(recording.file());
          return Promise.all((await Promise.all(files)).map(put));
        }""",
        container,
    )
    assert len(counts) == 5 and counts[-1] == 100
    for index, count in enumerate(counts):
        assert count >= min(10 + 30 * index, 100)
        frames = frames_of(files.sent[f"/file{index}"])
        assert [number_in(image_of(frame)) for frame in frames] == list(range(count))
