"""Videos that do not lie in their files as they are shown, and the pictures that a player shows.

One table for the client's reader and the worker's, which may not import each other. Every file is
made here; the expected pictures are worked out from the numbers that went in, by no video library.
"""

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT = 128, 64
RED, GREEN, BLUE, YELLOW = (200, 30, 40), (30, 180, 60), (40, 60, 200), (220, 200, 40)


@dataclass(frozen=True)
class Case:
    """A file, and the pictures [H, W, 3] it shows at 16 a second."""

    data: bytes
    shown: Sequence[Pixels]
    tolerance: float = 12.0

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.shown[0].shape[:2]
        return width, height

    def check(self, pictures: Sequence[Pixels]) -> None:
        """Compare what a reader gave, by the mean colour of each cell of an 8x8 grid."""
        assert len(pictures) == len(self.shown)
        for picture, shown in zip(pictures, self.shown, strict=True):
            assert picture.shape == shown.shape
            difference = np.abs(_cells(picture) - _cells(shown)).max()
            corners = _cells(picture)[::7, ::7], _cells(shown)[::7, ::7]
            assert difference <= self.tolerance, corners


def _cells(picture: Pixels) -> NDArray[np.float64]:
    """The mean of each of 8x8 cells, their edges left out: chroma is smeared over those."""
    height, width = picture.shape[0] // 8, picture.shape[1] // 8
    cells = picture[: 8 * height, : 8 * width].reshape(8, height, 8, width, 3).astype(float)
    edge_y, edge_x = height // 4, width // 4
    inner: NDArray[np.float64] = cells[:, edge_y : height - edge_y, :, edge_x : width - edge_x]
    return np.asarray(inner.mean(axis=(1, 3)), np.float64)


