"""Small videos made in code: clips whose frames carry their own number, and a writer for any pictures.

A pipeline test writes a numbered clip, runs it through, and reads the numbers back: order, loss and identity of
frames are proven after any lossy encoding. Scenes with objects and truth are in `scene.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]

BITS = 16
COLOURS = ((210, 60, 50), (60, 160, 70), (60, 90, 200), (220, 190, 60), (170, 80, 180))
ENCODERS = {
    "h264": ("libx264", {"preset": "veryfast", "crf": "20"}),
    "hevc": ("libx265", {"preset": "ultrafast", "crf": "20", "x265-params": "log-level=none:pools=none"}),
    "av1": ("libsvtav1", {"preset": "12", "crf": "30", "svtav1-params": "lp=1"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0"}),
    "mpeg4": ("mpeg4", {"qscale": "3"}),
    "mjpeg": ("mjpeg", {"qscale": "3"}),
}


def write_video(
    path: str | Path,
    pictures: Iterable[Rgb],
    *,
    fps: int | Fraction = 25,
    codec: str = "h264",
    pts_ms: Sequence[int] | None = None,
    gop: int = 25,
    options: Mapping[str, str] | None = None,
) -> int:
    """Encode RGB pictures [h, w, 3] uint8 to a file whose name chooses the container; returns how many.

    Frame i stands at i / fps seconds exactly, or at `pts_ms[i]` milliseconds (uneven timing). `codec` is a key of
    ENCODERS, `options` go to the encoder. One thread, so the same pictures give the same bytes.
    """
    import av

    if codec not in ENCODERS:
        raise ValueError(f"write_video: codec {codec!r} is not known; there are {', '.join(ENCODERS)}")
    encoder, preset = ENCODERS[codec]
    rate = Fraction(fps)
    count = 0
    with av.open(str(path), "w") as container:
        stream: Any = None
        for index, rgb in enumerate(pictures):
            if stream is None:
                stream = container.add_stream(encoder, rate=rate, options={**preset, **(options or {})})
                stream.width, stream.height = rgb.shape[1], rgb.shape[0]
                stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                stream.gop_size = gop
                stream.codec_context.thread_count = 1
                stream.codec_context.time_base = Fraction(1, 1000) if pts_ms is not None else 1 / rate
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = pts_ms[index] if pts_ms is not None else index
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
            count += 1
        if stream is None:
            raise ValueError(f"write_video: {path}: no pictures to write")
        container.mux(stream.encode(None))
    return count


def numbered_boxes(index: int, width: int, height: int, boxes: int = 4) -> NDArray[np.float32]:
    """Where the moving boxes of a numbered picture are: [boxes, 4] x1 y1 x2 y2, whole pixels."""
    top = _block(width)
    side = max(4, min(width, height) // 5)
    k = np.arange(boxes)
    span_x, span_y = max(1, width - side), max(1, height - top - side)
    x = _bounce(7 * k * k + 31 * k + (k % 3 + 1) * 2 * index, span_x)
    y = top + _bounce(13 * k * k + 17 * k + ((k + 1) % 3 + 1) * index, span_y)
    return np.stack([x, y, x + side, y + side], axis=1).astype(np.float32)


def numbered_picture(index: int, width: int, height: int, boxes: int = 4) -> Rgb:
    """A picture [h, w, 3] that says its own number: 16 black or white blocks at the top left, most significant
    first, over a grey ramp with moving coloured boxes."""
    ramp = np.linspace(70, 150, width, dtype=np.float32)[None, :] + np.linspace(0, 40, height)[:, None]
    picture = np.repeat(ramp.astype(np.uint8)[..., None], 3, axis=2)
    for k, (x1, y1, x2, y2) in enumerate(numbered_boxes(index, width, height, boxes).astype(int)):
        picture[y1:y2, x1:x2] = COLOURS[k % len(COLOURS)]
    side = _block(width)
    for bit in range(BITS):
        value = 255 if index >> (BITS - 1 - bit) & 1 else 0
        picture[:side, bit * side : (bit + 1) * side] = value
    return picture


def numbered_clip(
    path: str | Path,
    frames: int = 50,
    width: int = 320,
    height: int = 240,
    fps: int | Fraction = 25,
    codec: str = "h264",
    *,
    first: int = 0,
    boxes: int = 4,
    pts_ms: Sequence[int] | None = None,
    gop: int = 25,
) -> Path:
    """Write a clip of numbered pictures first, first + 1, …; `read_frame_number` reads each number back."""
    pictures = numbered_pictures(frames, width, height, first=first, boxes=boxes)
    write_video(path, pictures, fps=fps, codec=codec, pts_ms=pts_ms, gop=gop)
    return Path(path)


def numbered_pictures(frames: int, width: int, height: int, *, first: int = 0, boxes: int = 4) -> Iterator[Rgb]:
    """The pictures of a numbered clip, one after the other."""
    for index in range(first, first + frames):
        yield numbered_picture(index, width, height, boxes)


def read_frame_number(luma: NDArray[Any]) -> int:
    """The number that a numbered picture carries, from its luma plane [h, w] uint8 (any range).

    Raises ValueError when the blocks are not clearly black or white.
    """
    side = _block(luma.shape[1])
    margin = side // 4  # encoders blur the edges
    number = 0
    for bit in range(BITS):
        left = bit * side
        value = float(np.mean(luma[margin : side - margin, left + margin : left + side - margin]))
        if 90 <= value <= 165:
            raise ValueError(f"read_frame_number: block {bit} is grey ({value:.0f}); is this a numbered picture?")
        number = number << 1 | (value > 127)
    return number


def _block(width: int) -> int:
    """The side of one block of the number, in pixels."""
    return max(2, width // 20)


def _bounce(position: NDArray[Any], span: int) -> NDArray[Any]:
    """A ball between 0 and span."""
    folded = position % (2 * span)
    return np.asarray(np.where(folded <= span, folded, 2 * span - folded))
