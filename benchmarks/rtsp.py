"""Our RTSP server played by several programs at once: which pictures arrive, and how late.

    python benchmarks/rtsp.py --seconds 60 --aiortsp /path/to/venv/bin/python

Clients that are not installed are left out; aiortsp is run by the Python that is named, which must have it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import millrace
from millrace.elements.rtsp import Rtsp
from millrace.streaming.mount import Mount
from millrace.testing.clips import numbered_clip, read_frame_number

FPS, WIDTH, HEIGHT = 25, 320, 240
RTP = """
import asyncio, sys, time
from aiortsp.rtsp.reader import RTSPReader
async def main(url, until):
    async with RTSPReader(url, log_level=50) as reader:
        async for packet in reader.iter_packets():
            print(packet.seq, packet.ts, packet.m, time.monotonic_ns())
            if time.monotonic() > until:
                break
asyncio.run(main(sys.argv[1], time.monotonic() + float(sys.argv[2])))
"""
Seen = list[tuple[int, int]]  # numbers of pictures, and when they came in ns of time.monotonic


class Timed(Mount):
    """Notes when each picture is given to the server."""

    given: dict[int, int] = {}

    def feed(self, units: list[bytes], pts: int, key: bool) -> None:
        self.given[round(pts * FPS / 1e9)] = time.monotonic_ns()
        super().feed(units, pts, key)


def decoded(command: list[str], seen: Seen, end: float) -> None:
    """Numbers of the grey pictures that a program writes to its output."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as player:
        assert player.stdout is not None
        while time.monotonic() < end:
            data = player.stdout.read(WIDTH * HEIGHT)
            if len(data) < WIDTH * HEIGHT:
                break
            picture = np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH)
            seen.append((read_frame_number(picture), time.monotonic_ns()))
        player.kill()


def packets(command: list[str], seen: Seen, offset: int) -> None:
    """Numbers of the pictures whose last RTP packet came; reordered, so the last few are not looked at."""
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    for line in told.splitlines():
        _, ticks, marker, at = map(int, line.split())
        if marker:
            seen.append((round(((ticks - offset) & 0xFFFFFFFF) * FPS / 90000), at))
    del seen[-4:]


def players(url: str) -> dict[str, list[str]]:
    gst = "rtspsrc location={} protocols={} latency=100 ! rtph264depay ! h264parse ! openh264dec ! videoconvert ! "
    gst += "video/x-raw,format=GRAY8 ! fdsink fd=1 sync=false"
    out = {}
    for way in ("tcp", "udp"):
        flags = ["-v", "quiet", "-fflags", "nobuffer", "-flags", "low_delay", "-rtsp_transport", way]
        grey = ["-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-"]
        out[f"ffmpeg {way}"] = ["ffmpeg", *flags, "-i", url, *grey]
        out[f"rtspsrc {way}"] = ["gst-launch-1.0", "-q", *gst.format(url, way).split()]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--aiortsp", help="a Python that has aiortsp")
    given = parser.parse_args()
    import millrace.elements.rtsp as module

    module.Mount = Timed  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        clip = numbered_clip(Path(folder) / "in.mp4", (given.seconds + 15) * FPS, WIDTH, HEIGHT)
        element = Rtsp(port=0)
        run = millrace.open(str(clip), name="cam").encode(codec="h264", gop=25, quality=4).add(element).start()
        while not element.mounts:
            time.sleep(0.01)
        url = f"rtsp://127.0.0.1:{element.listens_on}/cam"
        offset, end = element.mounts["cam"].rtp.offset, time.monotonic() + given.seconds
        seen: dict[str, Seen] = {}
        threads = []
        for name, command in players(url).items():
            threads.append(threading.Thread(target=decoded, args=(command, seen.setdefault(name, []), end)))
        for way, scheme in (("tcp", "rtspt"), ("udp", "rtsp")) if given.aiortsp else ():
            command = [given.aiortsp, "-c", RTP, scheme + url[4:], str(given.seconds)]
            threads.append(
                threading.Thread(target=packets, args=(command, seen.setdefault(f"aiortsp {way}", []), offset))
            )
        for thread in threads:
            thread.start()
        time.sleep(given.seconds / 3)
        late = threading.Thread(target=decoded, args=(players(url)["ffmpeg tcp"], seen.setdefault("late", []), end))
        late.start()
        for thread in [*threads, late]:
            thread.join(given.seconds + 30)
        run.pipeline.stop()
    print("| client | pictures | missing | latency in ms: median, 95 %, most |\n| --- | ---: | ---: | ---: |")
    for name, pictures in seen.items():
        numbers = {number for number, _ in pictures}
        missing = len(set(range(min(numbers), max(numbers) + 1)) - numbers) if numbers else 0
        late_by = sorted((at - Timed.given[n]) / 1e6 for n, at in pictures if n in Timed.given) or [0.0]
        worst = f"{statistics.median(late_by):.0f}, {late_by[len(late_by) * 95 // 100]:.0f}, {late_by[-1]:.0f}"
        print(f"| {name} | {len(numbers)} | {missing} | {worst} |")


if __name__ == "__main__":
    main()
