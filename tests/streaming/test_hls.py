"""Playlists and parts as a player sees them, without a server."""

from __future__ import annotations

import asyncio
import io
import re
from fractions import Fraction
from pathlib import Path

import av
import pytest

import millrace
from millrace.core import FRAMES, Caps
from millrace.encoders.libav import open_encoder
from millrace.media import CodecParameters, Packet
from millrace.streaming.fmp4 import Sample, Track, fragment, ticks
from millrace.streaming.hls import KEPT, Hls
from millrace.streaming.live import Backlog, Live
from millrace.testing.clips import numbered_clip, read_frame_number

CAPS = Caps(FRAMES, width=320, height=240, fps=Fraction(25), time_base=Fraction(1, 90000))


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return numbered_clip(tmp_path_factory.mktemp("hls") / "n.mp4", 60)


def coded(path: Path, codec: str = "h264", gop: int = 10, low_latency: bool = True) -> tuple[Track, list[Packet]]:
    encoder = open_encoder(CAPS, codec=codec, gop=gop, quality=20, low_latency=low_latency)
    packets = [packet for frame in millrace.open(str(path)) for packet in encoder.encode(frame)]
    return Track(encoder.caps["parameters"]), [*packets, *encoder.flush()]


def sample(track: Track, packet: Packet, base: int = 0) -> Sample:
    assert packet.pts is not None and packet.dts is not None
    return Sample(track.data(packet.data), ticks(packet.dts) - base, ticks(packet.pts) - base, 3600, packet.key)


