"""What the writer of MP4 files does for encoders and lengths that no test can have of a browser."""

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from support.node import run_module
from support.recordings import frames_of, image_of
from support.servers.page_files import number_in, numbered

WRITE = """
import { Mp4Writer } from "./page/recording/mp4.js";
const writer = new Mp4Writer({ width: 320, height: 240, fps: 16 });
for (const [data, about] of given.frames) {
  const { description } = about;
  if (description) about.description = new Uint8Array(Buffer.from(description, "hex"));
  writer.add(new Uint8Array(Buffer.from(data, "hex")), about);
}
answer(Buffer.from(await writer.file().arrayBuffer()).toString("hex"));
"""


def encoded(count: int) -> tuple[bytes, list[tuple[int, bool, bytes]]]:
    """The avcC box's content, and frames as an encoder with B-frames gives them out."""
    whole = io.BytesIO()
    with av.open(whole, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=16, options={"bf": "2", "g": "20"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(count):
            image = Image.open(io.BytesIO(numbered(number, 320, 240)))
            frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 16)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with av.open(io.BytesIO(whole.getvalue())) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
        first = min(packet.pts * packet.time_base for packet in packets)
        description = file.streams.video[0].codec_context.extradata
        return description, [
            (round((packet.pts * packet.time_base - first) * 16), packet.is_keyframe, bytes(packet))
            for packet in packets
        ]


def test_frames_that_are_stored_in_another_order_are_shown_in_theirs(tmp_path: Path) -> None:
    """Hardware encoders of some browsers look ahead; Debian's Chromium has none."""
    description, frames = encoded(50)
    places = [place for place, _, _ in frames]
    assert places != sorted(places)
    given = [
        [data.hex(), {"index": place, "isKey": is_key, "description": description.hex()}]
        for place, is_key, data in frames
    ]
    data = bytes.fromhex(run_module(WRITE, tmp_path, {"frames": given}))
    shown = frames_of(data)
    assert [number_in(image_of(frame)) for frame in shown] == list(range(50))
    assert [frame.time for frame in shown] == [number / 16 for number in range(50)]


def test_a_new_encoder_may_describe_itself_in_another_way(tmp_path: Path) -> None:
    """Each frame is decoded by the description that was in force when it was made."""
    description, frames = encoded(20)
    changed = bytearray(description)
    changed[3] += 1  # a level higher
    given = [
        [
            data.hex(),
            {"index": 20 * half + place, "isKey": is_key}
            | ({"description": bytes(told).hex()} if place == 0 else {}),
        ]
        for half, told in enumerate((description, changed))
        for place, is_key, data in frames
    ]
    data = bytes.fromhex(run_module(WRITE, tmp_path, {"frames": given}))
    assert data.count(b"avcC") == 2
    assert [number_in(image_of(frame)) for frame in frames_of(data)] == [*range(20)] * 2


LONG = """
globalThis.Blob = class {
  constructor(parts) {
    this.parts = parts;
    this.size = parts.length * 30_000_000; // as if each frame had 30 MB
  }
};
const { Mp4Writer } = await import("./page/recording/mp4.js");
const writer = new Mp4Writer({ width: 320, height: 240, fps: 16 });
for (let index = 0; index < given; index += 1) {
  const isKey = index % 10 === 0;
  writer.add(new Uint8Array(3), { index, isKey, description: isKey ? new Uint8Array(4) : undefined });
}
const [type, moov, mdat] = writer.file().parts.map((part) => Buffer.from(part instanceof Uint8Array ? part : []));
answer({ type: type.length, moov: moov.toString("hex"), mdat: mdat.toString("hex") });
"""


def test_a_file_of_more_than_4_gigabytes_has_places_of_64_bits(tmp_path: Path) -> None:
    said = run_module(LONG, tmp_path, 200)
    moov, mdat = bytes.fromhex(said["moov"]), bytes.fromhex(said["mdat"])
    assert mdat == struct.pack(">I4sQ", 1, b"mdat", 16 + 200 * 30_000_000)
    at = moov.index(b"co64") + 8
    count, *places = struct.unpack_from(">I20Q", moov, at)
    start = said["type"] + len(moov) + len(mdat)
    assert count == 20
    assert places == [start + chunk * 300_000_000 for chunk in range(20)]


def test_a_shorter_one_has_places_of_32_bits_which_every_player_reads(tmp_path: Path) -> None:
    said = run_module(LONG, tmp_path, 100)
    moov, mdat = bytes.fromhex(said["moov"]), bytes.fromhex(said["mdat"])
    assert mdat == struct.pack(">I4s", 8 + 100 * 30_000_000, b"mdat")
    assert b"co64" not in moov
    assert struct.unpack_from(">I", moov, moov.index(b"stco") + 12)[0] == (
        said["type"] + len(moov) + len(mdat)
    )
