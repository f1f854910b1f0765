"""What surrounds NVDEC, with the decoder and the GPU played by the CPU (tests/gpu has the real ones)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from host_gpu import host_gpu  # noqa: F401

from millrace import devices
from millrace.core.caps import PACKETS, Caps
from millrace.cuda import memory
from millrace.decoders import nvdec
from millrace.decoders.renewed import Renewed
from millrace.decoders.turn import turned
from millrace.elements.decode import expected_caps
from millrace.imaging import cuda_upload
from millrace.media import Decoding, Image, Packet

WIDTH, HEIGHT = 64, 36


class Broken(RuntimeError):
    """The library's error."""


class Engine:
    """A decoder that has one picture for all calls, as NVDEC has few; it gives each packet's at the next call."""

    size = WIDTH, HEIGHT  # of the stream's pictures; a decoder keeps that which it began with
    most = 1000
    made = 0

    def __init__(self, **options: Any) -> None:
        if Engine.made >= Engine.most:
            raise Broken("CUDA_ERROR_NO_DEVICE")
        Engine.made += 1
        self.width, self.height = Engine.size
        self.memory = np.zeros((self.height * 3 // 2, self.width), np.uint8)
        self.waiting: list[tuple[int, int]] = []
        self.fails = ""

    def Decode(self, feed: Any) -> list[Any]:
        if self.fails:
            raise Broken(self.fails)
        given = [self.waiting.pop(0)] if self.waiting else []
        if feed.bsl:
            self.waiting.append((feed.pts, feed.bsl))
        return [self._frame(*each) for each in given]

    def _frame(self, pts: int, size: int) -> Any:
        self.memory[:] = size
        return SimpleNamespace(timestamp=pts, GetPtrToPlane=lambda n: self.memory.ctypes.data)

    GetWidth, GetHeight = (lambda self: self.width), (lambda self: self.height)

    def GetPixelFormat(self) -> Any:
        return SimpleNamespace(name="NV12")


@pytest.fixture
def decoder(host_gpu: Any, monkeypatch: pytest.MonkeyPatch) -> nvdec.NvdecDecoder:  # noqa: F811
    library = SimpleNamespace(
        CreateDecoder=Engine,
        PacketData=lambda: SimpleNamespace(bsl=0, bsl_data=0, pts=0),
        DisplayDecodeLatencyType=SimpleNamespace(LOW=1, NATIVE=0),
        cudaVideoCodec=SimpleNamespace(H264=4, HEVC=8),
        PyNvVCException=Broken,
        PyNvVCExceptionUnsupported=Broken,
    )
    monkeypatch.setattr(Engine, "made", 0)
    monkeypatch.setattr(Engine, "size", (WIDTH, HEIGHT))
    monkeypatch.setattr(nvdec, "library", lambda: library)
    monkeypatch.setattr(nvdec, "gpu", lambda device: host_gpu)
    monkeypatch.setattr(nvdec, "why_not", lambda *facts: None)
    monkeypatch.setattr(nvdec, "no_memory", lambda *facts: None)
    monkeypatch.setattr(nvdec, "decodes", lambda gpu, codec: f"{gpu.name} decodes {codec} of any kind")
    monkeypatch.setattr(host_gpu, "context", 1, raising=False)
    monkeypatch.setattr(host_gpu, "thread_stream", lambda: host_gpu.copies)
    return nvdec.open_decoder(Caps(PACKETS, codec="hevc"))


def packet(index: int, size: int | None = None) -> Packet:
    data = b"\0\0\1" + bytes((size or 10 + index) - 3)
    return Packet("a", data, index * 40, None, 40 + index, key=True)


def test_each_picture_is_a_copy_with_its_own_time(decoder: nvdec.NvdecDecoder):
    pictures = [picture for n in range(5) for picture in decoder.decode(packet(n))]
    assert len(pictures) == 4
    pictures += decoder.flush()
    assert [picture.pts for picture in pictures] == [0, 40, 80, 120, 160]
    assert [picture.duration for picture in pictures] == [40, 41, 42, 43, 44]
    for n, picture in enumerate(pictures):
        image = picture.image
        assert (image.format, image.width, image.height, image.memory) == ("NV12", WIDTH, HEIGHT, "cuda:0")
        luma, chroma = (plane.numpy() for plane in image.planes)
        assert luma.shape == (HEIGHT, WIDTH) and chroma.shape == (HEIGHT // 2, WIDTH // 2, 2)
        assert (luma == 10 + n).all() and (chroma == 10 + n).all()
        assert image.read_only and all(plane.ready is image.ready for plane in image.planes)


def test_surfaces_come_back_when_pictures_are_dropped(decoder: nvdec.NvdecDecoder):
    addresses = set()
    for n in range(200):
        addresses |= {picture.image.planes[0].pointer for picture in decoder.decode(packet(n, 10))}
    pool = decoder._layout.pool  # type: ignore[union-attr]
    assert 0 < len(addresses) <= pool.count == memory._SURFACES_A_SLAB == len(pool.free)


def test_a_reader_of_another_stream_is_waited_for(
    decoder: nvdec.NvdecDecoder,
    host_gpu: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
):
    decoder.decode(packet(0))
    (picture,) = decoder.decode(packet(1))
    reader = host_gpu.stream("low")
    for plane in picture.image.planes:
        plane.used(reader.record())
    waits: list[int] = []
    monkeypatch.setattr(host_gpu.copies, "_wait", lambda stream, event, flags: waits.append(event) or 0)
    del picture, plane
    for n in range(2, 2 + memory._SURFACES_A_SLAB):  # until that surface has its turn again
        decoder.decode(packet(n))
    assert len(waits) == 1  # for the later of the two reads


def test_what_nvdec_cannot_have_shows_before_the_first_picture(decoder: nvdec.NvdecDecoder):
    decoder.decode(packet(0))
    decoder._decoder.fails = "HandleVideoSequence :\nError code : 801\nError Type : Codec not supported\nat x.cpp"
    with pytest.raises(ValueError, match=r"NVDEC cannot decode this hevc stream: Codec not supported \(cuda:0 decodes"):
        decoder.decode(packet(1))
    decoder._decoder.fails = ""
    assert decoder.decode(packet(2))
    decoder._decoder.fails = "HandleVideoSequence :"  # with a picture it is damage
    assert decoder.decode(packet(3)) == [] and decoder.damaged == 1


def test_damage_costs_pictures_up_to_the_next_key(decoder: nvdec.NvdecDecoder):
    decoder.decode(packet(0))
    decoder._decoder.fails = "no"
    assert decoder.decode(packet(1)) == [] and decoder.damaged == 1
    decoder._decoder.fails = ""
    other = packet(2)
    other.key = False
    assert decoder.decode(other) == []
    assert [picture.pts for picture in decoder.decode(packet(3))] == [0]


def test_a_first_packet_that_fails_says_that_it_cannot_be_decoded(decoder: nvdec.NvdecDecoder):
    decoder._decoder.fails = "no"
    with pytest.raises(ValueError, match="NVDEC cannot decode this hevc stream: no"):
        decoder.decode(packet(0))


def test_without_memory_for_a_decoder_its_stream_ends(decoder: nvdec.NvdecDecoder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nvdec, "no_memory", lambda *facts: "cuda:0 has no memory left")
    assert decoder.decode(packet(0)) == []  # accepted; the decoder is made at the next
    decoder._decoder.fails = "no"
    with pytest.raises(RuntimeError, match="cuda:0 has no memory left"):
        decoder.decode(packet(1))


def test_damage_is_damage_while_others_use_up_the_memory(decoder: nvdec.NvdecDecoder, monkeypatch: pytest.MonkeyPatch):
    decoder.decode(packet(0))
    assert len(decoder.decode(packet(1))) == 1
    monkeypatch.setattr(nvdec, "no_memory", lambda *facts: "cuda:0 has no memory left")
    decoder._decoder.fails = "no"
    assert decoder.decode(packet(2)) == [] and decoder.damaged == 1


@pytest.mark.parametrize(("short_of", "said"), [(None, "no"), ("cuda:0 has no memory left", "cuda:0 has no memory")])
def test_a_decoder_that_fails_again_and_again_is_given_up(
    decoder: nvdec.NvdecDecoder, monkeypatch: pytest.MonkeyPatch, short_of: str | None, said: str
):
    decoder.decode(packet(0))
    assert len(decoder.decode(packet(1))) == 1
    monkeypatch.setattr(nvdec, "no_memory", lambda *facts: short_of)
    decoder._decoder.fails = "no"
    key = Packet("a", b"\0\0\1key", 0, key=True)
    with pytest.raises(RuntimeError, match=f"NVDEC failed 30 times without a picture: {said}"):
        for _ in range(30):
            assert decoder.decode(key) == []
    assert decoder.damaged == 30


def sized(index: int, sets: int) -> Packet:
    """A key picture after a sequence parameter set (unit 33 of HEVC), whose bytes differ by `sets`."""
    data = b"\0\0\0\1" + bytes([33 << 1, 1, sets]) + b"\0\0\1" + bytes([19 << 1, 1, 7])
    return Packet("a", data, index * 40, None, 40, key=True)


def test_pictures_that_become_larger_get_another_decoder(decoder: nvdec.NvdecDecoder, monkeypatch: pytest.MonkeyPatch):
    decoder = Renewed(lambda: nvdec.open_decoder(Caps(PACKETS, codec="hevc")), "hevc", None)
    made = Engine.made
    pictures = [each for n in range(3) for each in decoder.decode(sized(n, 1))]
    assert Engine.made == made
    monkeypatch.setattr(Engine, "size", (128, 72))
    pictures += [each for n in range(3, 6) for each in decoder.decode(sized(n, 2))] + decoder.flush()
    assert Engine.made == made + 1 and decoder.damaged == 0
    assert [each.pts for each in pictures] == [0, 40, 80, 120, 160, 200]
    assert [each.image.width for each in pictures] == [WIDTH] * 3 + [128] * 3
    assert pictures[4].image.planes[0].numpy().shape == (72, 128)
    decoder.decode(packet(6))  # a key picture without parameter sets changes nothing
    assert Engine.made == made + 1


def test_a_decoder_that_cannot_be_made_is_the_streams_error(
    decoder: nvdec.NvdecDecoder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Engine, "most", 1)
    with pytest.raises(ValueError, match="NVDEC cannot decode this hevc stream: CUDA_ERROR_NO_DEVICE"):
        nvdec.open_decoder(Caps(PACKETS, codec="hevc"))
    monkeypatch.setattr(nvdec, "no_memory", lambda *facts: "cuda:0 has no memory left")
    with pytest.raises(RuntimeError, match="no memory left"):
        nvdec.open_decoder(Caps(PACKETS, codec="hevc"))


def test_packets_that_give_no_picture_are_forgotten(decoder: nvdec.NvdecDecoder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Engine, "Decode", lambda self, feed: [])
    for n in range(1000):
        decoder.decode(packet(n, 10))
    assert len(decoder._durations) <= 130


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_pictures_stand_upright_as_on_the_cpu(
    decoder: nvdec.NvdecDecoder,
    host_gpu: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    degrees: int,
):
    monkeypatch.setattr(cuda_upload, "gpu", lambda device: host_gpu)
    monkeypatch.setattr(cuda_upload, "_local", SimpleNamespace())
    rows = np.arange(WIDTH * HEIGHT * 3 // 2).astype(np.uint8).reshape(-1, WIDTH)
    monkeypatch.setattr(Engine, "_frame", lambda self, pts, size: given(pts, rows))
    caps = Caps(PACKETS, codec="hevc", width=WIDTH, height=HEIGHT, decoding=Decoding(turn=degrees))
    said: list[str] = []
    upright = devices.open_decoder(caps, "cuda:0", said.append)
    upright.decode(packet(0))
    (picture,) = upright.decode(packet(1))
    image = Image("NV12", [rows[:HEIGHT], rows[HEIGHT:].reshape(HEIGHT // 2, WIDTH // 2, 2)], WIDTH, HEIGHT)
    wanted = turned(image, degrees)
    assert (picture.image.width, picture.image.height, picture.pts) == (wanted.width, wanted.height, 0)
    for plane, other in zip(picture.image.planes, wanted.planes, strict=True):
        np.testing.assert_array_equal(plane.numpy(), other)
    assert not said and expected_caps(caps, "cuda:0")["width"] == wanted.width


def given(pts: int, rows: Any) -> Any:
    return SimpleNamespace(timestamp=pts, GetPtrToPlane=lambda n: rows.ctypes.data)
