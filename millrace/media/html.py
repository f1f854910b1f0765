"""A frame as HTML, for notebooks: its picture with boxes over it, with nothing but NumPy and the standard library."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .frame import Frame

WIDEST = 640  # pixels of a still picture in a page
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#00a5b5", "#c837ab", "#808000")


def frame_html(frame: Frame) -> str:
    """The picture (PNG, at most WIDEST pixels wide), boxes and labels as SVG, and one line of facts."""
    image = frame.image
    facts = (
        f"{frame.stream} #{frame.index}, {frame.pts / 1e9:.3f} s, {image.width}x{image.height} {image.format}"
        f", {len(frame.objects)} object{'' if len(frame.objects) == 1 else 's'}"
    )
    if image.memory != "cpu":
        return f"<p>{escape(facts)} in {escape(image.memory)}</p>"
    step = -(-image.width // WIDEST)
    rgb = np.ascontiguousarray(image.to_rgb()[::step, ::step])
    picture = f"data:image/png;base64,{b64encode(png(rgb)).decode()}"
    return f"<figure>{svg(frame, picture, min(image.width, WIDEST))}<figcaption>{escape(facts)}</figcaption></figure>"


def svg(frame: Frame, picture: str, width: int, boxes: bool = True) -> str:
    """An SVG `width` pixels wide: `picture` (an address) with the boxes and labels of the frame's objects."""
    full, high = frame.image.width, frame.image.height
    line = max(1.0, full / width * 2)
    size = full / width * 13
    marks = []
    for found in frame.objects if boxes else ():
        x1, y1, x2, y2 = (float(value) for value in found.box)
        colour = COLOURS[(found.id if found.id is not None else found.class_id) % len(COLOURS)]
        text = found.label if found.id is None else f"{found.label} {found.id}"
        marks.append(
            f'<rect x="{x1:.1f}" y="{y1:.1f}" width="{max(0.0, x2 - x1):.1f}" height="{max(0.0, y2 - y1):.1f}" '
            f'fill="none" stroke="{colour}" stroke-width="{line:.1f}"/>'
            f'<text x="{x1:.1f}" y="{max(size, y1 - line):.1f}" font-size="{size:.1f}" font-family="sans-serif" '
            f'fill="{colour}" stroke="white" stroke-width="{size / 6:.1f}" paint-order="stroke">{escape(text)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full} {high}" width="{width}" '
        f'height="{round(width * high / full)}"><image href="{picture}" width="{full}" height="{high}" '
        f'preserveAspectRatio="none"/>{"".join(marks)}</svg>'
    )


def png(rgb: NDArray[np.uint8]) -> bytes:
    """Pixels [h, w, 3] as a PNG (ISO/IEC 15948): every row unfiltered."""
    height, width = rgb.shape[:2]
    rows = np.zeros((height, 1 + width * 3), np.uint8)
    rows[:, 1:] = rgb.reshape(height, width * 3)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 3)), (b"IEND", b"")
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out
