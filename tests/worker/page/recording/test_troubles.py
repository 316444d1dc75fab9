"""Recordings where the browser lacks something, loses its encoder, or has more than it can do."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page
from support.recordings import KINDS, files, frames_of, image_of, opened, recorded
from support.servers.page_files import PageFiles, number_in

pytestmark = pytest.mark.browser
__all__ = ["files"]

SMALL = [(320, 240)]
REFUSES = """
const asked = VideoEncoder.isConfigSupported;
VideoEncoder.isConfigSupported = async (config) =>
  /^(REFUSED)/.test(config.codec) ? { supported: false, config } : asked.call(VideoEncoder, config);
"""
LOSES = """
const Real = VideoEncoder;
globalThis.encoders = 0;
globalThis.VideoEncoder = class {
  static isConfigSupported(config) { return Real.isConfigSupported(config); }
  #made = 0;
  constructor({ output, error }) {
    encoders += 1;
    const lives = LIVES;
    const inner = new Real({
      output: (chunk, about) => {
        if (inner.state === "closed") return;
        output(chunk, about);
        this.#made += 1;
        if (this.#made === lives) {
          inner.close();
          error(new DOMException("Codec reclaimed due to inactivity.", "QuotaExceededError"));
        }
      },
      error,
    });
    for (const name of ["state", "encodeQueueSize"]) {
      Object.defineProperty(this, name, { get: () => inner[name] });
    }
    for (const name of ["configure", "encode", "flush", "close", "addEventListener"]) {
      this[name] = (...given) => inner[name](...given);
    }
  }
};
"""
AGAIN = """
async (container) => {
  const { Recording } = await import("/page/recording/recording.js");
  const recording = new Recording({ container, fps: 4 });
  const add = async (count) => {
    for (let number = 0; number < count; number += 1) {
      recording.add(await (await fetch(`/${number}/320x240.jpg`)).blob());
    }
  };
  globalThis.again = async () => {
    await add(3);
    await recording.file();
    const empty = await recording.file().catch((error) => error.message);
    await add(5);
    const { blob, frames } = await recording.file();
    await fetch("/again", { method: "PUT", body: blob });
    return { frames, empty };
  };
}
"""
COUNTS = """
globalThis.open = { now: 0, most: 0 };
const counted = (thing) => {
  open.most = Math.max(open.most, ++open.now);
  const close = thing.close.bind(thing);
  let isOpen = true;
  thing.close = () => { if (isOpen) open.now -= 1; isOpen = false; close(); };
  return thing;
};
const decode = createImageBitmap;
globalThis.createImageBitmap = async (...given) => counted(await decode(...given));
const Frame = VideoFrame;
globalThis.VideoFrame = class { constructor(...given) { return counted(new Frame(...given)); } };
"""


@pytest.mark.parametrize("container", KINDS)
async def test_an_encoder_that_the_browser_takes_away_costs_no_frame(
    container: str, browser: Browser, files: PageFiles
) -> None:
    """As browsers do with one that a page has not used for a while: here after every 23 frames."""
    page = await opened(browser, files, LOSES.replace("LIVES", "23"))
    said, data = await recorded(page, files, SMALL * 100, container=container)
    assert said["frames"] == 100 and said["note"] == ""
    assert await page.evaluate("encoders") == 5
    assert [number_in(image_of(frame)) for frame in frames_of(data)] == list(range(100))


async def test_an_encoder_that_always_fails_ends_the_recording_in_words(
    browser: Browser, files: PageFiles
) -> None:
    """What was encoded can be had; the rest is not silently missing."""
    page = await opened(browser, files, LOSES.replace("LIVES", "encoders > 1 ? 0 : 23"))
    await page.evaluate(
        """() => {
          const Counting = VideoEncoder;
          globalThis.VideoEncoder = class extends Counting {
            constructor(told) {
              super(told);
              const { configure } = this;
              this.configure = (config) => {
                configure(config);
                if (encoders < 2) return;
                this.close();
                told.error(new DOMException("no more", "OperationError"));
              };
            }
          };
        }"""
    )
    said, data = await recorded(page, files, SMALL * 60)
    assert said["frames"] == 23 and said["added"] == 60
    assert "ends after 23 frames" in said["note"] and "no more" in said["note"]
    assert [number_in(image_of(frame)) for frame in frames_of(data)] == list(range(23))


@pytest.mark.parametrize(("asked", "got"), [("mp4", "webm"), ("webm", "mp4")])
async def test_where_a_codec_is_missing_the_file_is_of_the_other_kind_and_says_so(
    asked: str, got: str, browser: Browser, files: PageFiles
) -> None:
    refused = "avc" if asked == "mp4" else "vp"
    page = await opened(browser, files, REFUSES.replace("REFUSED", refused))
    said, data = await recorded(page, files, SMALL * 20, container=asked)
    names = {"mp4": "MP4", "webm": "WebM"}
    assert (said["extension"], said["type"]) == (got, f"video/{got}")
    assert names[asked] in said["note"] and f"the file is {names[got]}" in said["note"]
    assert [number_in(image_of(frame)) for frame in frames_of(data)] == list(range(20))


async def test_without_vp9_a_webm_holds_vp8(browser: Browser, files: PageFiles) -> None:
    page = await opened(browser, files, REFUSES.replace("REFUSED", "vp09"))
    said, data = await recorded(page, files, SMALL * 20, container="webm")
    assert b"V_VP8" in data and said["note"] == ""
    assert [number_in(image_of(frame)) for frame in frames_of(data)] == list(range(20))


@pytest.mark.parametrize("container", KINDS)
async def test_without_webcodecs_the_browsers_recorder_is_used_and_what_it_loses_is_said(
    container: str, browser: Browser, files: PageFiles
) -> None:
    page = await opened(browser, files, "delete globalThis.VideoEncoder;")
    await page.evaluate(AGAIN, container)
    said, data = await recorded(page, files, SMALL * 24, container=container, fps=12)
    assert said["extension"] == container
    assert "WebCodecs" in said["note"] and "may lack frames" in said["note"]
    shown = [number_in(image_of(frame)) for frame in frames_of(data)]
    assert shown and shown == sorted(shown) and len(set(shown)) > 12
    again = await page.evaluate("again()")
    assert again == {"frames": 5, "empty": "no frame was received yet"}
    later = [number_in(image_of(frame)) for frame in frames_of(files.sent["/again"])]
    assert set(later) <= set(range(5)) and len(set(later)) > 2


async def test_without_any_encoder_there_is_an_error_in_words_and_nothing_is_kept(
    browser: Browser, files: PageFiles
) -> None:
    page = await opened(
        browser, files, "delete globalThis.VideoEncoder; delete globalThis.MediaRecorder;"
    )
    said = await page.evaluate(
        """async () => {
          const { Recording } = await import("/page/recording/recording.js");
          const empty = await new Recording().file().catch((error) => error.message);
          const recording = new Recording();
          for (let number = 0; number < 5; number += 1) {
            recording.add(await (await fetch(`/${number}/320x240.jpg`)).blob());
          }
          const full = await recording.file().catch((error) => error.message);
          return [empty, full, recording.waiting];
        }"""
    )
    assert said == ["no frame was received yet", "this browser cannot encode video", 0]


async def test_what_is_no_picture_is_left_out_and_told(browser: Browser, files: PageFiles) -> None:
    page = await opened(browser, files)
    pictures = ["/0/320x240.jpg", "/nothing", "/1/320x240.jpg", "/nothing", "/2/320x240.jpg"]
    said, data = await recorded(page, files, [], pictures=pictures)
    assert said["frames"] == 3 and said["added"] == 5
    assert "2 of the pictures could not be read" in said["note"]
    assert [number_in(image_of(frame)) for frame in frames_of(data)] == [0, 1, 2]


@pytest.mark.parametrize("container", KINDS)
async def test_at_most_a_few_pictures_are_open_however_many_wait(
    container: str, browser: Browser, files: PageFiles
) -> None:
    page = await opened(browser, files, COUNTS)
    said, _ = await recorded(page, files, SMALL * 200, container=container)
    assert said["frames"] == 200 and said["waiting"] > 100
    count = await page.evaluate("open")
    assert count["now"] == 0 and 1 <= count["most"] <= 2


async def test_a_recording_that_is_given_up_lets_go_of_what_waits(
    browser: Browser, files: PageFiles
) -> None:
    page = await opened(browser, files, COUNTS)
    said = await page.evaluate(
        """async () => {
          const { Recording } = await import("/page/recording/recording.js");
          const recording = new Recording();
          const jpeg = await (await fetch("/7/320x240.jpg")).blob();
          for (let number = 0; number < 100; number += 1) recording.add(jpeg);
          recording.discard();
          const file = await recording.file().catch((error) => error.message);
          let late = "";
          try { recording.add(jpeg); } catch (error) { late = error.message; }
          return [recording.waiting, file, late];
        }"""
    )
    assert said == [0, "the recording has ended", "the recording has ended"]
    assert (await page.evaluate("open"))["now"] == 0


async def test_memory_does_not_grow_with_the_length_of_a_recording(
    browser: Browser, files: PageFiles
) -> None:
    """2,400 frames of 832x480, of which the page keeps a few numbers each."""
    page = await opened(browser, files)
    await page.evaluate(
        """async () => {
          const { Recording } = await import("/page/recording/recording.js");
          globalThis.recording = new Recording({ container: "mp4", fps: 16 });
          globalThis.jpegs = [];
          for (let number = 0; number < 24; number += 1) {
            jpegs.push(new Uint8Array(await (await fetch(`/${number}/832x480.jpg`)).arrayBuffer()));
          }
          globalThis.record = async (count) => {
            for (let number = 0; number < count; number += 1) recording.add(jpegs[number % 24]);
            while (recording.waiting) await new Promise((resolve) => setTimeout(resolve, 20));
          };
        }"""
    )
    await page.evaluate("record(400)")
    before = await renderer_megabytes(page)
    await page.evaluate("record(2000)")
    grown = await renderer_megabytes(page) - before
    assert await page.evaluate("recording.frames") == 2400
    print(f"the renderer had {before:.0f} MB and grew by {grown:.0f} over 2,000 frames")
    assert grown < 100


async def renderer_megabytes(page: Page) -> float:
    """What the page's own process holds, after its garbage is collected."""
    session: Any = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    browsers: Any = await page.context.browser.new_browser_cdp_session()  # type: ignore[union-attr]
    found = (await browsers.send("SystemInfo.getProcessInfo"))["processInfo"]
    sizes = [resident(each["id"]) for each in found if each["type"] == "renderer"]
    return max(sizes)


def resident(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmRSS"))
    return int(kilobytes) / 1000
