"""The kernel on a GPU against imaging/cpu.py: the same numbers to the bit; more cases of it in tests/cuda."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from millrace.cuda.context import gpu
from millrace.cuda.memory import DeviceArray
from millrace.imaging import cuda, cuda_trial
from millrace.imaging.cpu import open_imaging as on_the_cpu
from millrace.imaging.cuda import open_imaging
from millrace.media import Image, InputSpec

USUAL = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "scale": 1 / 255}


def picture(torch, device, rng, width, height, format="NV12", **how):
    """A random picture on the GPU, and the same on the CPU."""
    dtype, top = ("uint16", 65536) if format == "P010" else ("uint8", 256)
    half = (height + 1) // 2, (width + 1) // 2
    shapes = ((height, width), half, half) if format == "I420" else ((height, width), (*half, 2))
    planes = [rng.integers(0, top, shape).astype(dtype) for shape in shapes]
    held = [torch.from_numpy(p.view("int16") if top > 256 else p).to(device) for p in planes]
    torch.cuda.synchronize()
    arrays = [DeviceArray(gpu(device), t.data_ptr(), p.shape, dtype) for t, p in zip(held, planes, strict=True)]
    image = Image(format, arrays, width, height, memory=device, owner=held, **how)
    return image, Image(format, planes, width, height, **how)


@pytest.mark.parametrize(
    ("size", "spec", "format", "how"),
    [
        ((1920, 1080), InputSpec(640, 384, "BGR", fit="letterbox-top-left"), "NV12", {}),
        ((1279, 719), InputSpec(416, 416, "RGB", scale=1 / 255), "NV12", {"matrix": "bt709"}),
        ((642, 358), InputSpec(960, 544, fit="stretch", **USUAL), "NV12", {"full_range": True}),
        ((1920, 1080), InputSpec(640, 384, dtype="float16", scale=1 / 255), "NV12", {}),
        ((640, 360), InputSpec(321, 323, scale=1 / 255), "P010", {"matrix": "bt2020"}),
        ((641, 361), InputSpec(321, 323, "GRAY", layout="NHWC", dtype="uint8"), "NV12", {}),
        ((641, 361), InputSpec(321, 323, "BGR", dtype="int8", mean=(128,)), "NV12", {}),
        ((1920, 1080), InputSpec(417, 239, antialias=True, fit="stretch"), "NV12", {"matrix": "bt709"}),
    ],
)
def test_pictures_become_tensors(torch, device, size, spec, format, how):
    rng, imaging = np.random.default_rng(7), open_imaging(device)
    made = [picture(torch, device, rng, *size, format, **how) for _ in range(3)]
    tensor, placements = imaging.to_tensor([there for there, _ in made], spec)
    want, places = on_the_cpu().to_tensor([here for _, here in made], spec)
    assert placements == places
    assert np.array_equal(tensor.numpy(), want)


def test_pictures_of_several_sizes_and_formats_in_one_call(torch, device):
    rng, imaging = np.random.default_rng(9), open_imaging(device)
    kinds = ((640, 360, "NV12"), (320, 480, "P010"), (129, 127, "NV12"))
    made = [picture(torch, device, rng, *kind) for kind in kinds]
    spec = InputSpec(256, 192)
    tensor, placements = imaging.to_tensor([there for there, _ in made], spec)
    want, places = on_the_cpu().to_tensor([here for _, here in made], spec)
    assert np.array_equal(tensor.numpy(), want)
    assert placements == places


def launches(imaging):
    """The names of the kernels that it launches from now on."""
    names, kernel = [], imaging._kernel
    imaging._kernel = lambda name: names.append(name) or kernel(name)
    return names


def test_strips_pass_their_trial(device, monkeypatch, caplog):
    monkeypatch.setattr(cuda, "_strips", {})  # tried anew
    imaging = open_imaging(device)
    names = launches(imaging)
    assert imaging.strips and not caplog.records
    assert cuda_trial.fault(imaging, imaging._stream) is None
    assert len(set(names)) == 14 and len(names) == 96


SEVERAL = ((1920, 1080), (642, 358), (322, 182), (98, 66))  # shrink, grow, end within a block


@pytest.mark.parametrize("room", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(
    ("way", "format", "sizes", "spec"),
    [
        ("nv12_halved", "NV12", ((1920, 1080),) * 2, InputSpec(960, 544, fit="stretch", **USUAL)),
        ("nv12_halved", "NV12", ((1920, 1080), (1920, 1000)), InputSpec(960, 960, "BGR", scale=1 / 255)),
        ("i420_halved", "I420", ((1920, 1080), (1920, 1000)), InputSpec(960, 544, fit="stretch", scale=1 / 255)),
        ("p010_halved", "P010", ((1920, 1080), (1920, 1000)), InputSpec(960, 544, "BGR", fit="stretch", **USUAL)),
        ("nv12", "NV12", SEVERAL, InputSpec(640, 640, "RGB", **USUAL)),
        ("nv12", "NV12", SEVERAL, InputSpec(226, 230, "BGR", fit="stretch", scale=1 / 255)),
        ("i420", "I420", SEVERAL, InputSpec(418, 386, "BGR", fit="letterbox-top-left", **USUAL)),
        ("p010", "P010", SEVERAL, InputSpec(962, 544, **USUAL)),
    ],
)
def test_strips_give_what_the_general_kernel_gives(torch, device, way, format, sizes, spec, dtype, room):
    rng, imaging, spec = np.random.default_rng(13), open_imaging(device), replace(spec, dtype=dtype)
    made = [picture(torch, device, rng, *size, format, matrix="bt709") for size in sizes]
    names, found = launches(imaging), []
    want, _ = on_the_cpu().to_tensor([here for _, here in made], spec)
    for strips in (True, False):
        imaging.strips = strips
        memory = torch.full((len(made), spec.height, spec.width, 4), 7, dtype=getattr(torch, dtype), device=device)
        torch.cuda.synchronize()
        picture_, line, pixel, one = (step * memory.element_size() for step in memory.stride())
        shape, strides = want.shape, (picture_, one, line, pixel)
        out = DeviceArray(gpu(device), memory.data_ptr(), shape, dtype, strides) if room else None
        tensor, _ = imaging.to_tensor([there for there, _ in made], spec, out=out)
        tensor.ready.synchronize()
        found.append(memory.cpu().numpy()[..., :3].transpose(0, 3, 1, 2) if room else tensor.numpy())
        assert not room or not memory[..., 3].any().item()
    assert names == [f"{way}_to_{dtype}", f"to_{dtype}"]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], want)


@pytest.mark.parametrize("spec", [InputSpec(64, 64, fit="stretch", **USUAL), InputSpec(48, 96, dtype="float16")])
def test_objects_of_many_frames_in_one_call(torch, device, spec):
    rng, imaging = np.random.default_rng(11), open_imaging(device)
    made = [picture(torch, device, rng, 1280, 720, matrix="bt709") for _ in range(4)]
    corners = rng.uniform([-20, -20], [1200, 650], (700, 2))  # more than one launch takes
    boxes = np.hstack([corners, corners + rng.uniform(22, 300, (700, 2))]).astype(np.float32)
    which = rng.integers(0, 4, 700).tolist()
    tensor, placements = imaging.to_tensor([made[n][0] for n in which], spec, boxes=boxes)
    want, places = on_the_cpu().to_tensor([made[n][1] for n in which], spec, boxes=boxes)
    assert np.array_equal(tensor.numpy(), want)
    assert placements == places


def test_what_the_kernel_does_not_cover_is_one_sentence(torch, device):
    image, _ = picture(torch, device, np.random.default_rng(1), 64, 48)
    with pytest.raises(ValueError, match="dtype 'int16' is not one of float32, float16, uint8, int8"):
        open_imaging(device).to_tensor([image], InputSpec(32, 32, dtype="int16"))
    with pytest.raises(ValueError, match="has no pixel of 64x48"):
        open_imaging(device).to_tensor([image], InputSpec(32, 32), boxes=[(64, 0, 80, 9)])


def test_another_library_reads_the_tensor_through_dlpack(torch, device):
    image, _ = picture(torch, device, np.random.default_rng(1), 64, 48)
    tensor, _ = open_imaging(device).to_tensor([image], InputSpec(32, 32))
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        other = torch.from_dlpack(tensor)
        assert np.array_equal(other.cpu().numpy(), tensor.numpy())
