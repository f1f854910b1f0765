"""Our page in headless Chromium, and HLS in other players: which pictures are seen, how late, and what they look like.

    python benchmarks/watching.py --seconds 20 --pictures /tmp/page

Numbered pictures go through `web`; each that is shown is read by its number, where Chromium shows it
(requestVideoFrameCallback); its latency is from the moment the element gets a frame to that moment, by one clock.
`--pictures` shows the generated street instead, with what was found in it: photographs of the page, in pairs half a
second apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
import numpy as np
import psutil

import millrace
from millrace.elements.web import Web
from millrace.media import Frame, Packet
from millrace.testing.browser import Browser
from millrace.testing.clips import numbered_clip, read_frame_number

FPS, WIDTH, HEIGHT = 25, 320, 240
Seen = list[tuple[int, float]]  # numbers of pictures, and when they were seen, in seconds of time.time()
READ = """(() => {
  window.seen = [];
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d", {willReadFrequently: true});
  const note = screen => {
    const width = screen.videoWidth || screen.width, side = Math.max(2, Math.floor(width / 20));
    canvas.width = 16 * side; canvas.height = side;
    context.drawImage(screen, 0, 0);
    let number = 0;
    for (let bit = 0; bit < 16; bit++) {
      number = number * 2 + (context.getImageData(bit * side + (side >> 1), side >> 1, 1, 1).data[1] > 127 ? 1 : 0);
    }
    window.seen.push([number, (performance.timeOrigin + performance.now()) / 1000]);
  };
  const screen = document.querySelector("figure video, figure canvas");
  if (screen.requestVideoFrameCallback) {
    const next = () => { note(screen); screen.requestVideoFrameCallback(next); };
    screen.requestVideoFrameCallback(next);
  } else {
    let last = -1;
    const next = () => {
      if (screen.width > 300) {
        note(screen);
        if (window.seen.at(-1)[0] === last) window.seen.pop(); else last = window.seen.at(-1)[0];
      }
      requestAnimationFrame(next);
    };
    next();
  }
})()"""


class Timed(Web):
    """Notes when each frame comes to it."""

    def give(self, item: Frame | Packet) -> None:
        if isinstance(item, Frame):
            GIVEN[round(item.pts * FPS / 1e9)] = time.time()
        super().give(item)


GIVEN: dict[int, float] = {}


async def in_chromium(url: str, way: str, seconds: float) -> Seen:
    async with Browser() as browser:
        await browser.open(f"{url}?way={way}")
        began, shown = time.monotonic(), "document.querySelector('figure video')?.videoWidth"
        shown += " || document.querySelector('figure canvas')?.width > 300"
        while not await browser.ask(f"!!({shown})") and time.monotonic() - began < 30:
            await asyncio.sleep(0.05)
        print(f"Chromium, {way}: the first picture after {time.monotonic() - began:.1f} s", flush=True)
        await browser.ask(READ)
        await asyncio.sleep(seconds)
        return [(number, at) for number, at in json.loads(await browser.ask("JSON.stringify(window.seen)"))]


async def by_hlsjs(url: str, library: str, seconds: float) -> Seen:
    """hls.js in its mode of low latency, put into an empty page of ours."""
    start = "const hls = new Hls({lowLatencyMode: true, enableWorker: false}); hls.loadSource('/cam.m3u8');"
    start += "const screen = document.querySelector('video'); hls.attachMedia(screen); screen.play(); 0"
    async with Browser() as browser:
        await browser.open(url + "streams")
        await asyncio.sleep(0.5)
        await browser.ask("document.body.innerHTML = '<figure><video muted></video></figure>'")
        await browser.ask(library + "; 0")
        await browser.ask(f"(() => {{ {start.removesuffix(' 0')} }})()")
        await browser.ask(READ)
        await asyncio.sleep(seconds)
        return [(number, at) for number, at in json.loads(await browser.ask("JSON.stringify(window.seen)"))]


async def by_parts(url: str, seconds: float) -> Seen:
    """A player that asks for each part as the playlist hints at it: the last picture of each, when it is there."""
    seen: Seen = []
    until = time.monotonic() + seconds
    async with aiohttp.ClientSession() as http:

        async def fetch(place: str) -> bytes:
            async with http.get(place) as answer:
                return await answer.read() if answer.status == 200 else b""

        text = (await fetch(url)).decode()
        while time.monotonic() < until:
            hint = re.search(r'HINT:TYPE=PART,URI="([^"]+)"', text)
            assert hint
            data = await fetch(urljoin(url, hint[1]))
            at = time.time()
            if data and (number := last_picture(data)) is not None:
                seen.append((number, at))
            segment, part = re.search(r"(\d+)\.(\d+)\.m4s$", hint[1]).groups()  # type: ignore[union-attr]
            text = (await fetch(f"{url}?_HLS_msn={segment}&_HLS_part={part}")).decode()
    return seen


def last_picture(part: bytes) -> int | None:
    """The number of a part's last picture, from its times: most parts begin with no key picture, none plays alone."""
    at = part.index(b"tfdt")
    begins = int.from_bytes(part[at + 8 : at + 16], "big")
    run = part.index(b"trun")
    count = int.from_bytes(part[run + 8 : run + 12], "big")
    return BASE[0] + round((begins + (count - 1) * 90_000 / FPS) * FPS / 90_000)


BASE = [0]  # the number of the first picture that was coded


