"""What a decoder is: packets of one stream in, pictures out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ..media import Image, Packet


class Decoded(NamedTuple):
    """One picture as it leaves the decoder, in presentation order."""

    image: Image
    pts: int | None  # ns of stream time
    duration: int | None  # ns
    corrupt: bool = False  # the decoder concealed damage
    sei: list[tuple[bytes, bytes]] | None = None  # user data that came with it: (name of 16 bytes, payload)


class Decoder(Protocol):
    """Made per stream from the caps of its packets: `open_decoder(caps, device)`.

    Raises ValueError with a plain sentence when the codec or the format cannot be decoded here. Damaged packets
    give no pictures: they are counted in `damaged` and never raise.
    """

    @property
    def damaged(self) -> int: ...

    def decode(self, packet: Packet) -> list[Decoded]: ...

    def flush(self) -> list[Decoded]:
        """The pictures still held; the decoder may be used again afterwards."""
        ...

    def close(self) -> None: ...
