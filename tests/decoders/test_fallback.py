"""A decoder that cannot decode a stream hands it to another one, with all packets that it has had."""

from __future__ import annotations

import pytest

from millrace.decoders.base import Decoded
from millrace.decoders.fallback import Fallback, Moved
from millrace.media import Image, Packet


def packet(index: int) -> Packet:
    return Packet("a", b"x", index, index, 1, index == 0, 0)


class Played:
    """Gives a picture for each packet, `late` packets after it; says at the packet `fails` that it cannot."""

    def __init__(self, late: int = 0, fails: int | None = None, in_flush: bool = False) -> None:
        self.late, self.fails, self.in_flush = late, fails, in_flush
        self.held: list[Packet] = []
        self.given = 0
        self.damaged = 0
        self.closed = False

    def decode(self, packet: Packet) -> list[Decoded]:
        self.given += 1
        if self.fails is not None and self.given > self.fails:
            raise ValueError("only even sizes")
        self.held.append(packet)
        return [self._picture(self.held.pop(0))] if len(self.held) > self.late else []

    def flush(self) -> list[Decoded]:
        if self.in_flush:
            raise ValueError("only even sizes")
        held, self.held = self.held, []
        return [self._picture(each) for each in held]

    def close(self) -> None:
        self.closed = True

    def _picture(self, packet: Packet) -> Decoded:
        return Decoded(Image("GRAY8", [], 1, 1), packet.pts, 1)


def times(decoder, count: int) -> list[int | None]:
    pictures = [picture for index in range(count) for picture in decoder.decode(packet(index))]
    return [picture.pts for picture in [*pictures, *decoder.flush()]]


def test_a_decoder_that_can_stays():
    first, said = Played(late=3), []
    decoder = Fallback(first, lambda: pytest.fail("nobody asked for it"), said.append)
    assert times(decoder, 10) == list(range(10))
    assert not said and not decoder._seen
    decoder.close()
    assert first.closed


@pytest.mark.parametrize("fails", [0, 1, 3])
def test_nothing_is_lost_when_it_cannot(fails):
    first, second, said = Played(late=5, fails=fails), Played(late=2), []
    decoder = Fallback(first, lambda: second, said.append)
    assert times(decoder, 10) == list(range(10))
    assert said == ["only even sizes"] and first.closed
    second.damaged = 4
    assert decoder.damaged == 4
    decoder.close()
    assert second.closed


def test_a_short_stream_that_is_refused_at_its_end():
    second, said = Played(late=2), []
    decoder = Fallback(Played(late=9, in_flush=True), lambda: second, said.append)
    assert times(decoder, 4) == [0, 1, 2, 3]
    assert said == ["only even sizes"]


def test_a_short_stream_of_which_no_picture_came():
    first, second, said = Played(late=9), Played(late=2), []
    first.flush = list
    decoder = Fallback(first, lambda: second, said.append)
    assert decoder.flush() == [] and not said  # there was nothing that it could have given
    assert times(decoder, 4) == [0, 1, 2, 3]
    assert said == ["no picture came of 4 packets"] and first.closed


def test_a_live_stream_of_which_no_picture_comes():
    """It has no end at which that would show. Packets without a key picture say nothing: they could not be decoded."""
    second, said = Played(), []
    decoder = Fallback(Played(late=999), lambda: second, said.append)
    pictures = [each.pts for n in range(140) for each in decoder.decode(packet(n))]
    assert pictures == list(range(140)) and said == ["no picture came of 129 packets"]
    decoder = Fallback(Played(late=135), lambda: pytest.fail("nobody asked for it"), said.append)
    assert [each.pts for n in range(1, 141) for each in decoder.decode(packet(n))] == [1, 2, 3, 4, 5]


def test_after_its_first_picture_it_may_not_change():
    decoder = Fallback(Played(fails=2), lambda: pytest.fail("too late"), lambda text: None)
    decoder.decode(packet(0))
    decoder.decode(packet(1))
    with pytest.raises(ValueError, match="only even sizes"):
        decoder.decode(packet(2))


def test_pictures_are_brought_elsewhere():
    there = Image("NV12", [], 1, 1, memory="cuda:0")
    inner = Played(late=1)
    decoder = Moved(inner, lambda image: there)
    pictures = [picture for index in range(3) for picture in decoder.decode(packet(index))] + decoder.flush()
    assert [picture.pts for picture in pictures] == [0, 1, 2]
    assert all(picture.image is there for picture in pictures)
    inner.damaged = 2
    assert decoder.damaged == 2
    decoder.close()
    assert inner.closed
