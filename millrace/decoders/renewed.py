"""A stream whose pictures become others, of another size as a rule, goes on with a new decoder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from ..media import Packet
from ..media.nal import read_header, sequences
from .base import Decoded, Decoder


class Renewed:
    """See decoders.base.Decoder: one after the other, each made by `make`, for decoders that keep their first size.

    Left alone, NVDEC would refuse larger pictures, and scale smaller ones to the size of those before. H.264 and HEVC
    tell by the sequence parameter sets in a key packet; those of `extradata` do not change. Errors are `make`'s and its
    decoders'.
    """

    def __init__(self, make: Callable[[], Decoder], codec: str, extradata: bytes | None) -> None:
        self._make, self._codec = make, codec
        self._length_size = 0
        with suppress(ValueError):  # a header that is cut off: `make` says so, and the CPU may know what to do
            self._length_size, _ = read_header(codec, extradata)
        self._known: list[bytes] = []
        self._damaged = 0  # by those before
        self._decoder = make()

    @property
    def damaged(self) -> int:
        return self._damaged + self._decoder.damaged

    def decode(self, packet: Packet) -> list[Decoded]:
        earlier = self._renew() if packet.key and self._others(packet) else []
        pictures = self._decoder.decode(packet)
        return earlier + pictures if earlier else pictures

    def flush(self) -> list[Decoded]:
        return self._decoder.flush()

    def close(self) -> None:
        self._decoder.close()

    def _others(self, packet: Packet) -> bool:
        found, known = sequences(self._codec, packet.data, self._length_size), self._known
        self._known = found or known
        return bool(known) and self._known != known

    def _renew(self) -> list[Decoded]:
        """Returns what the old one holds still."""
        pictures = self._decoder.flush()
        self._damaged += self._decoder.damaged
        self._decoder.close()
        self._decoder = self._make()
        return pictures
