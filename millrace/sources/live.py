"""What all sources that come over a network or from a device have in common: they fail, and come back.

A session is one connection. Between two sessions of a stream its epoch grows by one, and its times go on: the first
packet of a new session is placed as long after the last one of the old as it came later by the clock.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import av
import av.error

from ..core.caps import Caps
from ..core.element import Context, Seconds, setting, state
from ..core.errors import ConfigError, SourceError, redact
from ..core.item import Item, StreamStart
from ..media import Packet
from .base import CodedSource, to_ns
from .file import caps_of, sound_parameters
from .interrupt import Interrupt

SECOND = 1_000_000_000
END_MARGIN = SECOND  # a session with a known length that ends this near to it has come to its end


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How often and how fast a stream that was lost is opened again."""

    attempts: int = 0  # in a row; 0: for ever
    backoff: tuple[float, float] = (1.0, 30.0)  # seconds before the first attempt, and at most

    @staticmethod
    def parse(stream: str, given: dict[str, Any]) -> Reconnect:
        """From a setting such as `{attempts: 5, backoff: [1, 30]}`. Raises ConfigError."""
        wrong = sorted(set(given) - {"attempts", "backoff"})
        if wrong:
            raise ConfigError(f"{stream}: reconnect has no {wrong[0]!r}; there are: attempts, backoff")
        attempts, backoff = given.get("attempts", 0), given.get("backoff", (1.0, 30.0))
        if not isinstance(attempts, int) or attempts < 0:
            raise ConfigError(f"{stream}: reconnect: attempts={attempts!r} is not allowed: 0 (for ever), 1, 2, …")
        try:
            low, high = (float(value) for value in backoff)
        except (TypeError, ValueError):
            low, high = 1.0, 0.0
        if not 0 <= low <= high:
            raise ConfigError(
                f"{stream}: reconnect: backoff={backoff!r} is not allowed: two numbers of seconds, [least, most]"
            )
        return Reconnect(attempts, (low, high))

    def delay(self, stream: str, attempt: int) -> float:
        """Seconds before attempt 1, 2, …: doubled each time, and spread by a quarter, so that a hundred cameras
        behind one switch do not come back in the same instant. The same for the same stream and attempt."""
        low, high = self.backoff
        spread = 0.75 + 0.5 * crc32(f"{stream}/{attempt}".encode()) / 0xFFFFFFFF
        return float(min(high, low * 2 ** min(attempt - 1, 30) * spread))


