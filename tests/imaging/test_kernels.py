"""The C part: what it must refuse, and that nothing changes without it."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.imaging import kernels
from millrace.imaging.cpu import open_imaging
from millrace.media import Image, InputSpec

if not kernels.THERE:
    pytest.skip("the C part is not built", allow_module_level=True)

from millrace.imaging._kernels import fill

LUMA, CHROMA = np.zeros((8, 10), np.uint8), np.zeros((4, 5), np.uint8)
GOOD = {
    "target": np.zeros((3, 6, 7), np.float32), "planes": (LUMA, CHROMA, CHROMA),
    "colours": (16, 9539, 13075, -3209, -6660, 16525), "part": (0, 0, 10, 8), "place": (0, 1, 7, 4),
    "reverse": False, "pad": 114, "values": np.tile(np.float32([1, 0]), (3, 1)), "means": False,
}  # fmt: skip


def read_only(shape: tuple[int, ...]) -> np.ndarray:
    array = np.zeros(shape, np.float32)
    array.flags.writeable = False
    return array


def test_good_is_good():
    assert fill(*GOOD.values()) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": np.zeros((2, 6, 7), np.float32)},
        {"target": np.zeros((6, 7), np.float32)},
        {"target": np.zeros((3, 6, 7), np.float64)},
        {"target": np.zeros((3, 6, 7), np.int8)},
        {"target": np.zeros((3, 6, 7), ">f4")},
        {"target": np.zeros((3, 0, 7), np.float32)},
        {"target": read_only((3, 6, 7))},
        {"planes": ()},
        {"planes": (LUMA, CHROMA)},
        {"planes": (LUMA, LUMA, LUMA)},
        {"planes": (LUMA, CHROMA, CHROMA[:, :4])},
        {"planes": (LUMA, CHROMA, CHROMA[:3])},
        {"planes": (LUMA.astype(np.int16), CHROMA, CHROMA)},
        {"planes": (LUMA.astype(">u2"), CHROMA, CHROMA)},
        {"planes": (LUMA[..., None], CHROMA, CHROMA)},
        {"planes": (LUMA[:0],), "colours": (0,) * 6},
        {"planes": (LUMA, CHROMA, CHROMA), "colours": (0,) * 6},
        {"colours": (16, 99999, 0, 0, 0, 0)},
        {"part": (0, 0, 11, 8)},
        {"part": (0, 0, 10, 9)},
        {"part": (-1, 0, 10, 8)},
        {"part": (4, 4, 4, 8)},
        {"part": (2**31 - 1, 0, -(2**31), 8)},
        {"place": (0, 1, 8, 4)},
        {"place": (0, 3, 7, 4)},
        {"place": (-1, 1, 7, 4)},
        {"place": (0, 1, 0, 4)},
        {"place": (2**31 - 1, 2**31 - 1, 7, 4)},
        {"place": (0, 1, 7, 4), "part": (0, 0, 6, 8), "means": True},
        {"place": (0, 1, 7, 4), "part": (0, 0, 10, 3), "means": True},
        {"pad": 256},
        {"pad": -1},
        {"values": np.zeros((3, 256), np.float32)},
        {"values": np.zeros((1, 2), np.float32)},
        {"values": np.zeros((6, 2), np.float32)[::2]},
    ],
)
def test_what_does_not_fit_is_refused(wrong: dict):
    target = GOOD["target"]
    target[:] = 7
    with pytest.raises((ValueError, BufferError)):
        fill(*{**GOOD, **wrong}.values())
    assert (target == 7).all()


@pytest.mark.parametrize("wrong", [{"planes": [LUMA]}, {"planes": (None,)}, {"part": (0, 0, 1)}, {"target": b"x"}])
def test_other_types_are_refused(wrong: dict):
    with pytest.raises((TypeError, BufferError)):
        fill(*{**GOOD, **wrong}.values())
    with pytest.raises(OverflowError):
        fill(*{**GOOD, "part": (0, 0, 2**40, 8)}.values())


def test_memory_that_is_not_aligned():
    raw = np.zeros(3 * 6 * 7 * 4 + 1, np.uint8)[1:].view(np.float32).reshape(3, 6, 7)
    sixteen = np.zeros(8 * 10 * 2 + 1, np.uint8)[1:].view(np.uint16).reshape(8, 10)
    sixteen[:] = 200 << 8
    fill(*{**GOOD, "target": raw, "planes": (sixteen,), "colours": (0,) * 6}.values())
    assert (raw[:, 1:5] == 200).all() and (raw[:, 0] == 114).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
@pytest.mark.parametrize("format", ["I420", "NV12", "P010", "RGB", "GRAY16"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_same_bits_as_without(format: str, layout: str, dtype: str, monkeypatch: pytest.MonkeyPatch):
    rng, sixteen = np.random.default_rng(4), format in ("P010", "GRAY16")
    shapes = {"I420": [(61, 83), (31, 42), (31, 42)], "RGB": [(61, 83, 3)], "GRAY16": [(61, 83)]}
    planes = [
        rng.integers(0, 65536 if sixteen else 256, shape).astype(np.uint16 if sixteen else np.uint8)
        for shape in shapes.get(format, [(61, 83), (31, 42, 2)])
    ]
    image, imaging = Image(format, planes, 83, 61), open_imaging()
    boxes = [None, (3, 5, 70.4, 41), (7, 8, 20, 60)]
    for colour in ("RGB", "BGR", "GRAY"):
        spec = InputSpec(40, 64, colour, layout, dtype, scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229,))
        built = imaging.to_tensor([image] * 3, spec, boxes=boxes)[0]
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "THERE", False)
            assert np.array_equal(built, imaging.to_tensor([image] * 3, spec, boxes=boxes)[0])
