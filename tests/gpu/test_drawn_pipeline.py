"""Elements on the GPU: the same pictures as on the CPU; what NVDEC refuses; encoding where there is no NVENC."""

from __future__ import annotations

import numpy as np
import pytest
from host_gpu import differences, download

from millrace.core import Caps, Context, StreamStart
from millrace.elements.blur import Blur
from millrace.elements.crop import Crop
from millrace.elements.decode import Decode
from millrace.elements.draw import Draw
from millrace.elements.encode import Encode
from millrace.elements.flip import Flip
from millrace.elements.tile import Tile
from millrace.imaging.convert import convert
from millrace.media import Frame, Object, Packet, box
from millrace.sources import open_source
from millrace.testing.clips import numbered_clip

RULES = [{"kind": "zone", "name": "door", "points": [(300, 100), (420, 120), (380, 260)], "text": "3 inside"}]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return numbered_clip(tmp_path_factory.mktemp("clips") / "a.mp4", 12, 640, 360)


def decoded(path, device, warned=None) -> list[Frame]:
    element = Decode(device=device)
    element.open(Context("decode", warn=lambda text, stream: warned.append(text) if warned is not None else None))
    out = []
    for item in open_source("a", str(path)).read():
        if isinstance(item, StreamStart):
            element.start_stream(item)
        else:
            out += element.process(item)
    out += element.end_stream("a")
    element.close()
    return [item for item in out if isinstance(item, Frame)]


def found(index: int) -> list[Object]:
    rng = np.random.default_rng(3)
    out = []
    for number in range(12):
        x, y = rng.random(2) * (540, 240) + (index * 3, 8)
        label = ("car", "person", "bicycle")[number % 3]
        out.append(Object(box([x, y, x + 70, y + 90]), number % 3, label, 0.87, id=number))
        if number == 1:
            out[-1].mask = rng.random((28, 28)) > 0.5
    return out


def through(element, frames):
    element.open(Context("element"))
    first = frames[0].image
    caps = Caps("frames", width=first.width, height=first.height, format=first.format, fps=25, memory=first.memory)
    element.expect(["a"])
    element.start_stream(StreamStart("a", caps))
    out = []
    for frame in frames:
        if type(element).process is not Tile.process and hasattr(element, "process_frame"):
            element.process_frame(frame)
            out.append(frame)
        else:
            out += element.process(frame)
    element.expect([])
    out += element.end_stream("a")
    element.close()
    return [item for item in out if isinstance(item, Frame)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Draw(trails=2, clock="pts"),
        lambda: Draw(heatmap=0.5),
        lambda: Blur(classes=["person"]),
        lambda: Crop(box=[0.2, 0.1, 0.9, 0.9]),
        lambda: Flip(direction="clockwise"),
        lambda: Tile(width=480, height=272),
    ],
)
def test_the_same_pictures(device, clip, make):
    both = []
    for where in ("cpu", device):
        frames = decoded(clip, where)
        for frame in frames:
            frame.objects, frame.extras = found(frame.index), {"analytics": [dict(rule) for rule in RULES]}
        both.append(through(make(), frames))
    here, there = both
    assert len(here) == len(there) >= 12
    for a, b in zip(here, there, strict=True):
        assert b.image.memory == device
        image = convert(a.image, "NV12") if b.image.format == "NV12" else a.image
        assert differences(download(b.image), image)[1] >= 45


def test_many_pictures_under_way_are_not_mixed_up(device, clip):
    """Drawn, blurred and held back while more are decoded into the same surfaces."""
    draw = Draw(trails=0)
    draw.open(Context("draw"))
    draw.start_stream(StreamStart("a", Caps("frames", width=640, height=360, format="NV12")))
    want, held = {}, []
    for frame in decoded(clip, "cpu"):
        frame.objects = found(frame.index)
        draw.process_frame(frame)
        want[frame.index] = convert(frame.image, "NV12")
    for _ in range(20):
        for frame in decoded(clip, device):
            frame.objects = found(frame.index)
            draw.process_frame(frame)
            held.append(frame)
        while len(held) > 40:
            frame = held.pop(0)
            assert differences(download(frame.image), want[frame.index])[1] >= 45


@pytest.mark.parametrize(("codec", "size"), [("mpeg4", (320, 240)), ("h264", (16, 16))])
def test_what_nvdec_refuses_the_cpu_decodes(device, tmp_path, codec, size):
    path, warned = numbered_clip(tmp_path / "a.mp4", 6, *size, codec=codec), []
    here, there = decoded(path, "cpu"), decoded(path, device, warned)
    assert len(there) == 6 and len(warned) == 1 and f"brought to {device}" in warned[0]
    for a, b in zip(here, there, strict=True):
        assert b.image.memory == device and a.pts == b.pts
        assert differences(download(b.image), convert(a.image, "NV12"))[0] == 0


def test_encoding_there_or_here(device, clip):
    warned = []
    encode = Encode(device=device)
    encode.open(Context("encode", warn=lambda text, stream: warned.append(text)))
    frames = decoded(clip, device)
    encode.start_stream(StreamStart("a", Caps("frames", width=640, height=360, fps=25)))
    packets = [item for frame in frames for item in encode.process(frame)] + list(encode.end_stream("a"))
    assert len([item for item in packets if isinstance(item, Packet)]) == 12
    assert len(warned) <= 1 and all("NVENC" in text for text in warned)
    assert len(decoded(clip, device)) == 12  # asking for NVENC left our context in its place


def test_nvml_sees_the_gpu(device):
    pytest.importorskip("pynvml", reason="nvidia-ml-py is in the extra")
    from millrace.cuda.nvml import Nvml, open_nvml

    nvml = open_nvml()
    assert isinstance(nvml, Nvml)
    (usage, *_), (gpu, *_) = nvml.usage(), nvml.gpus()
    assert gpu.memory > 1 << 30
    assert 0 < usage.used < usage.memory and usage.decoder is not None
    nvml.close()


def test_the_drivers_limits(device):
    from millrace.cuda.context import gpu
    from millrace.cuda.limits import limit, why_not

    found = limit(gpu(device), "h264")
    assert found is not None and found.engines >= 1 and found.width[1] >= 4096
    assert why_not(gpu(device), "h264", 1920, 1080, "yuv420p") is None
    assert "h264" in (why_not(gpu(device), "h264", 16, 16, "yuv420p") or "")
