"""What a GPU cannot decode the CPU decodes, and its pictures are brought there: no element knows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from drawn import picture
from host_gpu import differences, download, host_gpu  # noqa: F401

from millrace import devices
from millrace.core import Caps, ConfigError, Context, StreamStart
from millrace.core.errors import MissingExtraError
from millrace.elements.decode import Decode
from millrace.fleet import places
from millrace.imaging import cuda_upload
from millrace.imaging.convert import convert
from millrace.imaging.cuda_upload import Uploader
from millrace.media import Frame, Image
from millrace.sources import open_source
from millrace.testing.clips import numbered_clip


@pytest.fixture
def gpu(host_gpu, monkeypatch):  # noqa: F811
    monkeypatch.setattr(cuda_upload, "gpu", lambda device: host_gpu)
    monkeypatch.setattr(cuda_upload, "_local", SimpleNamespace())
    return host_gpu


def frames_of(path, element) -> tuple[list[Frame], list[str]]:
    warned: list[str] = []
    element.open(Context("decode", warn=lambda text, stream: warned.append(text)))
    out = []
    for item in open_source("a", str(path)).read():
        if isinstance(item, StreamStart):
            element.start_stream(item)
        else:
            out += element.process(item)
    out += element.end_stream("a")
    element.close()
    return [item for item in out if isinstance(item, Frame)], warned


@pytest.mark.parametrize("at_once", [True, False])
def test_a_stream_that_the_gpu_refuses_is_decoded_on_the_cpu(gpu, monkeypatch, tmp_path, at_once):
    """At once, as when the codec is not known; or at a packet, as when the first picture shows it."""
    clip = numbered_clip(tmp_path / "clip.mp4", frames=6, width=322, height=178)

    class Refuses:
        damaged = 0

        def decode(self, packet):
            raise ValueError("only even sizes of 4:2:0")

        def close(self): ...

    def open_decoder(caps, device, **options):
        if at_once:
            raise ValueError("h264 cannot be decoded on cuda:0")
        return Refuses()

    monkeypatch.setattr("millrace.decoders.nvdec.open_decoder", open_decoder)
    here, _ = frames_of(clip, Decode())
    there, warned = frames_of(clip, Decode(device="cuda:0"))
    reason = "h264 cannot be decoded on cuda:0" if at_once else "only even sizes of 4:2:0"
    assert warned == [f"{reason}: the cpu decodes it, and its pictures are brought to cuda:0"]
    assert [frame.pts for frame in there] == [frame.pts for frame in here] and len(there) == 6
    for a, b in zip(here, there, strict=True):
        assert (b.image.memory, b.image.format) == ("cuda:0", "NV12")
        assert differences(download(b.image), convert(a.image, "NV12"))[0] == 0


def test_without_a_gpu_nothing_falls_back(monkeypatch):
    def open_decoder(caps, device, **options):
        raise ConfigError("device cuda:0: no NVIDIA GPU can be used here")

    monkeypatch.setattr("millrace.decoders.nvdec.open_decoder", open_decoder)
    with pytest.raises(ConfigError, match="no NVIDIA GPU"):
        devices.open_decoder(Caps("packets", codec="h264"), "cuda:0", lambda text: pytest.fail(text))


@pytest.mark.parametrize("there", [False, True])
def test_packages_for_a_gpu_are_asked_for_only_where_there_is_one(monkeypatch, there):
    def needs(*arguments, **options):
        raise MissingExtraError("running it", "torch", "torch")

    def library(name):
        if not there:
            raise OSError(name)

    monkeypatch.setattr("millrace.cuda.context.ctypes", SimpleNamespace(CDLL=library))
    monkeypatch.setattr("millrace.runtimes.load", needs)
    monkeypatch.setattr("millrace.decoders.nvdec.open_decoder", needs)
    said = "pip install 'millrace.torch.'" if there else "device cuda:0: no NVIDIA GPU can be used here, .* use `cpu`"
    with pytest.raises(ConfigError, match=said):
        devices.load_runtime("street.onnx", "cuda:0")
    with pytest.raises(ConfigError, match=said):
        devices.open_decoder(Caps("packets", codec="h264"), "cuda:0", lambda text: pytest.fail(text))


@pytest.mark.parametrize("format", ["I420", "NV12", "P010", "RGB", "GRAY8"])
def test_uploaded_pictures_are_the_same(gpu, format):
    image = picture(format, 321, 177, matrix="bt709", full_range=True)
    up = Uploader(gpu).upload(image)
    assert up.memory == "cuda:0" and (up.matrix, up.full_range) == ("bt709", True)
    want = convert(image, "NV12") if format == "I420" else image
    assert differences(download(up), want)[0] == 0


def test_borrowed_planes_with_gaps_are_uploaded_too(gpu):
    whole = picture("NV12", 320, 180)
    part = whole.with_planes(
        [plane[10:60, 20:120] if i == 0 else plane[5:30, 10:60] for i, plane in enumerate(whole.planes)]
    )
    part.width, part.height = 100, 50
    assert differences(download(Uploader(gpu).upload(part)), part)[0] == 0


def test_grey_of_16_bits_becomes_8(gpu):
    levels = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) * 21
    up = Uploader(gpu).upload(Image("GRAY16", [levels], 64, 48))
    assert up.format == "GRAY8"
    assert np.array_equal(download(up).planes[0], np.minimum(255, (levels.astype(int) + 128) >> 8))


@pytest.mark.parametrize(("found", "device"), [(0, "cpu"), (2, "cuda:0"), (None, "cpu")])
def test_auto_is_what_is_there(monkeypatch, found, device):
    def count():
        if found is None:
            raise MissingExtraError("device cuda", "cuda-bindings", "cuda")
        return found

    monkeypatch.setattr("millrace.cuda.context.count", count)
    assert devices.named("auto") == device and places("auto", 2) == [device, device]
    assert devices.named("cuda:7") == "cuda:7"
