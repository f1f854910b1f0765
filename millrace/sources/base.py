"""What a source is, and the table of addresses that are known.

A source is a `core.element.Source`: `read()` yields a StreamStart whose caps say "packets" (or "frames" for a source
of pictures), then items of that kind; times are ns. It raises SourceError with one plain sentence when it cannot
open or go on. Every source has the settings `stream` (its name) and `uri`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ..core.caps import PACKETS, Caps
from ..core.element import Source, setting
from ..media import Decoding
from ..media.codec import Skip

__all__ = ["SCHEMES", "CodedSource", "Source", "to_ns"]

SCHEMES = {  # scheme → module:class in this folder; imported when asked for
    "file": "file:FileSource",
    "images": "images:ImagesSource",
    "pattern": "pattern:PatternSource",
    "raw": "raw:RawSource",
    "rtsp": "rtsp:RtspSource",
    "rtsps": "rtsp:RtspSource",
    "http": "http:HttpSource",
    "https": "http:HttpSource",
    "camera": "camera:CameraSource",
    "screen": "screen:ScreenSource",
    "gst": "gst:GstSource",
    "realsense": "realsense:RealSenseSource",
}


class CodedSource(Source):
    """A source of packets: the settings that go to its decoder. `say(caps)` puts them into the caps."""

    skip_frames: Skip = setting(
        default="none",
        help="what is not decoded: none, non_reference (pictures that no other needs), non_key",
        choices=("none", "non_reference", "non_key"),
    )
    drop_frame_interval: int = setting(default=1, help="every Nth decoded frame goes on; 1: all", minimum=1)
    rotate: int | None = setting(
        default=None,
        help="degrees clockwise to turn the pictures by: 0, 90, 180, 270; default: as the stream says",
        choices=(None, 0, 90, 180, 270),
    )
    low_latency: bool = setting(default=False, help="ask the decoder to hold no picture back")

    def say(self, caps: Caps) -> Caps:
        """The caps with what the settings ask of the decoder; frames' caps stay as they are."""
        if caps.kind != PACKETS:
            return caps
        said: Any = caps.get("rotation") or 0
        turn = round(said / 90) * 90 % 360 if self.rotate is None else self.rotate
        wanted = Decoding(self.skip_frames, self.drop_frame_interval, turn, self.low_latency)
        return caps.replace(decoding=wanted) if wanted != Decoding() else caps


def to_ns(ticks: int, time_base: Fraction) -> int:
    """Ticks of `time_base` seconds as the nearest ns, in integers."""
    den = time_base.denominator
    return (ticks * time_base.numerator * 1_000_000_000 + den // 2) // den
