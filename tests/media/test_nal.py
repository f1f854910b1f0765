"""NAL units out of lengths and out of start codes."""

from __future__ import annotations

import re

import av
import pytest

from millrace.media.nal import SEI_HEADERS, avcc, read_header, sei_unregistered, split, with_unit

UNITS = [b"\x67abc", b"\x68d", b"\x65" + bytes(range(1, 200))]


def test_the_same_units_from_lengths_and_start_codes() -> None:
    for size in (1, 2, 4):
        data = b"".join(len(unit).to_bytes(size, "big") + unit for unit in UNITS)
        assert split(data, size) == UNITS
    assert split(b"".join(b"\x00\x00\x00\x01" + unit for unit in UNITS), 0) == UNITS
    assert split(b"".join(b"\x00\x00\x01" + unit for unit in UNITS) + b"\x00\x00", 0) == UNITS
    assert split(b"", 0) == [] and split(b"", 4) == []


def test_lengths_that_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        split(b"\x00\x00\x00\x09abc", 4)
    with pytest.raises(ValueError, match="do not add up"):
        split(b"\x00\x00\x00\x01a\x00", 4)


def test_headers_of_real_files(clip) -> None:
    for codec, name, kinds in (("libx264", "h264", [7, 8]), ("libx265", "hevc", [32, 33, 34])):
        path = clip(f"{name}.mp4", 4, 64, 64, codec, options={"x265-params": "log-level=none:info=0"})
        with av.open(str(path)) as file:
            extradata = file.streams.video[0].codec_context.extradata
        size, units = read_header(name, extradata)
        found = [unit[0] & 0x1F if name == "h264" else unit[0] >> 1 & 0x3F for unit in units]
        assert size == 4 and found[: len(kinds)] == kinds
        with pytest.raises(ValueError, match="cut off"):
            read_header(name, extradata[:-20] if name == "hevc" else extradata[:10])
        annexb = b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
        assert read_header(name, annexb) == (0, units)
    assert read_header("vp9", b"\x01abc") == (0, []) and read_header("h264", None) == (0, [])


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("length", [0, 1, 238, 239, 240, 1000])
def test_user_data_is_written_so_that_nothing_looks_like_a_start_code(codec, length):
    payload = (b"\0\0\0\0\1\0\0\2\0\0\3abc" * 80)[:length]
    unit = sei_unregistered(codec, b"0123456789abcdef", payload)
    header = len(SEI_HEADERS[codec])
    assert not re.search(b"\x00\x00[\x00-\x02]", unit)
    raw = re.sub(b"\x00\x00\x03", b"\x00\x00", unit[header:])
    size, at = 0, 1
    while raw[at] == 255:
        size, at = size + 255, at + 1
    size, at = size + raw[at], at + 1
    assert raw[0] == 5 and size == 16 + length and raw[at:] == b"0123456789abcdef" + payload + b"\x80"


def test_a_unit_stands_before_the_first_picture():
    code = b"\0\0\0\1"
    h264 = code + b"\x09\xf0" + code + b"\x67sps" + b"\0\0\1" + b"\x65slice" + b"\0\0\1" + b"\x65more"
    assert with_unit("h264", h264, b"\x06sei") == h264.replace(b"\0\0\1\x65slice", code + b"\x06sei\0\0\1\x65slice")
    hevc = code + b"\x40\x01vps" + code + b"\x26\x01slice"
    assert with_unit("hevc", hevc, b"\x4e\x01") == code + b"\x40\x01vps" + code + b"\x4e\x01" + code + b"\x26\x01slice"
    assert with_unit("h264", code + b"\x67sps", b"\x06") == code + b"\x67sps"
    with pytest.raises(ValueError, match="user data of av1"):
        sei_unregistered("av1", b"0" * 16, b"")


def test_parameter_sets_become_the_header_that_containers_hold() -> None:
    sps, pps = bytes([0x67, 100, 0, 13, 1, 2]), bytes([0x68, 0xEF, 1])
    header = avcc([sps, pps])
    assert header is not None and read_header("h264", header) == (4, [sps, pps])
    assert avcc([pps]) is None
