"""raw, and raw:// that reads it again: the very bytes, in several formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import frame

import millrace
from millrace.core import ConfigError, Context
from millrace.elements.raw import Raw
from millrace.testing.clips import numbered_clip
from millrace.testing.run import run


def test_planes_one_behind_the_other(tmp_path: Path) -> None:
    raw = Raw(path=str(tmp_path / "out.i420"))
    raw.open(Context("raw"))
    frames = [frame("a", index, grey=40 + index) for index in range(3)]
    for each in frames:
        list(raw.process_frame(each) or ())
    raw.close()
    data = np.fromfile(tmp_path / "out.i420", np.uint8).reshape(3, -1)
    assert data.shape[1] == 16 * 8 * 3 // 2
    for row, each in zip(data, frames, strict=True):
        assert row.tobytes() == b"".join(np.ascontiguousarray(plane).tobytes() for plane in each.image.planes)


@pytest.mark.parametrize("format", ["I420", "YV12", "NV12", "RGBA", "BGR", "GRAY8", "YUY2"])
def test_what_was_written_is_read_again(tmp_path: Path, format: str) -> None:
    clip = numbered_clip(tmp_path / "in.mp4", 4, 64, 48)
    out = tmp_path / f"out.{format}"
    millrace.open(clip).raw(path=out, format=format).run()
    options: dict[str, Any] = {"width": 64, "height": 48, "format": format, "fps": 10}
    again = run(millrace.open(f"raw://{out}", **options))
    first = run(millrace.open(clip))
    assert [each.pts // 1_000_000 for each in again] == [0, 100, 200, 300]
    for ours, theirs in zip(again, first, strict=True):
        luma = ours.image.planes[0] if format == "GRAY8" else ours.image.to_rgb()
        wanted = theirs.image.planes[0] if format == "GRAY8" else theirs.image.to_rgb()
        slack = 6.0 if format != "GRAY8" else 12.0  # full range against limited
        assert np.abs(luma.astype(int) - wanted.astype(int)).mean() < slack


def test_streams_have_files_of_their_own(tmp_path: Path) -> None:
    raw = Raw(path=str(tmp_path / "out.yuv"))
    raw.open(Context("raw"))
    raw.expect(["a", "b"])
    for stream in "ab":
        raw.process_frame(frame(stream))
        list(raw.end_stream(stream))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-a.yuv", "out-b.yuv"]


@pytest.mark.parametrize(("format", "size"), [("Y444_12LE", 6), ("GBR", 3), ("BGR10A2_LE", 4), ("ABGR", 4)])
def test_other_formats_have_their_size(tmp_path: Path, format: str, size: int) -> None:
    millrace.open(numbered_clip(tmp_path / "in.mp4", 2, 64, 48)).raw(path=tmp_path / "out.raw", format=format).run()
    assert (tmp_path / "out.raw").stat().st_size == 2 * 64 * 48 * size


def test_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of I420, YV12"):
        millrace.open("x.mp4").raw(path="x.yuv", format="NV13")
    with pytest.raises(ConfigError, match="there is no folder"):
        Raw(path=str(tmp_path / "gone" / "x.yuv")).validate()
