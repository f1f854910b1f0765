"""NVENC is on few machines: the library is played here, pictures and all around it are ours."""

from __future__ import annotations

import ctypes
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from drawn import picture
from host_gpu import download, host_gpu, upload  # noqa: F401

from millrace import devices
from millrace.core import Caps, ConfigError, Context, StreamStart
from millrace.elements.encode import Encode
from millrace.elements.web import Shown, Web
from millrace.encoders import nvenc
from millrace.imaging import cuda_upload
from millrace.imaging.cuda_upload import Uploader
from millrace.media import Frame, Packet

CAPS = Caps("frames", width=322, height=178, fps=Fraction(25), matrix="bt709", full_range=False)


class Played:
    """Codes a picture as its mean levels, one picture late, as an encoder with a pipeline does."""

    def __init__(self, width, height, format, host, **options):
        assert (format, host) == ("NV12", False)
        self.size, self.options, self.held, self.count = (width, height), options, [], 0

    def GetSequenceParams(self):
        return list(b"header")

    def Encode(self, surface, flags=0):
        self.forced = flags == 2
        levels = []
        for plane in surface.cuda():
            told = plane.__cuda_array_interface__
            rows, columns, channels = told["shape"]
            assert told["strides"][1:] == (channels, 1) and told["typestr"] == "|u1"
            line = (ctypes.c_ubyte * (told["strides"][0] * rows)).from_address(told["data"][0])
            pixels = np.frombuffer(line, np.uint8).reshape(rows, told["strides"][0])[:, : columns * channels]
            levels.append(int(pixels.mean()))
        assert (columns, rows) == (self.size[0] // 2, self.size[1] // 2)
        self.held.append(levels)
        return self._out() if len(self.held) > 1 else []

    def EndEncode(self):
        return [piece for _ in range(len(self.held)) for piece in self._out()]

    def _out(self):
        self.count += 1
        key = self.count == 1 or self.forced
        return [{"data": bytes(self.held.pop(0)), "timestamp": 0, "picture_type": 3 if key else 0}]


@pytest.fixture
def played(host_gpu, monkeypatch):  # noqa: F811
    """A GPU with NVENC for H.264 and HEVC."""
    made = []

    def create(*args, **options):
        made.append(Played(*args, **options))
        return made[-1]

    def caps(gpuid, codec):
        if codec == "av1":
            raise RuntimeError("no")
        return {"num_encoder_engines": 3}

    flags = SimpleNamespace(FORCEIDR=2)
    library = SimpleNamespace(CreateEncoder=create, GetEncoderCaps=caps, NV_ENC_PIC_FLAGS=flags)
    host_gpu.context = 7
    monkeypatch.setattr(nvenc, "library", lambda what: library)
    monkeypatch.setattr(nvenc, "gpu", lambda device: host_gpu)
    monkeypatch.setattr(cuda_upload, "gpu", lambda device: host_gpu)
    monkeypatch.setattr(cuda_upload, "_local", SimpleNamespace())
    return SimpleNamespace(gpu=host_gpu, made=made, library=library)


def encoder(played, **settings):
    return nvenc.open_encoder(CAPS, "cuda:0", prepare=Uploader(played.gpu).fitted, **settings)


@pytest.mark.parametrize("format", ["NV12", "P010", "I420", "RGB"])
@pytest.mark.parametrize("where", ["cpu", "cuda:0"])
def test_pictures_of_any_kind_are_coded_in_order(played, format, where):
    coder = encoder(played)
    image = picture(format, 322, 178, matrix="bt709")
    given = image if where == "cpu" else upload(played.gpu, image)
    packets = [p for index in range(4) for p in coder.encode(Frame("a", index, index * 40_000_000, given))]
    packets += coder.flush()
    assert [packet.pts for packet in packets] == [0, 40_000_000, 80_000_000, 120_000_000]
    assert [packet.key for packet in packets] == [True, False, False, False]
    assert all(packet.dts == packet.pts and packet.duration == 40_000_000 for packet in packets)
    want = download(Uploader(played.gpu).fitted(upload(played.gpu, image), 322, 178))
    assert all(bytes(packet.data) == bytes(int(plane.mean()) for plane in want.planes) for packet in packets)
    assert coder.caps["extradata"] == b"header" and coder.caps["parameters"].colour_matrix == 1


def test_a_picture_that_can_be_decoded_without_others_is_asked_for(played):
    coder, frame = encoder(played), Frame("a", 0, 0, upload(played.gpu, picture("NV12", 322, 178)))
    packets = [packet for index in range(6) for packet in coder.encode(frame, key=index == 4)]
    assert [packet.key for packet in packets] == [True, False, False, True, False]  # each comes a picture late


@pytest.mark.parametrize("engines", [3, 0])
def test_who_watches_a_pipeline_of_a_gpu_sees_it(played, monkeypatch, engines):
    played.library.GetEncoderCaps = lambda gpuid, codec: {"num_encoder_engines": engines}
    warned, fed = [], []
    web = Web(device="cuda:0")
    web.context = Context("web", warn=lambda text, stream: warned.append(text))
    monkeypatch.setattr(Web, "_begin", lambda *facts: None)
    monkeypatch.setattr(Web, "_feed", lambda self, live, packet: fed.append(packet.key))
    for stream in "ab":
        known = Shown(SimpleNamespace(key_wanted=True), CAPS)
        for index in range(3):
            frame = Frame(stream, index, index * 40_000_000, upload(played.gpu, picture("NV12", 322, 178)))
            web._encode(known, frame, 10.0 + index)
        known.encoder.close()
    assert fed[0] and len(fed) >= 4
    assert len(warned) == (not engines)


def test_without_the_drivers_video_part_the_cpu_encodes(played, monkeypatch):
    def missing(what):
        raise ValueError(f"{what} on the GPU cannot be used: no libnvidia-encode")

    monkeypatch.setattr(nvenc, "library", missing)
    said = []
    devices.open_encoder(CAPS, "cuda:0", said.append, codec="h264").close()
    assert said[0].startswith("encoding on the GPU cannot be used: no libnvidia-encode: the cpu encodes")


def test_a_picture_of_another_size_is_scaled(played):
    coder = encoder(played)
    coder.encode(Frame("a", 0, 0, upload(played.gpu, picture("NV12", 640, 360))))
    assert len(coder.flush()) == 1


def test_settings(played):
    encoder(played, codec="h265", bitrate=2_000_000, gop=30, preset="slow")
    options = played.made[-1].options
    assert (options["codec"], options["rc"], options["bitrate"], options["gop"]) == ("hevc", "vbr", 2_000_000, 30)
    assert (options["preset"], options["bf"], options["fps"]) == ("P5", 0, 25)
    encoder(played, quality=20)
    assert (played.made[-1].options["rc"], played.made[-1].options["constqp"]) == ("constqp", 20)
    for wrong in ({"quality": 60}, {"quality": 20, "bitrate": 5000}):
        with pytest.raises(ValueError):
            encoder(played, **wrong)
    with pytest.raises(nvenc.Unavailable, match="cuda:0 has no NVENC for av1"):
        encoder(played, codec="av1")
    with pytest.raises(nvenc.Unavailable, match="NVENC does not encode mjpeg"):
        encoder(played, codec="mjpeg")


def test_what_it_has_not_the_cpu_encodes_and_that_is_said(played):
    said = []
    played.library.GetEncoderCaps = lambda gpuid, codec: {"num_encoder_engines": 0}
    coder = devices.open_encoder(CAPS, "cuda:0", said.append, codec="mpeg4")
    frame = Frame("a", 0, 0, upload(played.gpu, picture("NV12", 322, 178)))
    packets = [*coder.encode(frame), *coder.flush()]
    assert len(packets) == 1 and packets[0].key
    assert said == [
        "NVENC does not encode mpeg4, only h264, hevc, av1: the cpu encodes, pictures are copied from cuda:0 as they "
        "are encoded"
    ]


def test_the_element_says_it_once_for_all_streams(played):
    played.library.GetEncoderCaps = lambda gpuid, codec: {"num_encoder_engines": 0}
    warned = []
    encode = Encode(device="cuda:0", codec="h264")
    encode.open(Context("encode", warn=lambda text, stream: warned.append(text)))
    for name in "ab":
        encode.start_stream(StreamStart(name, CAPS))
    for name in "ab":
        frame = Frame(name, 0, 0, upload(played.gpu, picture("NV12", 322, 178)))
        packets = [*encode.process(frame), *encode.end_stream(name)]
        assert [type(item) for item in packets] == [Packet]
    encode.close()
    assert len(warned) == 1 and warned[0].startswith("cuda:0 has no NVENC for h264: the cpu encodes")


def test_the_element_encodes_there(played):
    encode = Encode(device="cuda:0")
    encode.open(Context("encode", warn=lambda text, stream: pytest.fail(text)))
    encode.start_stream(StreamStart("a", CAPS))
    frame = Frame("a", 0, 0, upload(played.gpu, picture("NV12", 322, 178)))
    before = played.gpu.driver.copied
    assert [type(item) for item in [*encode.process(frame), *encode.end_stream("a")]] == [Packet]
    assert played.gpu.driver.copied == before  # no pixel leaves the GPU
    encode.close()


def test_a_device_that_does_not_exist(monkeypatch):
    with pytest.raises(ConfigError, match="device 'tpu' is not known"):
        Encode(device="tpu").validate()