def by_ffmpeg(url: str, seconds: float) -> Seen:
    seen: Seen = []
    command = ["ffmpeg", "-v", "quiet", "-fflags", "nobuffer", "-flags", "low_delay", "-i", url]
    command += ["-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as player:
        assert player.stdout is not None
        timer = threading.Timer(seconds, player.kill)
        timer.start()
        while len(data := player.stdout.read(WIDTH * HEIGHT)) == WIDTH * HEIGHT:
            seen.append((read_frame_number(np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH)), time.time()))
        timer.cancel()
    return seen


def report(name: str, seen: Seen, every: bool = True) -> None:
    numbers = {number for number, _ in seen}
    late = sorted((at - GIVEN[number]) * 1e3 for number, at in seen if number in GIVEN)[: len(seen)]
    if not late:
        print(f"| {name} | 0 | | |", flush=True)
        return
    steady = [(number, at) for number, at in seen if number in GIVEN][len(seen) // 3 :]  # what comes first may wait
    late = sorted((at - GIVEN[number]) * 1e3 for number, at in steady)
    missing = len(set(range(min(n for n, _ in steady), max(numbers) + 1)) - numbers)
    spread = f"{statistics.median(late):.0f}, {late[len(late) * 95 // 100]:.0f}, {late[-1]:.0f}"
    print(f"| {name} | {len(numbers)} | {missing if every else '–'} | {spread} |", flush=True)


def numbered(seconds: float, library: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip = numbered_clip(Path(folder) / "in.mp4", round((seconds + 8) * 7 * FPS), WIDTH, HEIGHT)
        element = Timed(port=0)
        run = millrace.open(str(clip), name="cam").decode().add(element).start()
        while not GIVEN:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{element.listens_on}/"
        print("| player | pictures | missing | latency in ms: median, 95 %, most |\n| --- | ---: | ---: | ---: |")
        for way in ("fragments", "webrtc", "pictures", "hls"):
            report(f"Chromium, {way}", asyncio.run(in_chromium(url, way, seconds + (12 if way == "hls" else 0))))
        BASE[0] = round((element.shown["cam"].live.base or 0) * FPS / 90_000)
        report(
            "parts as they are hinted at (last picture)", asyncio.run(by_parts(url + "cam.m3u8", seconds)), every=False
        )
        if library is not None:
            report("Chromium, hls.js", asyncio.run(by_hlsjs(url, library.read_text(), seconds)))
        report("ffmpeg, HLS", by_ffmpeg(url + "cam.m3u8", seconds))
        run.pipeline.stop()


async def client(port: int, path: str, seconds: float) -> int:
    """Comes, takes what comes for a while, and goes without a word; how many bytes it got."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    more = upgrade if path.endswith("/live") else ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n".encode())
    got = 0
    try:
        async with asyncio.timeout(seconds):
            while data := await reader.read(1 << 16):
                got += len(data)
    except TimeoutError:
        pass
    writer.transport.abort()
    return got


def come_and_go(rounds: int) -> None:
    """A hundred clients at a time: is the process larger afterwards, has it more files or threads?"""
    with tempfile.TemporaryDirectory() as folder:
        clip = numbered_clip(Path(folder) / "in.mp4", 500, WIDTH, HEIGHT)
        element = Web(port=0, most=100)
        run = millrace.open(str(clip), name="cam", loop=0).decode().add(element).start()
        while element.server is None or not element.shown:
            time.sleep(0.05)
        process, paths = psutil.Process(), ("/cam.m3u8", "/cam/live", "/cam.mjpg", "/news")

        async def crowd() -> None:
            took = await asyncio.gather(*(client(element.listens_on, paths[n % 4], 1.5) for n in range(100)))
            assert min(took) > 100, took

        for number in range(1, rounds + 1):
            asyncio.run(crowd())
            while element.server.connections:
                time.sleep(0.05)
            if number == 3 or number % 10 == 0:
                time.sleep(17)  # until the timers of those who went are over
                size, files = process.memory_info().rss / 1e6, process.num_fds()
                print(
                    f"{number * 100} clients: {size:.1f} MB, {files} files, {threading.active_count()} threads",
                    flush=True,
                )
        run.pipeline.stop()


def street(pictures: Path) -> None:
    from millrace.testing import scene_source  # noqa: F401

    element = Web(port=0)
    lines = {"door": {"points": [[0.1, 0.6], [0.9, 0.6]]}}
    zones = {"road": {"points": [[0.1, 0.5], [0.9, 0.5], [0.9, 0.9]]}}
    flow = (
        millrace.open("scene:?seed=7&seconds=90", "scene:?seed=8&seconds=90", name=["gate", "yard"])
        .infer("street")
        .track()
    )
    run = flow.analyze(lines=lines, zones=zones).draw().add(element).start()

    async def look() -> None:
        async with Browser() as browser:
            for way in ("fragments", "webrtc", "hls", "pictures"):
                await browser.open(f"http://127.0.0.1:{element.listens_on}/?way={way}")
                await asyncio.sleep(14 if way == "hls" else 6)
                for number in (1, 2):
                    await browser.picture(pictures / f"{way}-{number}.png")
                    await asyncio.sleep(0.5)

    while element.server is None:
        time.sleep(0.05)
    asyncio.run(look())
    run.pipeline.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--pictures", type=Path, help="a folder for photographs of the page, of the generated street")
    parser.add_argument("--hlsjs", type=Path, help="hls.js's own file (npm), to play HLS with low latency")
    parser.add_argument("--clients", type=int, help="hundreds of clients that come and go instead")
    given = parser.parse_args()
    if given.clients:
        come_and_go(given.clients)
    elif given.pictures is not None:
        given.pictures.mkdir(parents=True, exist_ok=True)
        street(given.pictures)
    else:
        numbered(given.seconds, given.hlsjs)


if __name__ == "__main__":
    main()
