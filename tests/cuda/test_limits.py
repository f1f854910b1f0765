"""What the video engines can, asked of a driver that the test plays."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from millrace.cuda import limits


class Driver:
    """Decodes HEVC up to 10 bits and H.264 of 8, in 4:2:0, up to 8192x8192 and 4096x4096."""

    def cuvidGetDecoderCaps(self, reference):
        caps = reference._obj
        assert ctypes.sizeof(caps) == 88  # struct CUVIDDECODECAPS
        most = {8: 8192, 4: 4096}.get(caps.codec)
        caps.supported = most is not None and caps.chroma == 1 and caps.depth_minus_8 <= (2 if caps.codec == 8 else 0)
        caps.engines, caps.min_width, caps.min_height = 7, 48, 16
        caps.max_width = caps.max_height = most or 0
        caps.max_blocks = (most or 0) ** 2 // 256
        return 0


class Gpu:
    name, ordinal = "cuda:0", 0

    def use(self) -> None: ...


@pytest.fixture(autouse=True)
def driver(monkeypatch):
    limits._limit.cache_clear()
    monkeypatch.setattr(limits, "library", lambda: Driver())
    yield
    limits._limit.cache_clear()


def test_what_it_can():
    assert limits.limit(Gpu(), "hevc", depth=10) == (7, (48, 8192), (16, 8192), 262144)
    assert limits.limit(Gpu(), "theora") is None
    assert limits.why_not(Gpu(), "hevc", 1920, 1080, "yuv420p10le") is None
    assert limits.why_not(Gpu(), "h264", None, None) is None


@pytest.mark.parametrize(
    ("codec", "size", "pixels", "reason"),
    [
        ("h264", (1920, 1080), "yuv420p10le", "cuda:0 does not decode h264 of 4:2:0 with 10 bits"),
        ("h264", (1920, 1080), "yuv422p", "cuda:0 does not decode h264 of 4:2:2 with 8 bits"),
        ("hevc", (1920, 1080), "yuvj444p", "cuda:0 does not decode hevc of 4:4:4 with 8 bits"),
        (
            "h264",
            (8192, 4320),
            "yuv420p",
            "cuda:0 decodes h264 of 4:2:0 with 8 bits from 48x16 to 4096x4096, not 8192x4320",
        ),
        ("h264", (32, 32), "yuv420p", "cuda:0 decodes h264 of 4:2:0 with 8 bits from 48x16 to 4096x4096, not 32x32"),
    ],
)
def test_why_it_cannot(codec, size, pixels, reason):
    assert limits.why_not(Gpu(), codec, *size, pixels) == reason


def test_nobody_knows_without_the_drivers_library(monkeypatch):
    monkeypatch.setattr(limits, "library", lambda: None)
    assert limits.why_not(Gpu(), "h264", 32, 32) is None
    assert limits.limit(Gpu(), "h264") is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("yuv420p", ("4:2:0", 8)), ("yuv422p10le", ("4:2:2", 10)), ("gbrp12le", ("4:4:4", 12)), ("gray", ("4:0:0", 8)),
     ("gray10le", ("4:0:0", 10)), (None, ("4:2:0", 8)), ("nv12", ("4:2:0", 8)), ("yuvj420p", ("4:2:0", 8))],
)  # fmt: skip
def test_pixel_formats(name, kind):
    assert limits.kind_of(name) == kind


class Full(Gpu):
    def __init__(self, free):
        self.driver = SimpleNamespace(cuMemGetInfo=lambda: (0, free, 100_000_000_000))


@pytest.mark.parametrize(("free", "said"), [(9_000_000, "error 2"), (5_000_000_000, "CUDA_ERROR_OUT_OF_MEMORY")])
def test_memory_that_ran_out(free, said):
    reason = limits.no_memory(Full(free), RuntimeError(said))
    assert reason.startswith(f"cuda:0 has no memory left for a decoder ({free // 1_000_000} MB are free)")


def test_another_failure_is_not_memory():
    assert limits.no_memory(Full(5_000_000_000), RuntimeError("not supported")) is None
