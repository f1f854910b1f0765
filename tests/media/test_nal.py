"""NAL units out of lengths and out of start codes."""

from __future__ import annotations

import av
import pytest

from millrace.media.nal import read_header, split

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
