"""Fragments that send to real servers, by RTSP and SRT."""

import itertools
import statistics
from pathlib import Path

from servers.live import RtspServer, need_gstreamer, until_written

import millrace
from millrace.testing.clips import numbered_clip, read_frame_number
from millrace.testing.ports import free_port


def test_rtspclientsink_sends_every_picture_to_a_server(tmp_path: Path) -> None:
    need_gstreamer()
    clip = numbered_clip(tmp_path / "clip.mp4", frames=90)
    out = tmp_path / "received.ts"
    server = RtspServer(cam=f"rtph264depay name=depay0 ! h264parse ! mpegtsmux ! filesink sync=false location={out}")
    try:
        line = f"h264parse ! rtspclientsink protocols=tcp location=rtsp://127.0.0.1:{server.port}/cam"
        summary = millrace.open(clip, name="yard", pace=True, live=False).gstout(line).run()
        assert not summary.errors
        until_written(out)
    finally:
        server.kill()
    frames = list(millrace.open(out))
    numbers = [read_frame_number(frame.image.planes[0]) for frame in frames]
    assert (
        numbers == list(range(numbers[0], numbers[0] + len(numbers))) and len(numbers) >= 25
    )  # what comes before the server is ready is not kept
    times = [frame.pts for frame in frames]  # the server's own, by their arrival
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) >= 0 and abs(statistics.median(gaps) - 40_000_000) < 20_000_000


def test_srt_out_and_in(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "clip.mp4", frames=100)
    address = f"srt://127.0.0.1:{free_port()}"
    sink = f"srtsink wait-for-connection=true latency=2000 uri={address}?mode=listener"
    line = f"h264parse config-interval=-1 ! mpegtsmux ! {sink}"
    numbers: list[int] = []
    sender = millrace.open(clip, name="yard", pace=True, loop=4).gstout(line).start()
    try:
        for frame in millrace.open(
            f"gst:srtsrc uri={address}?mode=caller latency=2000 ! tsdemux ! h264parse", name="in"
        ):
            numbers.append(read_frame_number(frame.image.planes[0]))
            if len(numbers) == 50:
                break
    finally:
        sender.close()
    in_a_row = sum((after - before) % 100 == 1 for before, after in itertools.pairwise(numbers))
    assert numbers[0] % 25 == 0 and in_a_row >= 30  # SRT gives up what comes too late, on a busy machine
