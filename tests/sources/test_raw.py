"""Files of raw pictures."""

from __future__ import annotations

import numpy as np
import pytest

import millrace
from millrace.core import SourceError
from millrace.sources import open_source
from millrace.sources.pattern import bars
from millrace.sources.raw import FORMATS
from millrace.testing.run import run


def write(path, format: str, width: int = 32, height: int = 18) -> np.ndarray:
    """Two pictures, bars and bars upside down, in a format; returns their RGB as it is in I420."""
    from millrace.media import Image

    seen = []
    with open(path, "wb") as file:
        for turned in (False, True):
            y, u, v = (np.ascontiguousarray(p[::-1] if turned else p) for p in bars(width, height))
            seen.append(Image("I420", [y, u, v], width, height).to_rgb())
            full = [each.repeat(2, 0).repeat(2, 1)[:height, :width] for each in (u, v)]
            rgb, zero = seen[-1], np.zeros((height, width, 1), np.uint8)
            pairs = np.stack([y[:, ::2], full[0][:, ::2], y[:, 1::2], full[1][:, ::2]], axis=2)
            data = {
                "I420": [y, u, v], "YV12": [y, v, u], "NV12": [y, np.stack([u, v], 2)],
                "NV21": [y, np.stack([v, u], 2)], "RGB": [rgb], "BGR": [rgb[..., ::-1]],
                "RGBA": [np.concatenate([rgb, zero], 2)], "BGRA": [np.concatenate([rgb[..., ::-1], zero], 2)],
                "P010": [y.astype("<u2") << 8, np.stack([u, v], 2).astype("<u2") << 8], "YUY2": [pairs],
                "UYVY": [pairs[..., [1, 0, 3, 2]]], "GRAY8": [y], "GRAY16": [y.astype("<u2") << 8],
            }[format]  # fmt: skip
            for plane in data:
                file.write(np.ascontiguousarray(plane).tobytes())
    return np.stack(seen)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format(tmp_path, format):
    path = tmp_path / "a.raw"
    wanted = write(path, format)
    source = open_source("a", f"raw://{path}", width=32, height=18, format=format, fps=50)
    start, *frames = source.read()
    assert len(frames) == 2 and start.caps["fps"] == 50 and frames[1].pts == 20_000_000
    assert start.caps["format"] == frames[0].image.format
    for frame, rgb in zip(frames, wanted, strict=True):
        if not format.startswith("GRAY"):
            difference = np.abs(frame.image.to_rgb().astype(int) - rgb)
            assert difference[:6].max() <= 2 and difference.mean() <= (6 if format in ("YUY2", "UYVY") else 1)
    assert frames[0].image.planes[0].flags.writeable


def test_in_a_run_with_a_loop(tmp_path):
    write(tmp_path / "a.nv12", "NV12")
    frames = run(millrace.open(f"raw://{tmp_path}/a.nv12", width=32, height=18, format="NV12", loop=2))
    assert [frame.index for frame in frames] == [0, 1, 2, 3] and frames[0].stream == "a"


def test_what_is_no_such_file(tmp_path):
    write(tmp_path / "a.nv12", "NV12")
    for width, said in ((31, "has 1728 bytes, and a picture of 31x18 NV12 has 846"), (320, "not so many whole ones")):
        with pytest.raises(SourceError, match=said):
            list(open_source("a", f"raw://{tmp_path}/a.nv12", width=width, height=18, format="NV12").read())
    with pytest.raises(SourceError, match=r"cannot read .*none.yuv: No such file"):
        list(open_source("a", f"raw://{tmp_path}/none.yuv", width=32, height=18).read())
