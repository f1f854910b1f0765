"""A stream that one decoder cannot decode is decoded by another one, from its first packet on."""

from __future__ import annotations

from collections.abc import Callable

from ..media import Image, Packet
from .base import Decoded, Decoder

_MOST = 128  # packets without a picture that are kept for the other decoder


class Fallback:
    """See decoders.base.Decoder: the first decoder until it says that it cannot, then the second.

    Only before its first picture can the first one say so (ValueError, or no picture at the end, or of many
    packets): the packets until then are given to the second.
    `say` hears why, once.
    """

    def __init__(self, first: Decoder, second: Callable[[], Decoder], say: Callable[[str], None]) -> None:
        self._decoder = first
        self._second: Callable[[], Decoder] | None = second
        self._say = say
        self._seen: list[Packet] = []

    @property
    def damaged(self) -> int:
        return self._decoder.damaged

    def decode(self, packet: Packet) -> list[Decoded]:
        if self._second is None:
            return self._decoder.decode(packet)
        self._seen.append(packet)
        try:
            pictures = self._decoder.decode(packet)
        except ValueError as error:
            return self._change(str(error))
        if pictures:
            self._settle()
        elif len(self._seen) > _MOST:
            if any(each.key for each in self._seen[: _MOST // 2]):
                return self._change(self._nothing())
            self._settle()  # none of them could be decoded yet
        return pictures

    def flush(self) -> list[Decoded]:
        if self._second is None:
            return self._decoder.flush()
        try:
            pictures = self._decoder.flush()
        except ValueError as error:
            return [*self._change(str(error)), *self._decoder.flush()]
        if pictures:
            self._settle()
        elif self._seen:
            return [*self._change(self._nothing()), *self._decoder.flush()]
        return pictures

    def close(self) -> None:
        self._settle()
        self._decoder.close()

    def _settle(self) -> None:
        self._second = None
        self._seen.clear()

    def _nothing(self) -> str:
        return f"no picture came of {len(self._seen)} packets"

    def _change(self, reason: str) -> list[Decoded]:
        """The second decoder takes over."""
        assert self._second is not None
        self._decoder.close()
        self._decoder = self._second()
        packets = list(self._seen)
        self._settle()
        self._say(reason)
        return [picture for packet in packets for picture in self._decoder.decode(packet)]


class Moved:
    """See decoders.base.Decoder: another one, whose pictures are brought elsewhere by `move`."""

    def __init__(self, decoder: Decoder, move: Callable[[Image], Image]) -> None:
        self._decoder = decoder
        self._move = move

    @property
    def damaged(self) -> int:
        return self._decoder.damaged

    def decode(self, packet: Packet) -> list[Decoded]:
        return [each._replace(image=self._move(each.image)) for each in self._decoder.decode(packet)]

    def flush(self) -> list[Decoded]:
        return [each._replace(image=self._move(each.image)) for each in self._decoder.flush()]

    def close(self) -> None:
        self._decoder.close()
