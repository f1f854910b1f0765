"""A live stream whose packets give no picture: how long that lasts, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..decoders.timing import SECOND
from ..media import Packet

PATIENCE = 10 * SECOND  # of packets that come; a camera that sends none is its source's matter
FEWEST = 64  # packets: more than a decoder holds back, two fields a picture, at a picture a second, too
_STEP = SECOND  # of the time from a packet to the next no more is counted


@dataclass(slots=True)
class Unseen:
    """The packets that have come since the last picture (the stream's so many-th), and gave none."""

    pictures: int
    since: int  # ns of time.monotonic, as `latest`
    latest: int
    lasted: int = 0  # ns
    packets: int = 0
    keys: int = 0
    size: int = 0  # bytes
    told: bool = False

    def add(self, packet: Packet, arrived: int) -> bool:
        """Whether it is to be told now."""
        self.lasted += max(0, min(arrived - self.latest, _STEP))
        self.latest = arrived
        self.packets += 1
        self.keys += packet.key
        self.size += memoryview(packet.data).nbytes
        if self.told or self.lasted < PATIENCE or self.packets < FEWEST:
            return False
        self.told = True
        return True

    def text(self, codec: str, damaged: int, device: str) -> str:
        """What was got, and what to do. `damaged`: how many of the packets were."""
        keys = "key picture" if self.keys == 1 else "key pictures"
        what = f"{self.packets} packets ({self.size} bytes, {self.keys} {keys}, {damaged} damaged)"
        if not self.keys:
            hint = "set a shorter interval of key pictures (GOP, I-frame interval) in the camera"
        else:
            hint = f"check the camera's {codec} settings (profile, key-picture interval) and the network"
        other = "" if device == "cpu" else ", or try `device: cpu`"
        return f"no picture for {(self.latest - self.since) / SECOND:.0f} s, though packets come: {what}; {hint}{other}"
