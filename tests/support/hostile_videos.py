"""Small videos that cost whoever reads them much."""

import io
from fractions import Fraction

import av
import numpy as np


def crowded_video(count: int, size: tuple[int, int] = (3840, 2560)) -> bytes:
    """So many large frames, all within a few milliseconds: an MP4 of some kilobytes each ten."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
    encoder.time_base = Fraction(1, 90_000)
    encoder.options = {"preset": "veryfast", "bf": "0"}
    frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0]), 90, np.uint8), "gray")
    frame = frame.reformat(format="yuv420p")
    frame.pts, frame.time_base = 0, encoder.time_base
    (packet,) = [*encoder.encode(frame), *encoder.encode(None)]
    picture = bytes(packet)
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=90_000)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000)
        for at in range(count):
            repeated = av.Packet(picture)
            repeated.stream, repeated.time_base = stream, Fraction(1, 90_000)
            repeated.pts = repeated.dts = at
            repeated.is_keyframe = True
            file.mux(repeated)
    return data.getvalue()
