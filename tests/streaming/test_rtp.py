"""RTP packets put together again, as a receiver does it (RFC 6184, RFC 7798)."""

from __future__ import annotations

import itertools
import struct

import pytest

from millrace.streaming.rtp import MTU, Packetizer


def received(packets: list[bytes], codec: str) -> list[bytes]:
    """The NAL units in RTP packets, by the rules of the two payload formats."""
    units: list[bytes] = []
    for packet in packets:
        payload = packet[12:]
        kind = payload[0] & 0x1F if codec == "h264" else payload[0] >> 1 & 0x3F
        if kind not in (28, 49):
            units.append(payload)
            continue
        size = 1 if codec == "h264" else 2
        flags = payload[size]
        if flags & 0x80:
            if codec == "h264":
                units.append(bytes([payload[0] & 0xE0 | flags & 0x1F]))
            else:
                units.append(bytes([payload[0] & 0x81 | (flags & 0x3F) << 1, payload[1]]))
        units[-1] += payload[size + 1 :]
    return units


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_units_of_all_sizes_arrive_as_they_were(codec: str) -> None:
    head = b"\x65" if codec == "h264" else b"\x26\x01"
    for size in (1, 2, 1000, 1385, 1386, 1387, 1388, 1389, 5000, 100_000):
        unit = head + bytes(n % 251 for n in range(size))
        rtp = Packetizer(codec, None)
        packets = rtp.packets([head + b"x", unit], 1_000_000_000)
        assert received(packets, codec) == [head + b"x", unit]
        assert max(map(len, packets)) <= MTU
        assert [packet[1] >> 7 for packet in packets] == [0] * (len(packets) - 1) + [1]
        assert {packet[1] & 0x7F for packet in packets} == {96}
        numbers = [struct.unpack(">H", packet[2:4])[0] for packet in packets]
        assert all((b - a) & 0xFFFF == 1 for a, b in itertools.pairwise(numbers))
        assert {packet[4:8] for packet in packets} == {((90_000 + rtp.offset) & 0xFFFFFFFF).to_bytes(4, "big")}


def test_the_clock_goes_on_over_its_end() -> None:
    rtp = Packetizer("h264", None)
    for pts in (0, 40_000_000, 3600 * 24 * 10**9):
        assert (rtp.timestamp(pts) - rtp.offset) & 0xFFFFFFFF == round(pts * 9 / 100_000) & 0xFFFFFFFF


def test_the_sender_report_counts() -> None:
    rtp = Packetizer("h264", None)
    packets = rtp.packets([b"\x65" + bytes(3000)], 0)
    report = rtp.sender_report()
    version, kind, length, source = struct.unpack(">BBHI", report[:8])
    assert (version, kind, length, source) == (0x80, 200, 6, rtp.source)
    sent, octets = struct.unpack(">II", report[20:28])
    assert sent == len(packets) and octets == sum(len(packet) - 12 for packet in packets)
    assert report[28:30] == b"\x81\xca" and len(report) % 4 == 0 and b"millrace" in report


def test_the_goodbye_follows_a_report() -> None:
    rtp = Packetizer("h264", None)
    data = rtp.goodbye()
    assert data[1] == 200 and data[-8:] == b"\x81\xcb\x00\x01" + rtp.source.to_bytes(4, "big")


def test_other_codecs_are_refused() -> None:
    with pytest.raises(ValueError, match="for h264, hevc, not for mjpeg"):
        Packetizer("mjpeg", None)
