"""Pictures that become others are decoded by another decoder; nothing is lost on the way."""

from __future__ import annotations

import numpy as np
import pytest
from changing import FRAMES, changing

from millrace.decoders.base import Decoded, Decoder
from millrace.decoders.fallback import Fallback
from millrace.decoders.libav import open_decoder
from millrace.decoders.renewed import Renewed
from millrace.media import Image, Packet

SETS = {"h264": (b"\x67", b"\x65"), "hevc": (b"\x42\x01", b"\x26\x01")}
HEADERS = {  # lengths of 4 bytes, no parameter sets
    "h264": b"\x01\x64\x00\x1f\xff\xe0\x00",
    "hevc": b"\x01" + bytes(20) + b"\x03\x00",
}


def access_unit(codec: str, kind: int, length_size: int, key: bool = True) -> bytes:
    sets, picture = SETS[codec]
    units = [sets + bytes([kind]), picture + bytes([9]) * 6000] if key else [b"\x02\x01" + bytes([9]) * 50]
    starts = (len(unit).to_bytes(length_size, "big") if length_size else b"\0\0\0\1" for unit in units)
    return b"".join(start + unit for start, unit in zip(starts, units, strict=True))


class Played:
    """Gives each packet's picture one packet later, or says at the third packet that it cannot, before any picture."""

    def __init__(self, name: str = "first", refuses: bool = False) -> None:
        self.name, self.refuses = name, refuses
        self.held: list[Packet] = []
        self.given, self.damaged, self.closed = 0, 0, False

    def decode(self, packet: Packet) -> list[Decoded]:
        self.given += 1
        if self.refuses and self.given > 2:
            raise ValueError("only even sizes")
        self.held.append(packet)
        return [self._picture(self.held.pop(0))] if len(self.held) > (2 if self.refuses else 1) else []

    def flush(self) -> list[Decoded]:
        held, self.held = self.held, []
        return [self._picture(each) for each in held]

    def close(self) -> None:
        self.closed = True

    def _picture(self, packet: Packet) -> Decoded:
        return Decoded(Image("GRAY8", [np.zeros((1, 1), np.uint8)], 1, 1), packet.pts, 1)


def packets(codec: str, length_size: int, kinds: str) -> list[Packet]:
    """One packet for each letter: a key picture with parameter sets of that kind; `.` is a picture without."""
    data = [access_unit(codec, ord(kind), length_size, kind != ".") for kind in kinds]
    return [Packet("a", each, n, n, 1, key=kinds[n] != ".") for n, each in enumerate(data)]


@pytest.mark.parametrize("length_size", [0, 4])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_another_decoder_begins_where_the_parameter_sets_change(codec: str, length_size: int) -> None:
    made: list[Played] = []

    def make() -> Played:
        made.append(Played())
        return made[-1]

    decoder = Renewed(make, codec, HEADERS[codec] if length_size else None)
    pictures = [each.pts for packet in packets(codec, length_size, "a..aab..a") for each in decoder.decode(packet)]
    assert [each.given for each in made] == [5, 3, 1] and [each.closed for each in made] == [True, True, False]
    assert pictures + [each.pts for each in decoder.flush()] == list(range(9))
    decoder.close()
    assert made[2].closed


def test_what_an_old_decoder_lost_stays_counted() -> None:
    made = [Played(), Played()]
    made[0].damaged = 2
    left = list(made)
    decoder = Renewed(lambda: left.pop(0), "h264", None)
    for packet in packets("h264", 0, "ab"):
        decoder.decode(packet)
    made[1].damaged = 1
    assert decoder.damaged == 3


def test_pictures_that_the_new_decoder_cannot_have_go_to_the_other_one() -> None:
    firsts, other, said = [Played(), Played(refuses=True)], Played("other"), list[str]()
    decoder = Renewed(lambda: Fallback(firsts.pop(0), lambda: other, said.append), "h264", None)
    pictures = [each.pts for packet in packets("h264", 0, "a...b.....") for each in decoder.decode(packet)]
    assert pictures + [each.pts for each in decoder.flush()] == list(range(10))
    assert other.given == 6 and said == ["only even sizes"]


def test_broken_packets_are_the_decoders_matter() -> None:
    decoder = Renewed(Played, "h264", HEADERS["h264"])
    for data in (b"", b"\0", b"\0\0\0\xff\x67", b"\xff" * 100):
        decoder.decode(Packet("a", data, 0, 0, 1, key=True))
    assert len(decoder.flush()) == 1


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_real_streams_that_change_their_size(encoder: str) -> None:
    caps, stream = changing(
        encoder, [(320, 180, "yuv420p"), (320, 180, "yuv420p"), (128, 96, "yuv420p"), (322, 182, "yuv422p")]
    )
    made = []

    def make() -> Decoder:
        made.append(open_decoder(caps))
        return made[-1]

    decoder, whole = Renewed(make, caps["codec"], None), open_decoder(caps)
    pictures = [each for packet in stream for each in decoder.decode(packet)] + decoder.flush()
    wanted = [each for packet in stream for each in whole.decode(packet)] + whole.flush()
    decoder.close()
    whole.close()
    assert len(made) == 3
    assert [each.pts for each in pictures] == [n * 40 for n in range(4 * FRAMES)] == [each.pts for each in wanted]
    for ours, theirs in zip(pictures, wanted, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours.image.planes, theirs.image.planes, strict=True))


def test_other_codecs_have_no_parameter_sets() -> None:
    decoder = Renewed(Played, "av1", None)
    for data in (b"\0\0\1\x67a", b"\0\0\1\x67b"):
        decoder.decode(Packet("a", data, 0, 0, 1, key=True))
    assert len(decoder.flush()) == 1


def test_a_header_that_is_cut_off_is_for_the_decoder_to_say():
    decoder = Renewed(Played, "h264", HEADERS["h264"][:4] + b"\xff\xe1\x00")
    assert decoder.decode(packets("h264", 4, "a")[0]) == []
