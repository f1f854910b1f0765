"""Sound of live streams: from a real RTSP server into a file, in step with the pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from servers.live import RtspServer, need_gstreamer, until
from sounds import begins, clip_with_sound, sound_packets, tracks

import millrace
from millrace.core import StreamStart
from millrace.media import Packet
from millrace.sources import open_source
from millrace.summary import Run

PICTURES = "d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1"
SOUND = "d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97"
TALK = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=160,height=120,framerate=30/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 threads=1 ! "
    "rtph264pay name=pay0 pt=96 config-interval=-1 "
    "audiotestsrc is-live=true freq=440 ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0"
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_gstreamer()
    return clip_with_sound(tmp_path_factory.mktemp("talk") / "talk.mp4")


@pytest.fixture(scope="module")
def server(original: Path) -> Iterator[RtspServer]:
    made = RtspServer(clip=f"filesrc location={original} ! qtdemux name=d {PICTURES} {SOUND}", talk=TALK)
    yield made
    made.kill()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_it_is_saved_in_step(server: RtspServer, original: Path, tmp_path: Path, transport: str, ending: str) -> None:
    out, given = tmp_path / f"out.{ending}", sound_packets(original)
    for _ in range(3):
        flow = millrace.open(server.url("clip"), name="a", transport=transport).limit(count=70).save(out)
        with Run(flow.plan).pipeline as pipeline:
            assert pipeline.wait(30), pipeline.stats()
        assert not pipeline.errors
        assert tracks(out) == [("video", "h264"), ("audio", "aac")]
        (flashes, tones), saved = begins(out), sound_packets(out)
        # what comes before the first picture is not saved
        places = range(len(given) - len(saved) + 1)
        whole = len(flashes) == 2 and any(saved == given[first : first + len(saved)] for first in places)
        if whole:
            break  # a machine that stands still drops pictures of a live stream, and then nothing is proven
    assert whole, ("not as it was sent", flashes, len(saved))
    assert len(flashes) == len(tones) == 2
    assert np.abs(np.array(flashes) - tones).max() < 0.1, (flashes, tones)
    assert len(saved) > 80


def test_frames_keep_their_wall_time_beside_sound(server: RtspServer, tmp_path: Path) -> None:
    flow = millrace.open(server.url("talk"), name="a", transport="udp")
    work, walls = Run(flow.save(tmp_path / "out.mkv").plan), []
    work.pipeline.tap("decode", lambda item: walls.append((item.pts, getattr(item, "wall", None)))
                      if not isinstance(item, StreamStart) and hasattr(item, "pts") else None)  # fmt: skip
    with work.pipeline:
        until(lambda: sum(wall is not None for _, wall in walls) > 20, 30)
        work.pipeline.drain()
        assert work.pipeline.wait(20)
    known = [(pts, wall) for pts, wall in walls if wall is not None]
    assert all(after[0] > before[0] for before, after in pairwise(known))
    # each report of the sender sets its clock a little anew
    assert max(abs((wall - known[0][1]) - (pts - known[0][0])) for pts, wall in known) < 1e9
    assert abs(known[-1][1] - time.time_ns()) < 30e9
    assert ("audio", "pcm_mulaw") not in tracks(tmp_path / "out.mkv")  # Matroska's table has no mu-law


def test_it_is_read_only_where_somebody_saves_it(server: RtspServer) -> None:
    for sound in (False, True):
        source = open_source("a", server.url("clip"), sound=sound)
        items = source.read()
        start, *packets = islice(items, 50)
        items.close()
        assert isinstance(start, StreamStart) and bool(start.caps.get("sound")) is sound
        kinds = {packet.kind for packet in packets if isinstance(packet, Packet)}
        assert kinds == ({"video", "audio"} if sound else {"video"})
        heard = [packet.pts for packet in packets if packet.kind == "audio"]
        assert heard == sorted(set(heard))
