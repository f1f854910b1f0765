"""A live stream whose packets give no picture: how long that lasts, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..decoders.timing import SECOND
from ..media import Packet

PATIENCE = 10 * SECOND  # of packets that come; a camera that sends none is its source's matter
FEWEST = 8  # packets besides those that the decoder may hold back: not every stream says that it reorders a few
_STEP = SECOND  # of the time from a packet to the next no more is counted, or twice the time to the one before


@dataclass(slots=True)
class Unseen:
    """The packets that have come since the last picture (the stream's so many-th), and gave none."""

    pictures: int
    since: int  # ns of time.monotonic, as `latest`
    latest: int
    held: int = 0  # pictures that the decoder may hold back
    usual: int = 0  # ns without a picture that are known: only twice as long is told
    lasted: int = 0  # ns
    gap: int = 0  # ns from the packet before the latest to that
    packets: int = 0
    keys: int = 0
    size: int = 0  # bytes
    told: bool = False

    def add(self, packet: Packet, arrived: int) -> bool:
        """Whether it is to be told now."""
        gap = max(0, arrived - self.latest)
        self.lasted += min(gap, max(_STEP, 2 * self.gap))
        self.latest, self.gap = arrived, gap
        self.packets += 1
        self.keys += packet.key
        self.size += memoryview(packet.data).nbytes
        fewest = FEWEST + 2 * self.held  # two fields a picture
        if self.told or self.lasted < max(PATIENCE, 2 * self.usual) or self.packets < fewest:
            return False
        self.told = True
        return True

    def text(self, codec: str, damaged: int, device: str, keys_only: bool) -> str:
        """What was got, and what to do. `damaged`: how many of the packets were; `keys_only`: others are left out."""
        keys = "key picture" if self.keys == 1 else "key pictures"
        what = f"{self.packets} packets ({self.size} bytes, {self.keys} {keys}, {damaged} damaged)"
        other = "" if device == "cpu" else ", or try `device: cpu`"
        if self.keys:
            hint = f"check the camera's {codec} settings (profile, key-picture interval) and the network"
        else:
            hint = "set a shorter interval of key pictures (GOP, I-frame interval) in the camera"
            if keys_only:
                hint, other = f"only those are decoded (`skip_frames: non_key`): {hint}", ", or `skip_frames: none`"
        return f"no picture for {(self.latest - self.since) / SECOND:.0f} s, though packets come: {what}; {hint}{other}"
