"""What a source is, and the table of addresses that are known.

A source is a `core.element.Source`: `read()` yields a StreamStart whose caps say "packets" (or "frames" for a source
of pictures), then items of that kind; times are ns. It raises SourceError with one plain sentence when it cannot
open or go on. Every source has the settings `stream` (its name) and `uri`.
"""

from __future__ import annotations

from fractions import Fraction

from ..core.element import Source

__all__ = ["SCHEMES", "Source", "to_ns"]

SCHEMES = {  # scheme → module:class in this folder; imported when asked for
    "file": "file:FileSource",
    "rtsp": "rtsp:RtspSource",
    "rtsps": "rtsp:RtspSource",
    "http": "http:HttpSource",
    "https": "http:HttpSource",
    "camera": "camera:CameraSource",
    "screen": "screen:ScreenSource",
}


def to_ns(ticks: int, time_base: Fraction) -> int:
    """Ticks of `time_base` seconds as the nearest ns, in integers."""
    den = time_base.denominator
    return (ticks * time_base.numerator * 1_000_000_000 + den // 2) // den