def quarters() -> Pixels:
    """Four colours: which way round a picture is shows in it."""
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    left, right = slice(0, WIDTH // 2), slice(WIDTH // 2, None)
    upper, lower = slice(0, HEIGHT // 2), slice(HEIGHT // 2, None)
    picture[upper, left], picture[upper, right] = RED, GREEN
    picture[lower, left], picture[lower, right] = BLUE, YELLOW
    return picture


def written(
    frames: Sequence[Any],
    *,
    fmt: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv420p",
    lasting: Sequence[Fraction] | None = None,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    sound: bool = False,
) -> bytes:
    """A video of PyAV frames, or of pictures [H, W, 3], at 16 a second or `lasting` these seconds."""
    made = [one if isinstance(one, av.VideoFrame) else of_bt601(one, pixels) for one in frames]
    data = io.BytesIO()
    with av.open(data, "w", format=fmt) as file:
        stream: Any = file.add_stream(codec, rate=16)
        stream.width, stream.height, stream.pix_fmt = made[0].width, made[0].height, pixels
        stream.options = {"crf": "10"} | (options or {}) if codec == "libx264" else options or {}
        stream.metadata.update(metadata or {})
        stream.time_base = stream.codec_context.time_base = Fraction(1, 96)
        if aspect is not None:
            stream.sample_aspect_ratio = stream.codec_context.sample_aspect_ratio = aspect
        context, first = stream.codec_context, made[0]
        context.colorspace, context.color_range = first.colorspace, first.color_range
        context.color_primaries, context.color_trc = first.color_primaries, first.color_trc
        if sound:
            _add_silence(file)
        seconds = lasting or [Fraction(1, 16)] * len(made)
        if lasting:
            stream.options |= {"bf": "0"}  # so that packets come in the order of showing
        at, tick = Fraction(0), Fraction(1, 96)
        for frame, shown_for in zip(made, seconds, strict=True):
            frame.pts, frame.time_base = round(at / tick), tick
            frame.duration = round(shown_for / tick)
            at += shown_for
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return data.getvalue()


def _add_silence(file: Any) -> None:
    stream = file.add_stream("aac", rate=48000)
    frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
    frame.sample_rate, frame.pts = 48000, 0
    file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def of_bt601(picture: Pixels, pixels: str = "yuv420p") -> Any:
    """A PyAV frame; what does not say by which matrix it was made is taken for BT.601."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    return frame.reformat(format=pixels)


def _mp4_turned(matrix: tuple[int, int, int, int], **options: Any) -> bytes:
    """The quarters with a b c d of a display matrix (ISO/IEC 14496-12, 8.5.2.3) in the header."""
    data = bytearray(written([quarters()], **options))
    at = data.index(b"tkhd") + 44
    a, b, c, d = (0x10000 * one for one in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    return bytes(data)


def _turns() -> dict[str, Case]:
    """All eight ways in which a picture may lie; the display matrix is what undoes it."""
    stored = quarters()
    across = stored.transpose(1, 0, 2)
    ways = {
        "upright": ((1, 0, 0, 1), stored),
        "mirrored": ((-1, 0, 0, 1), stored[:, ::-1]),
        "upside down": ((-1, 0, 0, -1), stored[::-1, ::-1]),
        "mirrored upside down": ((1, 0, 0, -1), stored[::-1]),
        "a quarter clockwise": ((0, 1, -1, 0), across[:, ::-1]),
        "a quarter counter-clockwise": ((0, -1, 1, 0), across[::-1]),
        "transposed": ((0, 1, 1, 0), across),
        "transposed the other way": ((0, -1, -1, 0), across[::-1, ::-1]),
    }
    return {name: Case(_mp4_turned(matrix), [shown]) for name, (matrix, shown) in ways.items()}


def _stretched(picture: Pixels, across: int, down: int) -> Pixels:
    return picture.repeat(across, axis=1).repeat(down, axis=0)


def _shapes() -> dict[str, Case]:
    picture = quarters()
    turned = _stretched(picture, 2, 1).transpose(1, 0, 2)[:, ::-1]
    return {
        "pixels twice as wide": Case(
            written([picture], aspect=Fraction(2, 1)), [_stretched(picture, 2, 1)]
        ),
        "pixels twice as high": Case(
            written([picture], aspect=Fraction(1, 2)), [_stretched(picture, 1, 2)]
        ),
        "pixels twice as wide, a quarter clockwise": Case(
            _mp4_turned((0, 1, -1, 0), aspect=Fraction(2, 1)), [turned]
        ),
    }


def _transparent() -> dict[str, Case]:
    """A red that is hidden: left opaque, middle half, right not there at all."""
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    rgba[..., :3] = RED
    rgba[:, :48, 3], rgba[:, 48:80, 3] = 255, 128
    shown = (rgba[..., :3] * (rgba[..., 3:] / 255.0)).astype(np.uint8)

    def frame(pixels: str) -> Any:
        return av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format=pixels)

    webm: dict[str, Any] = {"fmt": "webm", "pixels": "yuva420p", "metadata": {"alpha_mode": "1"}}
    return {
        "QuickTime animation with alpha": Case(
            written([frame("argb")], fmt="mov", codec="qtrle", pixels="argb"), [shown]
        ),
        "ProRes with alpha": Case(
            written([frame("yuva444p10le")], fmt="mov", codec="prores_ks", pixels="yuva444p10le"),
            [shown],
        ),
        "VP9 with alpha": Case(
            written([frame("yuva420p")], codec="libvpx-vp9", options={"auto-alt-ref": "0"}, **webm),
            [shown],
        ),
        "VP8 with alpha": Case(
            written([frame("yuva420p")], codec="libvpx", options={"auto-alt-ref": "0"}, **webm),
            [shown],
        ),
        "PNG with alpha": Case(
            written([frame("rgba")], fmt="mov", codec="png", pixels="rgba"), [shown]
        ),
    }


def _interlaced() -> dict[str, Case]:
    """It grows lighter from field to field: striped, if fields are not told apart.

    What is shown is the moment of the lower field, which comes first.
    """
    levels = np.arange(20, 236, 12)
    frames, shown = [], []
    for lower, upper in zip(levels[::2], levels[1::2], strict=True):
        woven = np.full((HEIGHT, WIDTH, 3), lower, np.uint8)
        shown.append(woven.copy())
        woven[::2] = upper
        frames.append(of_bt601(woven, "yuv444p"))
    options = {"flags": "+ildct+ilme", "x264-params": "bff=1"}
    data = written(frames, pixels="yuv444p", options=options)
    return {"interlaced": Case(data, shown, tolerance=4.0)}


def _pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084, equation 5.2: luminance to a signal of 0 to 1."""
    part = (np.clip(nits, 0, None) / 10_000) ** (2610 / 16384)
    top = 3424 / 4096 + 2413 / 4096 * 32 * part
    return (top / (1 + 2392 / 4096 * 32 * part)) ** (2523 / 4096 * 128)


def _hlg(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, table 5: scene light of 0 to 1 to a signal of 0 to 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    upper = a * np.log(np.maximum(12 * light - b, 1e-9)) + c
    return np.where(light <= 1 / 12, np.sqrt(3 * light), upper)


def _bt2020_frame(signal: NDArray[np.float64], transfer: int) -> Any:
    """A 10-bit frame from R'G'B' signals of 0 to 1 [H, W, 3] (BT.2020, non-constant luminance)."""
    red, green, blue = np.moveaxis(signal, -1, 0)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    planes = (
        64 + 876 * luma,
        512 + 896 * (blue - luma) / 1.8814,
        512 + 896 * (red - luma) / 1.4746,
    )
    frame: Any = av.VideoFrame(signal.shape[1], signal.shape[0], "yuv444p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)
        rows[:, : plane.width] = np.rint(values).astype(np.uint16)
    frame.colorspace, frame.color_range = 9, 1
    frame.color_primaries, frame.color_trc = 9, transfer
    return frame


def _four(colours: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Four quarters of these."""
    picture = np.empty((HEIGHT, WIDTH, 3))
    for number, colour in enumerate(colours):
        row, column = divmod(number, 2)
        y, x = row * HEIGHT // 2, column * WIDTH // 2
        picture[y : y + HEIGHT // 2, x : x + WIDTH // 2] = colour
    return picture


def _hable(nits: float) -> float:
    """Where Hable's curve, the best known one, brings grey: 0 to 255, white at 1000 nits."""

    def curve(x: float) -> float:
        return (x * (0.15 * x + 0.05) + 0.004) / (x * (0.15 * x + 0.5) + 0.06) - 1 / 15

    light = curve(nits / 100) / curve(10)
    return float(255 * max(0.0, 1.099 * light**0.45 - 0.099))


def _hdr() -> dict[str, Case]:
    """Black, and grey of 100, 203 and 500 nits; then a red of BT.709, which must stay one."""
    greys = _four([[0] * 3, [100] * 3, [203] * 3, [500] * 3])
    shown = _four([[0] * 3, [_hable(100)] * 3, [_hable(203)] * 3, [_hable(500)] * 3])
    red = np.full((HEIGHT, WIDTH, 3), (62.74, 6.91, 1.64))  # BT.2087: 100 nits of BT.709's red
    screen = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,1)"
    options = {"x264-params": f"mastering-display={screen}:cll=1000,400"}

    def case(signal: NDArray[np.float64], transfer: int, shown: NDArray[Any]) -> Case:
        frame = _bt2020_frame(signal, transfer)
        data = written([frame], pixels="yuv444p10le", options=options)
        return Case(data, [shown.astype(np.uint8)], tolerance=22.0)

    return {
        "HDR10": case(_pq(greys), 16, shown),
        "HDR10, red": case(_pq(red), 16, np.full_like(red, (145, 30, 15))),
        "HLG": case(_hlg((greys / 1000) ** (1 / 1.2)), 18, shown),
    }


def _matrices() -> dict[str, Case]:
    """Colours by the matrix and range that a file names, or that players take for granted."""
    picture = quarters()

    def tagged(matrix: int, full: bool = False, picture: Pixels = picture) -> Any:
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
            format="yuv420p", dst_colorspace=matrix, dst_color_range=2 if full else 1
        )
        frame.colorspace, frame.color_range = matrix, 2 if full else 1
        return frame

    large = picture.repeat(12, axis=0).repeat(12, axis=1)
    untagged = tagged(1, picture=large)
    untagged.colorspace = 2
    return {
        "BT.709": Case(written([tagged(1)]), [picture], tolerance=5.0),
        "BT.601": Case(written([tagged(5)]), [picture], tolerance=5.0),
        "full range": Case(written([tagged(1, full=True)]), [picture], tolerance=5.0),
        "HD that names no matrix": Case(written([untagged]), [large], tolerance=5.0),
    }


def _uneven() -> dict[str, Case]:
    """Eight frames of a thirty-second, then longer ones: on average sixteen a second."""
    lasting = [Fraction(1, 32)] * 8 + [Fraction(3, 32)] * 6 + [Fraction(1, 8), Fraction(1, 16)]
    begins = [sum(lasting[:number], Fraction(0)) for number in range(16)]
    greys = [np.full((HEIGHT, WIDTH, 3), 20 + 14 * number, np.uint8) for number in range(16)]
    shown = []
    for step in range(16):
        number = max(at for at in range(16) if begins[at] <= Fraction(step, 16))
        shown.append(greys[number])
    return {"of variable frame rate": Case(written(greys, lasting=lasting), shown, tolerance=6.0)}


def _damaged() -> dict[str, Case]:
    """Pictures that lie in the decoder at the end come too; a damaged one is left out."""
    greys = [np.full((HEIGHT, WIDTH, 3), 20 + 12 * number, np.uint8) for number in range(17)]
    noise = np.random.default_rng(0).integers(0, 40, (HEIGHT, WIDTH, 1), np.uint8)
    pictures = [grey + noise.repeat(3, axis=2) // 8 for grey in greys]
    each_alone = {"x264-params": "keyint=1"}
    return {
        "17 frames": Case(written(pictures), pictures, tolerance=6.0),
        "a damaged packet in the middle": Case(
            overwritten(written(pictures, options=each_alone), 8),
            [*pictures[:8], *pictures[9:]],
            tolerance=6.0,
        ),
        "a damaged last packet": Case(
            overwritten(written(pictures, options=each_alone), 16), pictures[:16], tolerance=6.0
        ),
        "a file that is cut off": Case(
            cut_off(written(pictures, options=each_alone), 12), pictures[:12], tolerance=6.0
        ),
    }


def packets(data: bytes) -> list[tuple[int, int]]:
    """Where each packet of a video lies in its file: position and size."""
    file: Any
    with av.open(io.BytesIO(data)) as file:
        return [(one.pos, one.size) for one in file.demux(video=0) if one.size]


def overwritten(data: bytes, *numbers: int) -> bytes:
    """A video with these packets filled with what no decoder takes."""
    where = packets(data)
    damaged = bytearray(data)
    for number in numbers:
        at, size = where[number]
        damaged[at : at + size] = b"\xff" * size
    return bytes(damaged)


def cut_off(data: bytes, number: int) -> bytes:
    """An MP4 with its index in front whose file ends before this packet."""
    moov, free = data.index(b"moov") - 4, data.index(b"free") - 4
    assert moov > free, "written with its index at the end"
    index = bytearray(data[moov:])
    at = index.index(b"stco") + 12
    offset = int.from_bytes(index[at : at + 4], "big") + len(index)
    index[at : at + 4] = offset.to_bytes(4, "big")
    front = data[:free] + bytes(index) + data[free:moov]
    return front[: packets(front)[number][0]]


_GROUPS: tuple[Callable[[], dict[str, Case]], ...] = (
    _turns,
    _shapes,
    _transparent,
    _interlaced,
    _hdr,
    _matrices,
    _uneven,
    _damaged,
)


def cases() -> dict[str, Case]:
    """The table: what a file is like -> the file and what is shown of it."""
    return {name: case for group in _GROUPS for name, case in group().items()}
