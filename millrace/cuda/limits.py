"""What a GPU's video engines can decode, as the driver says (cuvidGetDecoderCaps of libnvcuvid; no other library)."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import NamedTuple

from .context import Gpu, check, out_of_memory

CODECS = {"mpeg2video": 1, "mpeg4": 2, "vc1": 3, "h264": 4, "mjpeg": 5, "hevc": 8, "vp8": 9, "vp9": 10, "av1": 11}
CHROMA = {"4:0:0": 0, "4:2:0": 1, "4:2:2": 2, "4:4:4": 3}
_A_DECODER = 100_000_000  # bytes that must be free for one to be made


class Limit(NamedTuple):
    """Of one codec, depth and kind of chroma."""

    engines: int
    width: tuple[int, int]  # least, most
    height: tuple[int, int]
    blocks: int  # most of 16 x 16 pixels


class _Caps(ctypes.Structure):
    """struct CUVIDDECODECAPS of the Video Codec SDK."""

    _fields_ = [
        ("codec", ctypes.c_int), ("chroma", ctypes.c_int), ("depth_minus_8", ctypes.c_uint),
        ("unused", ctypes.c_uint * 3), ("supported", ctypes.c_ubyte), ("engines", ctypes.c_ubyte),
        ("formats", ctypes.c_ushort), ("max_width", ctypes.c_uint), ("max_height", ctypes.c_uint),
        ("max_blocks", ctypes.c_uint), ("min_width", ctypes.c_ushort), ("min_height", ctypes.c_ushort),
        ("histogram", ctypes.c_ubyte), ("counter_depth", ctypes.c_ubyte), ("bins", ctypes.c_ushort),
        ("more", ctypes.c_uint * 10),
    ]  # fmt: skip


def library() -> ctypes.CDLL | None:
    """The driver's decoding library; None where it is not there."""
    try:
        return ctypes.CDLL("nvcuvid.dll" if sys.platform == "win32" else "libnvcuvid.so.1")
    except OSError:
        return None


def limit(gpu: Gpu, codec: str, chroma: str = "4:2:0", depth: int = 8) -> Limit | None:
    """What the GPU decodes of a codec; None: nothing, or nobody knows."""
    found = library()
    if found is None or codec not in CODECS or chroma not in CHROMA:
        return None
    gpu.use()
    return _limit(gpu.ordinal, codec, chroma, depth)


@lru_cache(maxsize=256)
def _limit(ordinal: int, codec: str, chroma: str, depth: int) -> Limit | None:
    """Asked for the context of the calling thread."""
    caps = _Caps(codec=CODECS[codec], chroma=CHROMA[chroma], depth_minus_8=depth - 8)
    found = library()
    if found is None or found.cuvidGetDecoderCaps(ctypes.byref(caps)) or not caps.supported:
        return None
    sizes = (caps.min_width, caps.max_width), (caps.min_height, caps.max_height)
    return Limit(caps.engines, *sizes, caps.max_blocks)


def why_not(gpu: Gpu, codec: str, width: int | None, height: int | None, pixel_format: str | None = None) -> str | None:
    """Why the GPU cannot decode such a stream, in words; None where it can, or where nobody knows.

    `pixel_format` is FFmpeg's name (yuv420p10le): chroma and depth.
    """
    if library() is None:
        return None
    chroma, depth = kind_of(pixel_format)
    found = limit(gpu, codec, chroma, depth)
    if found is None:
        return decodes(gpu, codec, chroma, depth)
    if not width or not height:
        return None
    outside = not (found.width[0] <= width <= found.width[1] and found.height[0] <= height <= found.height[1])
    if outside or -(-width // 16) * -(-height // 16) > found.blocks:
        return f"{decodes(gpu, codec, chroma, depth)}, not {width}x{height}"
    return None


def decodes(gpu: Gpu, codec: str, chroma: str = "4:2:0", depth: int = 8) -> str:
    """What the GPU decodes of a codec, in words."""
    found = limit(gpu, codec, chroma, depth)
    if found is None:
        return f"{gpu.name} does not decode {codec} of {chroma} with {depth} bits"
    (width, widest), (height, highest) = found.width, found.height
    return f"{gpu.name} decodes {codec} of {chroma} with {depth} bits from {width}x{height} to {widest}x{highest}"


def no_memory(gpu: Gpu, error: Exception) -> str | None:
    """In words, that a decoder failed for want of memory; None where that was not the reason."""
    gpu.use()
    free = int(check(gpu.driver.cuMemGetInfo())[0])
    if not out_of_memory(error) and free > _A_DECODER:
        return None
    return (
        f"{gpu.name} has no memory left for a decoder ({free / 1e6:.0f} MB are free): use fewer streams on it, "
        "or smaller batches"
    )


def kind_of(pixel_format: str | None) -> tuple[str, int]:
    """FFmpeg's name of a pixel format → chroma and bits; 4:2:0 and 8 where it is not known."""
    name = pixel_format or ""
    depth = next((bits for bits in (10, 12, 14, 16) if f"p{bits}" in name or f"gray{bits}" in name), 8)
    if name.startswith("gray"):
        return "4:0:0", depth
    chroma = next(
        (text for digits, text in (("422", "4:2:2"), ("444", "4:4:4"), ("gbr", "4:4:4")) if digits in name), "4:2:0"
    )
    return chroma, depth
