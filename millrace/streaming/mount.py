"""What a server offers under one name: a stream of packets and those who watch it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..media import CodecParameters
from .rtp import Packetizer

PARAMETER_SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}


class Watcher(Protocol):
    """A client that plays."""

    def send(self, packets: Sequence[bytes], key: bool) -> None:
        """Take the RTP packets of one access unit, without waiting; `key`: it can be decoded without others."""
        ...

    def report(self, data: bytes) -> None:
        """Take an RTCP packet."""
        ...

    def end(self, goodbye: bytes) -> None:
        """The stream has ended; `goodbye` says so in RTCP."""
        ...


class Mount:
    """One stream under one name. Lives in the server's loop: no locks."""

    def __init__(self, name: str, codec: CodecParameters) -> None:
        """Raises ValueError for a codec that RTP cannot carry here."""
        self.name = name
        self.codec = codec
        self.rtp = Packetizer(codec.codec, codec.extradata)
        self.watchers: set[Watcher] = set()

    def feed(self, units: list[bytes], pts: int, key: bool) -> None:
        """Send one access unit to all who watch. Parameter sets go before every key picture that has none."""
        if not units:
            return
        if key and not any(self._kind(unit) in PARAMETER_SETS[self.codec.codec] for unit in units):
            units = [*self.rtp.parameter_sets, *units]
        packets = self.rtp.packets(units, pts)
        for watcher in list(self.watchers):
            watcher.send(packets, key)

    def report(self) -> None:
        """Tell all who watch the stream's clock."""
        data = self.rtp.sender_report()
        for watcher in list(self.watchers):
            watcher.report(data)

    def end(self) -> None:
        data = self.rtp.goodbye()
        for watcher in list(self.watchers):
            watcher.end(data)
        self.watchers.clear()

    def _kind(self, unit: bytes) -> int:
        return unit[0] & 0x1F if self.codec.codec == "h264" else unit[0] >> 1 & 0x3F
