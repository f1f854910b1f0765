"""Against FFmpeg's own bit stream filter, and by hand where that has no say."""

from __future__ import annotations

import ctypes

import av
import pytest
from av.bitstream import BitStreamFilterContext
from hypothesis import given
from hypothesis import strategies as st

from millrace.decoders import annexb as module
from millrace.decoders.annexb import Annexb

compiled = module.native
AVCC = bytes([1, 100, 0, 31, 0xFF, 0xE1, 0, 3, 0x67, 1, 2, 1, 0, 2, 0x68, 9])


@pytest.fixture(autouse=True, params=["C", "Python"])
def part(request, monkeypatch):
    """Every test with the C part and without."""
    if request.param == "Python":
        monkeypatch.setattr(module, "native", None)
    elif module.native is None:
        pytest.skip("the C part was not built: no compiler")


def written(annexb, data, key=False):
    size = annexb.write(data, key)
    return ctypes.string_at(annexb.address, size)


@pytest.mark.parametrize(("codec", "name"), [("libx265", "hevc"), ("libx264", "h264")])
def test_the_same_units_as_ffmpegs_filter(clip, codec, name):
    options = {"g": "4", "x265-params": "log-level=none:keyint=4"}
    with av.open(str(clip(count=12, width=128, height=96, codec=codec, options=options))) as container:
        video = container.streams.video[0]
        annexb = Annexb(name, video.codec_context.extradata)
        convert = BitStreamFilterContext(f"{name}_mp4toannexb", video)
        checked = 0
        for packet in container.demux(video):
            if not packet.size:
                continue
            ours = written(annexb, packet, packet.is_keyframe)
            (theirs,) = (bytes(out) for out in convert.filter(packet))
            assert sorted(units(ours)) == sorted(units(theirs))  # FFmpeg puts the parameter sets after an SEI
            checked += 1
    assert checked == 12


def units(stream):
    """NAL units of a byte stream; the start codes may have three bytes or four."""
    return [unit.rstrip(b"\0") for unit in stream.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")]


def test_parameter_sets_stand_before_key_pictures_only():
    annexb = Annexb("h264", AVCC)
    packet = b"\0\0\0\3\x65ab\0\0\0\1\x06"
    body = b"\0\0\0\1\x65ab\0\0\0\1\x06"
    assert annexb.length_size == 4
    assert written(annexb, packet) == body
    assert written(annexb, packet, key=True) == b"\0\0\0\1\x67\1\2\0\0\0\1\x68\x09" + body


@pytest.mark.parametrize("size", [1, 2])
def test_short_lengths_grow_into_start_codes(size):
    header = AVCC[:4] + bytes([0xFC | (size - 1)]) + AVCC[5:]
    packet = (3).to_bytes(size, "big") + b"\x65ab" + (1).to_bytes(size, "big") + b"\x06"
    assert written(Annexb("h264", header), packet) == b"\0\0\0\1\x65ab\0\0\0\1\x06"


@pytest.mark.parametrize("packet", [b"\0\0\0\x09abc", b"\0\0\0\1a\0\0", b"\xff\xff\xff\xff"])
def test_lengths_that_do_not_add_up_give_nothing(packet):
    assert Annexb("h264", AVCC).write(packet, False) == 0
    short = AVCC[:4] + b"\xfd" + AVCC[5:]
    assert Annexb("h264", short).write(packet[1:], False) == 0


def test_parameter_sets_that_stand_beside_a_stream_with_start_codes_are_put_in_where_they_lack():
    sets, picture = b"\0\0\0\1\x67\1\2\0\0\0\1\x68\3", b"\0\0\1\x65\7"
    annexb = Annexb("h264", sets)
    assert written(annexb, picture, key=True) == sets + picture
    assert written(annexb, picture) == picture
    own = b"\0\0\1\x67\5\6\0\0\1\x68\3" + picture
    assert written(annexb, own, key=True) == own


def test_streams_with_start_codes_and_other_codecs_are_copied():
    for codec, extradata in (("h264", b""), ("hevc", None), ("av1", b"\x81\0\0")):
        assert written(Annexb(codec, extradata), b"\0\0\1\x09data", key=True) == b"\0\0\1\x09data"


def test_a_packet_larger_than_the_buffer():
    big = bytes(3 << 20)
    assert written(Annexb("vp9", None), big) == big


def test_a_cut_header_is_one_sentence():
    for cut in (6, 9, 14):
        with pytest.raises(ValueError, match="the header of the h264 stream is cut off"):
            Annexb("h264", AVCC[:cut])


units_of = st.lists(st.binary(max_size=5), max_size=6)


@pytest.mark.skipif(compiled is None, reason="the C part was not built: no compiler")
@given(st.sampled_from([0, 1, 2, 3, 4]), units_of, st.booleans(), st.integers(-4, 4))
def test_both_parts_give_the_same_bytes(size, units, key, cut):
    """Of packets as they should be, of some that are too short, and of some with bytes behind the last unit."""
    one, other = Annexb("h264", AVCC), Annexb("h264", AVCC)
    one.length_size = other.length_size = size
    packet = b"".join(len(unit).to_bytes(size, "big") + unit for unit in units) if size else b"".join(units)
    packet = packet[:cut] if cut < 0 else packet + bytes(cut)
    length = other._write(memoryview(packet), other.header if key else b"")
    assert compiled.write(one._view, one.header if key else b"", packet, size) == length
    assert ctypes.string_at(one.address, length) == ctypes.string_at(other.address, length)


def test_many_empty_units_are_larger_than_their_packet():
    """A length of one byte becomes a start code of four."""
    annexb = Annexb("h264", AVCC[:4] + b"\xfc" + AVCC[5:])
    assert written(annexb, bytes(1 << 20)) == b"\0\0\0\1" * (1 << 20)


@pytest.mark.skipif(compiled is None, reason="the C part was not built: no compiler")
def test_what_the_c_part_refuses():
    with pytest.raises(ValueError, match="1 to 4 bytes"):
        compiled.write(bytearray(9), b"", b"abc", 5)
    with pytest.raises(TypeError):
        compiled.write(b"read-only", b"", b"abc", 4)
    assert compiled.write(bytearray(9), b"12345", b"abcde", 0) == -10
