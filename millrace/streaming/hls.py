"""HLS with fragmented MP4 and low latency (RFC 8216; parts, preload hints, blocking reload: its draft "bis").

A segment begins at a key picture. It is offered in parts while it grows; a playlist or a part that is not there yet is
waited for, so that a player has each part as soon as it is made.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import quote

from .fmp4 import CLOCK, Sample, fragment

PART = 0.2  # seconds of a part
SEGMENT = 2.0  # seconds of a segment at least; it ends at the next key picture
START = 3  # segments that a player wants to begin
FIRST = 0.5  # seconds of those at least: who comes first need not wait for long
KEPT = 6  # whole segments that are offered
WITH_PARTS = 3  # the last ones, whose parts are listed
LARGEST = 48 << 20  # bytes of a segment: one that has no end (no key picture comes) is given up


@dataclass(slots=True)
class Part:
    data: bytes
    duration: float
    independent: bool


@dataclass(slots=True)
class Segment:
    number: int
    header: int
    begun: float  # time.time()
    discontinuity: bool
    parts: list[Part] = field(default_factory=list)

    @property
    def duration(self) -> float:
        return sum(part.duration for part in self.parts)

    @property
    def data(self) -> bytes:
        return b"".join(part.data for part in self.parts)


class Hls:
    """The playlist of one stream and what it names. Lives in the server's loop: no locks."""

    def __init__(self, name: str, part: float = PART, segment: float = SEGMENT) -> None:
        self._base = quote(name.rpartition("/")[2])
        self._part, self._segment = part, segment
        self._target = math.ceil(segment)
        self._longest = part  # seconds of a part, at most
        self.headers: dict[int, bytes] = {}
        self.whole: deque[Segment] = deque()
        self.growing: Segment | None = None
        self.ended = False
        self._next = 0
        self._fragments = 0
        self._gap = False
        self._discontinuities = 0  # of segments that are offered no more
        self._samples: list[Sample] = []  # of the part that grows; the last one's duration is an estimate
        self._changed = asyncio.Event()
        self._text: str | None = None

    def begin(self, header: bytes) -> None:
        """What follows needs this header, and does not go on from what came before."""
        self.pause()
        self.headers[max(self.headers, default=-1) + 1] = header
        self._gap = self._next > 0

    def pause(self) -> None:
        """What follows does not go on from what came before."""
        self._close_part()
        self._close_segment()
        self._gap = self._next > 0

    def restart(self) -> None:
        """Nobody has watched for a while: what is offered begins with what comes next."""
        self.pause()
        while self.whole:
            self._forget_first()

    def add(self, sample: Sample) -> None:
        """The next picture, in decoding order; up to the first key picture they are passed over."""
        if self._samples:
            last = self._samples[-1]
            self._samples[-1] = replace(last, duration=max(1, min(sample.dts - last.dts, 30 * CLOCK)))
            length = (sample.dts - self._samples[0].dts) / CLOCK
            least = self._segment if len(self.whole) >= START else FIRST  # who comes first need not wait for long
            ends = sample.key and self.growing is not None and self.growing.duration + length >= least - 0.001
            if ends or length + sample.duration / CLOCK > self._longest + 0.001:
                self._close_part()
            if ends:
                self._close_segment()
        if self.growing is None:
            if not sample.key:
                return
            self.growing = Segment(self._next, max(self.headers), time.time(), self._gap)
            self._next, self._gap = self._next + 1, False
        self._samples.append(sample)

    def end(self) -> None:
        """No more will come."""
        self.pause()
        self.ended = True
        self._tell()

    def _close_part(self) -> None:
        if not self._samples or self.growing is None:
            return
        samples, self._samples = self._samples, []
        duration = sum(sample.duration for sample in samples) / CLOCK
        self._fragments += 1
        part = Part(fragment(self._fragments, samples), duration, samples[0].key)
        self._longest = max(self._longest, duration)
        self.growing.parts.append(part)
        if sum(len(each.data) for each in self.growing.parts) > LARGEST:
            self.growing, self._gap = None, True
        self._tell()

    def _close_segment(self) -> None:
        segment, self.growing = self.growing, None
        if segment is None or not segment.parts:
            return
        self._target = max(self._target, math.floor(segment.duration + 0.5))
        self.whole.append(segment)
        while len(self.whole) > KEPT:
            self._forget_first()
        for number in [each for each in self.headers if each < self.whole[0].header]:
            del self.headers[number]
        self._tell()

    def _forget_first(self) -> None:
        self._discontinuities += self.whole.popleft().discontinuity
        self._text = None

    def _tell(self) -> None:
        self._text = None
        self._changed.set()
        self._changed = asyncio.Event()

    # what clients ask for

    def has(self, number: int, part: int | None) -> bool:
        """Whether a segment, or a part of it, is there or has been there."""
        if self.ended or number < (self.growing.number if self.growing else self._next):
            return True
        growing = self.growing
        return part is not None and growing is not None and number == growing.number and part < len(growing.parts)

    async def begun(self, seconds: float) -> bool:
        """Wait for as much as players want at the start, whole segments (Chromium gives up with less)."""
        try:
            async with asyncio.timeout(seconds):
                while not (self.ended or len(self.whole) >= START):
                    await self._changed.wait()
        except TimeoutError:
            return bool(self.whole)  # key pictures are far apart
        return True

    def may_be_awaited(self, number: int) -> bool:
        """Whether it is not so far ahead that asking for it makes no sense."""
        return number <= self._next + 1

    async def wait(self, number: int, part: int | None, seconds: float) -> bool:
        """Wait for a segment, or a part of it; False when it did not come in time."""
        try:
            async with asyncio.timeout(seconds):
                while not self.has(number, part):
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    @property
    def patience(self) -> float:
        """Seconds that a client may wait for what must come."""
        return 3.0 * self._target

    @property
    def first(self) -> int:
        """The segment that grows, or is to come."""
        return self.growing.number if self.growing else self._next

    @property
    def is_empty(self) -> bool:
        return not self.whole and (self.growing is None or not self.growing.parts)

    def data(self, number: int, part: int | None) -> bytes | None:
        """The bytes of a segment or a part of it; None where it is not there (any more)."""
        for segment in (*self.whole, *([self.growing] if self.growing is not None else [])):
            if segment.number == number:
                if part is None:
                    return segment.data if segment is not self.growing else None
                return segment.parts[part].data if part < len(segment.parts) else None
        return None

    def playlist(self) -> str:
        if self._text is None:
            self._text = "\n".join(self._lines()) + "\n"
        return self._text

    def _lines(self) -> list[str]:
        base, segments = self._base, list(self.whole)
        first = segments[0].number if segments else self.first
        lines = ["#EXTM3U", "#EXT-X-VERSION:9", f"#EXT-X-TARGETDURATION:{self._target}"]
        hold = f"PART-HOLD-BACK={3 * self._longest:.3f},HOLD-BACK={3 * self._target:.1f}"
        lines += [f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,{hold}"]
        lines += [f"#EXT-X-PART-INF:PART-TARGET={self._longest:.3f}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        lines += ["#EXT-X-INDEPENDENT-SEGMENTS"]
        gone = self._discontinuities + bool(segments and segments[0].discontinuity)
        lines += [f"#EXT-X-DISCONTINUITY-SEQUENCE:{gone}"] if gone else []
        header = -1
        if self.growing is not None and self.growing.parts:
            segments.append(self.growing)
        for place, segment in enumerate(segments):
            if segment.discontinuity and place:
                lines.append("#EXT-X-DISCONTINUITY")
            if segment.header != header:
                header = segment.header
                lines.append(f'#EXT-X-MAP:URI="{base}/{header}.mp4"')
            when = datetime.fromtimestamp(segment.begun, UTC).isoformat(timespec="milliseconds")
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{when.replace('+00:00', 'Z')}")
            if len(segments) - place <= WITH_PARTS and not self.ended:
                for number, part in enumerate(segment.parts):
                    uri = f'URI="{base}/{segment.number}.{number}.m4s"'
                    alone = ",INDEPENDENT=YES" if part.independent else ""
                    lines.append(f"#EXT-X-PART:DURATION={part.duration:.5f},{uri}{alone}")
            if segment is not self.growing:
                lines += [f"#EXTINF:{segment.duration:.5f},", f"{base}/{segment.number}.m4s"]
        if self.ended:
            lines.append("#EXT-X-ENDLIST")
        else:
            made = len(self.growing.parts) if self.growing is not None else 0
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{base}/{self.first}.{made}.m4s"')
        return lines
