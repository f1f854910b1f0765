"""A fragment that sends to a real RTSP server."""

import time
from pathlib import Path

from servers.live import RtspServer, need_gstreamer

import millrace
from millrace.testing.clips import numbered_clip, read_frame_number


def written(path: Path, seconds: float = 30.0) -> None:
    """Wait until the server has closed the file: it is there and grows no more."""
    end, size, since = time.monotonic() + seconds, 0, time.monotonic()
    while not size or time.monotonic() - since < 1.0:
        assert time.monotonic() < end, "the server has written nothing"
        now = path.stat().st_size if path.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        time.sleep(0.05)


def test_rtspclientsink_sends_every_picture_to_a_server(tmp_path: Path) -> None:
    need_gstreamer()
    clip = numbered_clip(tmp_path / "clip.mp4", frames=40)
    out = tmp_path / "received.ts"
    server = RtspServer(cam=f"rtph264depay name=depay0 ! h264parse ! mpegtsmux ! filesink sync=false location={out}")
    try:
        line = f"h264parse ! rtspclientsink protocols=tcp location=rtsp://127.0.0.1:{server.port}/cam"
        summary = millrace.open(clip, name="yard", pace=True).gstout(line).run()
        assert not summary.errors
        written(out)
    finally:
        server.kill()
    frames = list(millrace.open(out))
    numbers = [read_frame_number(frame.image.planes[0]) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and len(numbers) >= 35
    times = [frame.pts for frame in frames]  # the server's own, by their arrival
    assert times == sorted(times) and abs(times[-1] - times[0] - (len(times) - 1) * 40_000_000) < 400_000_000