def numbers(data: bytes) -> list[int]:
    with av.open(io.BytesIO(data)) as file:
        return [read_frame_number(frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("size", [1, 7])
def test_fragments_of_any_size_play(numbered: Path, codec: str, size: int) -> None:
    track, packets = coded(numbered, codec)
    assert re.match(r"avc1\.64|hvc1\.1\.6\.L|av01\.0\.", track.codec)
    base = ticks(packets[0].dts or 0)
    groups = [packets[at : at + size] for at in range(0, len(packets), size)]
    fragments = [fragment(n, [sample(track, packet, base) for packet in group]) for n, group in enumerate(groups, 1)]
    assert numbers(track.header + b"".join(fragments)) == list(range(60))


def test_reordered_pictures_keep_their_times(numbered: Path) -> None:
    track, packets = coded(numbered, low_latency=False)
    base = ticks(packets[0].dts or 0)
    assert base < 0 and any(packet.pts != packet.dts for packet in packets)
    data = track.header + fragment(1, [sample(track, packet, base) for packet in packets])
    with av.open(io.BytesIO(data)) as file:
        times = [frame.pts for frame in file.decode(video=0)]
    assert [time - times[0] for time in times if time is not None] == [n * 3600 for n in range(60)]


def test_codecs_that_browsers_do_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="h264, hevc, av1, not mjpeg"):
        Track(CodecParameters("mjpeg", 64, 48))
    with pytest.raises(ValueError, match="without its header"):
        Track(CodecParameters("h264", 64, 48))


def test_the_playlist_offers_what_is_there(numbered: Path) -> None:
    track, packets = coded(numbered)
    hls = Hls("yard/cam 1", part=0.2, segment=0.8)
    hls.begin(track.header)
    for packet in packets:
        hls.add(sample(track, packet))
    text = hls.playlist()
    assert "#EXT-X-TARGETDURATION:1\n" in text and "CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.600" in text
    assert '#EXT-X-MAP:URI="cam%201/0.mp4"' in text and "#EXTINF:0.80000,\ncam%201/0.m4s" in text
    assert '#EXT-X-PART:DURATION=0.20000,URI="cam%201/1.0.m4s",INDEPENDENT=YES' in text
    assert text.endswith('#EXT-X-PRELOAD-HINT:TYPE=PART,URI="cam%201/2.3.m4s"\n')  # its last picture may go on still
    assert len(hls.whole) == 2 and hls.data(7, None) is None and hls.data(2, None) is None and hls.data(1, 99) is None
    parts = [hls.data(0, n) for n in range(4)]
    assert hls.data(0, None) == b"".join(part or b"" for part in parts)
    hls.end()
    data = [hls.data(number, None) or b"" for number in range(3)]
    assert numbers(hls.headers[0] + b"".join(data)) == list(range(60))
    assert hls.playlist().endswith("#EXT-X-ENDLIST\n") and "EXT-X-PART:" not in hls.playlist()


def test_old_segments_go_and_gaps_are_told(numbered: Path) -> None:
    track, packets = coded(numbered, gop=2)
    hls = Hls("cam", part=0.04, segment=0.08)
    hls.begin(track.header)
    for packet in packets:
        hls.add(sample(track, packet))
    assert len(hls.whole) == KEPT and f"#EXT-X-MEDIA-SEQUENCE:{hls.whole[0].number}\n" in hls.playlist()
    hls.begin(track.header + b"")
    for packet in packets[:5]:
        hls.add(sample(track, packet))
    text = hls.playlist()
    assert text.count("#EXT-X-DISCONTINUITY") == 1 and 'URI="cam/1.mp4"' in text and len(hls.headers) == 2
    for packet in packets[:20]:
        hls.add(sample(track, packet))
    assert list(hls.headers) == [1]


def test_a_part_that_is_not_there_yet_is_waited_for(numbered: Path) -> None:
    track, packets = coded(numbered)

    async def play() -> None:
        hls = Hls("cam", part=0.2, segment=0.4)
        hls.begin(track.header)
        waiting = asyncio.create_task(hls.wait(0, 1, 5))
        await asyncio.sleep(0)
        for packet in packets[:8]:
            hls.add(sample(track, packet))
        await asyncio.sleep(0)
        assert not waiting.done()
        for packet in packets[8:11]:
            hls.add(sample(track, packet))
        assert await waiting and hls.data(0, 1)
        assert not await hls.wait(1, 0, 0.01)
        assert not hls.may_be_awaited(9) and hls.may_be_awaited(1)
        hls.end()
        assert await hls.wait(9, None, 0.01)  # nothing will come: no reason to wait

    asyncio.run(play())


def test_a_stream_without_key_pictures_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.streaming.hls.LARGEST", 10_000)
    hls = Hls("cam")
    hls.begin(b"header")
    for n in range(400):
        hls.add(Sample(bytes(500), n * 3600, n * 3600, 3600, n == 0))
    assert hls.growing is None and not hls.whole


def test_a_slow_client_loses_pictures_up_to_the_next_key_picture() -> None:
    async def play() -> None:
        backlog: Backlog[int] = Backlog(limit=100)
        for n in range(24):
            backlog.give(n, 20, n % 10 == 0)
        backlog.end()
        assert [await backlog.take() for _ in range(5)] == [20, 21, 22, 23, None]
        assert backlog.dropped == 20

    asyncio.run(play())


def test_nothing_is_cut_for_nobody_and_late_comers_start_at_the_last_key_picture(numbered: Path) -> None:
    encoder = open_encoder(CAPS, gop=10, quality=20)
    frames = list(millrace.open(str(numbered)))
    packets = [packet for frame in frames for packet in encoder.encode(frame)]
    codec = encoder.caps["parameters"]

    async def play() -> None:
        live = Live("cam")
        live.begin(codec, Track(codec))
        for packet in packets[:15]:
            live.feed(packet)
        assert live.hls.is_empty and not live.wanted
        early, late = live.follow(from_last_key=True), live.follow(from_last_key=False)
        assert live.wanted and live.key_wanted
        for packet in packets[15:]:
            live.feed(packet)
        first, other = await early.take(), await late.take()
        assert first is not None and other is not None and first.packet.key and other.packet.key
        assert first.packet.pts is not None and other.packet.pts is not None and first.packet.pts < other.packet.pts
        assert first.annexb.startswith(b"\0\0\0\1") and other.annexb.count(b"\0\0\0\1") >= 3
        live.leave(early)
        live.leave(late)
        assert not live.wanted
        with live.asking() as hls:
            assert live.wanted and hls.growing is not None  # what came since the last key picture is in it at once

    asyncio.run(play())