class LiveSource(CodedSource):
    """A stream that comes when it comes. A file of this folder says `where` and `options`."""

    stream: str = setting(help="name of the stream")
    uri: str = setting(help="the address")
    track: int | None = setting(default=None, help="which video track, from 0; default: the best", minimum=0)
    timeout: Seconds = setting(default=5.0, help="seconds without an answer or a packet until it counts as lost")
    reconnect: dict[str, Any] = setting(
        factory=dict, help="{attempts: 0, backoff: [1, 30]}: attempts in a row (0: for ever), seconds between them"
    )
    sound: bool = setting(default=False, help="give the packets of the best sound track too; who saves it asks for it")
    insist: bool = setting(default=False, help="try again, too, when the very first attempt fails")

    context: Context | None = state(lambda: None)
    away: bool = state(bool)  # it is lost at the moment
    _interrupt: Interrupt = state(Interrupt)
    _stopped: bool = state(bool)
    _epoch: int = state(int)
    _last: Any = state(lambda: None)  # (pts, arrived) of the latest packet
    _offset: int = state(int)
    _lost_at: Any = state(lambda: None)  # when the outage began that is not over
    _tries: int = state(int)
    _shift: Any = state(lambda: None)  # from the times of packets to the clock, of a stream that comes in bursts
    _was_live: bool = state(lambda: True)  # the latest session
    _decoded: Any = state(lambda: None)  # dts of the latest packet of this session, ns
    _period: int = state(lambda: SECOND // 25)  # from a picture to the next

    def __post_init__(self) -> None:
        self.again = Reconnect.parse(self.stream, self.reconnect)
        if not self.timeout > 0:
            raise ConfigError(f"{self.stream}: timeout={self.timeout!r} is not allowed: more than 0 seconds")

    # what a kind of source says

    def where(self) -> tuple[str, str | None]:
        """What FFmpeg opens, and the name of its format where it must be told."""
        return self.uri, None

    def options(self) -> dict[str, str]:
        """FFmpeg's options for opening."""
        return {}

    def is_live(self, container: Any) -> bool:
        """Whether nobody can make it wait."""
        return True

    def is_bursty(self, container: Any) -> bool:
        """Whether many seconds of it come at once, so that packets are given out at the pace of their own times."""
        return False

    # life

    def open(self, context: Context) -> None:
        self.context = context
        self._stopped = self.away = False
        self._epoch = self._offset = self._tries = 0
        self._last = self._lost_at = None
        self._interrupt.clear()

    def interrupt(self) -> None:
        self._stopped = True
        self._interrupt.ask()

    def restart(self) -> None:
        if self._was_live:
            self._interrupt.ask()

    def read(self) -> Iterator[Item | StreamStart]:
        with self._interrupt:
            while not self._stopped:
                began = time.monotonic()
                try:
                    with self._connect() as container:
                        if self._begun and self._was_live and not self.is_live(container):
                            return  # a broadcast that is over and can be seen from its start
                        yield from self._session(container)
                        if not self._was_live or self._complete(container):
                            return
                    why = "it ended"
                except (av.error.FFmpegError, OSError) as error:
                    why = self._why(error, time.monotonic() - began)
                if self._stopped:
                    return
                if self._begun and not self._was_live:
                    raise SourceError(self.stream, f"{self._address} cannot be read further: {why}")
                if self._interrupt.asked:
                    self._interrupt.clear()
                    if self._stopped:  # meanwhile: what is cleared was perhaps this
                        return
                    why = "it is opened anew, as was asked"
                self._wait(why)

    @property
    def _begun(self) -> bool:
        """Whether it has ever given a packet."""
        return self._last is not None

    def _connect(self) -> Any:
        url, format = self.where()
        return av.open(url, format=format, options=self.options(), timeout=(self.timeout, self.timeout))

    def _session(self, container: Any) -> Iterator[Item | StreamStart]:
        video = self._choose(container)
        live = self._was_live = self.is_live(container)
        caps, sound = self._caps(container, video), None
        if self.sound:
            sound = container.streams.best("audio", related=video)
            parameters = None if sound is None else sound_parameters(sound)
            sound, caps = (None, caps) if parameters is None else (sound, caps.replace(sound=parameters))
        self._shift = None
        started, bursty = False, self.is_bursty(container)
        patience = time.monotonic() + self.timeout
        for packet in container.demux(*([video] if sound is None else [video, sound])):
            if self._interrupt.asked:
                return
            if not packet.size:
                continue
            if bursty:
                self._pace(packet)
            arrived = time.monotonic_ns()
            if packet.stream_index != video.index:
                if started and packet.pts is not None:  # before the first picture nobody wants it
                    yield self._heard(packet, arrived)
                continue
            if not started:
                if not packet.is_keyframe and time.monotonic() < patience:
                    continue  # nothing can be seen before a key picture
                started = True
                if packet.pts is None:
                    packet.pts = packet.dts or 0  # FFmpeg's RTSP leaves it out; it counts from the first picture
                yield self._start(caps, live, packet, arrived)
            yield self._packet(packet, arrived)

    def _pace(self, packet: Any) -> None:
        """Wait until it is this packet's turn; one that is behind is not held up. Times that jump begin anew."""
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is None:
            return
        due, now = to_ns(ticks, packet.time_base), time.monotonic_ns()
        if self._shift is None or abs(due + self._shift - now) > self.timeout * SECOND:
            self._shift = now - due
        self._interrupt.sleep(max(0, due + self._shift - now) / SECOND)

    def _start(self, caps: Caps, live: bool, packet: Any, arrived: int) -> StreamStart:
        """The start of a session: the next epoch, unless it is the first; times go on by the clock."""
        fps = caps.get("fps")
        self._period, self._decoded = round(SECOND / fps) if fps else SECOND // 25, None
        if self._last is not None:
            self._epoch += 1
            last, then = self._last
            self._offset = last + max(self._period, arrived - then) - to_ns(packet.pts, packet.time_base)
        if self._lost_at is not None:
            away = time.monotonic() - self._lost_at
            self._warn(f"{self._address} is back after {away:.1f} s, at attempt {self._tries}")
        self._lost_at, self._tries, self.away = None, 0, False
        return StreamStart(self.stream, self.say(caps), live, self._epoch, discontinuity=self._epoch > 0)

    def _packet(self, packet: Any, arrived: int) -> Packet:
        base, offset = packet.time_base, self._offset
        pts, dts, duration = packet.pts, packet.dts, packet.duration
        shown = None if pts is None else to_ns(pts, base) + offset
        out = Packet(
            self.stream,
            packet,
            shown,
            self._dts(None if dts is None else to_ns(dts, base) + offset, shown),
            to_ns(duration, base) if duration else None,
            packet.is_keyframe,
            self._epoch,
            arrived=arrived,
            wall=wall_time(packet),
        )
        latest = out.pts if out.pts is not None else out.dts
        before = self._last[0] if self._last is not None else 0
        self._last = (before if latest is None else max(before, latest), arrived)
        return out

    def _dts(self, dts: int | None, pts: int | None) -> int | None:
        """When a packet is decoded. Over RTSP FFmpeg does not say it of the first ones where pictures are reordered:
        then a period behind the one before, the first so early that pictures may be two places out of their order."""
        if dts is None and pts is not None:
            dts = pts - 2 * self._period if self._decoded is None else min(pts, self._decoded + self._period)
        if dts is not None:
            dts = dts if self._decoded is None else max(dts, self._decoded + 1)
            self._decoded = dts
        return dts

    def _heard(self, packet: Any, arrived: int) -> Packet:
        """A packet of sound; its times are moved as those of the pictures, so the two stay in step."""
        base, duration = packet.time_base, packet.duration
        pts = to_ns(packet.pts, base) + self._offset
        return Packet(
            self.stream, packet, pts, pts, to_ns(duration, base) if duration else None, True, self._epoch,
            "audio", arrived, wall_time(packet),
        )  # fmt: skip

    def _wait(self, why: str) -> None:
        """Until the next attempt. Raises SourceError when there is none."""
        if not self._begun and not self.insist:
            raise SourceError(self.stream, f"cannot open {self._address}: {why}")
        limit = self.again.attempts
        if limit and self._tries >= limit:
            state = "lost" if self._begun else "not reached"
            times = "1 attempt" if limit == 1 else f"{limit} attempts"
            raise SourceError(self.stream, f"{self._address} is {state}, given up after {times}: {why}")
        self._tries += 1
        self.away = True
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            how = "for ever" if not limit else "once" if limit == 1 else f"{limit} times"
            self._warn(f"{self._address} is {'lost' if self._begun else 'not there'}: {why}; trying again {how}")
        self._interrupt.sleep(self.again.delay(self.stream, self._tries))
        if not self._stopped:
            self._interrupt.clear()

    def _complete(self, container: Any) -> bool:
        """Whether the session ended because there is no more, as its known length says."""
        if container.duration is None or self._last is None:
            return False
        return bool(self._last[0] - self._offset >= container.duration * 1000 - END_MARGIN)

    def _choose(self, container: Any) -> Any:
        videos = container.streams.video
        if not videos:
            raise SourceError(self.stream, f"{self._address} has no video track")
        if self.track is not None and self.track >= len(videos):
            raise SourceError(self.stream, f"{self._address} has no video track {self.track}: it has {len(videos)}")
        chosen = container.streams.best("video") or videos[0] if self.track is None else videos[self.track]
        if chosen.codec_context is None:
            raise SourceError(self.stream, f"the codec of {self._address} is not known to FFmpeg")
        return chosen

    def _caps(self, container: Any, video: Any) -> Caps:
        return caps_of(container, video, 0)

    @property
    def _address(self) -> str:
        return redact(self.uri)

    def _why(self, error: Exception, took: float) -> str:
        # FFmpeg's RTSP takes an end of the connection for wrong data, and one before the answer to PLAY for EPERM
        broken = isinstance(error, (av.error.InvalidDataError, av.error.PermissionError))
        if (broken and took >= self.timeout) or isinstance(error, (av.error.ExitError, TimeoutError)):
            return f"no answer or packet for {self.timeout:g} s"
        if broken and self.uri.lower().startswith("rtsp"):
            return "the server hangs up, or what it answers is not a video stream that FFmpeg can read"
        if isinstance(error, av.error.HTTPUnauthorizedError):
            return "the server wants a user name and a password, or another one (401)"
        if isinstance(error, av.error.InvalidDataError):
            return "what it sends is not a video stream that FFmpeg can read"
        if self._unknown_host():
            return f"there is no host {urlsplit(self.uri).hostname!r}"
        return str(getattr(error, "strerror", None) or error)

    def _unknown_host(self) -> bool:
        """FFmpeg says no more than "Input/output error" of a name that nobody knows."""
        parts = urlsplit(self.uri)
        host = parts.hostname if parts.scheme.startswith(("rtsp", "http")) else None
        try:
            return host is not None and not socket.getaddrinfo(host, None)
        except (OSError, UnicodeError):
            return True

    def _warn(self, message: str) -> None:
        if self.context is not None:
            self.context.warn(message, self.stream)


def wall_time(packet: Any) -> int | None:
    """UTC ns when the picture was taken, as the sender's RTCP reports say (RFC 3550, 6.4.1); None before the first.

    FFmpeg gives it as a producer reference time: an int64 of µs since 1970.
    """
    if not packet.has_sidedata("prft"):
        return None
    return int(struct.unpack_from("=q", bytes(packet.get_sidedata("prft")))[0]) * 1000
