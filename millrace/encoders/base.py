"""What an encoder is: pictures of one stream in, packets out."""

from __future__ import annotations

from typing import Protocol

from ..core.caps import Caps
from ..media import Frame, Packet


class Encoder(Protocol):
    """Made per stream: `open_encoder(caps, settings)`; raises ValueError naming what is allowed.

    `caps` describes the packets and is complete once made (codec, width, height, time_base, extradata,
    parameters for the muxer).
    """

    caps: Caps

    def encode(self, frame: Frame, key: bool = False) -> list[Packet]:
        """`key`: this picture can be decoded without others, for somebody who has just come."""
        ...

    def flush(self) -> list[Packet]: ...

    def close(self) -> None: ...


class Unavailable(ValueError):
    """This device encodes nothing of the kind; another may. Raised by `open_encoder`."""
