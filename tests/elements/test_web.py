"""`web`: streams are seen by players and in a browser; nothing is encoded for nobody, and nothing listens elsewhere."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest

import millrace
from millrace.core import PACKETS, Caps, Context, StreamStart
from millrace.core.errors import MillraceError, StreamError
from millrace.devices import open_encoder
from millrace.media import CodecParameters, Event, Frame, Object, box
from millrace.summary import Run
from millrace.testing.clips import numbered_clip, read_frame_number

pytest.importorskip("aiohttp")

from millrace.elements.web import Web

COUNT = 100  # pictures of 40 ms


def add_facts(frame: Frame) -> None:
    frame.objects = [Object(box([10, 10, 50, 50]), 0, "car", 0.9, id=1)]
    if frame.index % 10 == 0:
        frame.events.append(Event("line", frame.stream, frame.pts, "door", 1, "car", "in"))


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Web]]:
    """Starts to serve a clip of COUNT numbered pictures, again and again, and ends it."""
    runs: list[Run] = []

    def start(coded: bool = False, names: tuple[str, ...] = ("cam",), **settings: Any) -> Web:
        path = numbered_clip(tmp_path / "cam.mp4", COUNT, 320, 240, gop=10)
        element = Web(port=0, **settings)
        flow = millrace.open(*[str(path)] * len(names), name=names, loop=0)
        run = (flow if coded else flow.map(add_facts)).add(element).start()
        runs.append(run)
        wait_until(lambda: len(element.server.lives) == len(names))  # before that nobody finds them
        return element

    yield start
    for run in runs:
        run.pipeline.stop()


def url(element: Web, path: str) -> str:
    return f"http://127.0.0.1:{element.listens_on}/{path}"


def fetched(element: Web, path: str) -> bytes:
    with urllib.request.urlopen(url(element, path), timeout=20) as answer:
        return bytes(answer.read())


def played(address: str, count: int) -> list[int]:
    """The numbers of the first pictures that a player sees."""
    seen = []
    with av.open(address, timeout=(20, 20)) as file:
        for frame in file.decode(video=0):
            seen.append(read_frame_number(frame.to_ndarray(format="gray")))
            if len(seen) == count:
                break
    return seen


def in_a_row(seen: list[int]) -> bool:
    """Whether no picture is left out and none comes twice."""
    return all(after == (before + 1) % COUNT for before, after in itertools.pairwise(seen))


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)


@pytest.mark.parametrize("coded", [False, True])
def test_hls_is_played_without_a_gap(serving: Callable[..., Web], coded: bool) -> None:
    seen = played(url(serving(coded), "cam.m3u8"), 60)
    assert len(seen) == 60 and in_a_row(seen)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_other_codecs(serving: Callable[..., Web], codec: str) -> None:
    seen = played(url(serving(codec=codec), "cam.m3u8"), 25)
    assert len(seen) == 25 and in_a_row(seen)


def test_still_pictures(serving: Callable[..., Web]) -> None:
    element = serving()
    jpeg = fetched(element, "cam.jpg")
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None and picture.shape == (240, 320)
    seen = played(url(element, "cam.mjpg"), 15)
    assert len(set(seen)) == 15
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetched(serving(coded=True, names=("other",)), "other.jpg")


def test_nothing_is_encoded_for_nobody(serving: Callable[..., Web], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace.streaming.live.LINGER", 0.5)
    monkeypatch.setattr("millrace.streaming.hls.START", 1)
    encoders: list[Any] = []
    monkeypatch.setattr(
        "millrace.elements.web.open_encoder",
        lambda *how, **more: encoders.append(open_encoder(*how, **more)) or encoders[-1],
    )
    element = serving()
    known = element.shown["cam"]
    wait_until(lambda: known.live.facts.get("frame", 0) > 10)
    assert not encoders
    for count in (1, 2):
        assert b"EXT-X-PART:" in fetched(element, "cam.m3u8")
        assert len(encoders) == count
        wait_until(lambda: known.encoder is None)


def test_what_is_known_of_the_streams(serving: Callable[..., Web]) -> None:
    element = serving(names=("gate", "yard 2"))
    wait_until(lambda: all(shown.live.facts for shown in element.shown.values()))
    known = json.loads(fetched(element, "streams"))["streams"]
    assert set(known) == {"gate", "yard 2"}
    facts = known["gate"]
    assert facts["objects"] == {"car": 1} and (facts["width"], facts["height"]) == (320, 240) and not facts["ended"]
    assert facts["events"][0]["name"] == "door" and facts["events"][0]["direction"] == "in"
    assert b"#EXTM3U" in fetched(element, "yard%202.m3u8")


def test_it_listens_on_loopback_only(serving: Callable[..., Web]) -> None:
    before = {each.laddr for each in psutil.Process().net_connections() if each.laddr}
    element = serving()
    fetched(element, "streams")
    ours = [each.laddr for each in psutil.Process().net_connections() if each.laddr and each.laddr not in before]
    assert ours and {place.ip for place in ours} == {"127.0.0.1"}


def test_an_address_that_is_taken_is_one_error(serving: Callable[..., Web], tmp_path: Path) -> None:
    element = serving()
    with pytest.raises(MillraceError, match=f"cannot write http://127.0.0.1:{element.listens_on}"):
        millrace.open(str(tmp_path / "cam.mp4")).web(port=element.listens_on).run()


def test_others_are_let_in_with_a_warning() -> None:
    warnings: list[str] = []
    element = Web(port=0, host="0.0.0.0")
    element.open(Context("web", warn=lambda text, stream: warnings.append(text)))
    element.close()
    assert len(warnings) == 1 and "without passwords" in warnings[0]


def test_streams_that_cannot_be_shown_are_refused() -> None:
    element = Web(port=0)
    element.open(Context("web"))
    try:
        for codec in ("mjpeg", "h264"):
            caps = Caps(PACKETS, parameters=CodecParameters(codec, 64, 48))
            with pytest.raises(StreamError, match="encode"):
                element.start_stream(StreamStart("a", caps))
            list(element.end_stream("a"))
    finally:
        element.close()
    element = Web(port=0, name="one")
    element.open(Context("web"))
    try:
        caps = Caps("frames", width=64, height=48)
        element.start_stream(StreamStart("a", caps))
        with pytest.raises(StreamError, match=r"put \{stream\} into name"):
            element.start_stream(StreamStart("b", caps))
    finally:
        element.close()


SEEN = """(() => {
  const screens = [...document.querySelectorAll("figure video, figure canvas")];
  return JSON.stringify(screens.map(screen => {
    const canvas = document.createElement("canvas"), width = screen.videoWidth || screen.width;
    if (!width) return null;
    canvas.width = width; canvas.height = screen.videoHeight || screen.height;
    const context = canvas.getContext("2d", {willReadFrequently: true}), side = Math.max(2, Math.floor(width / 20));
    context.drawImage(screen, 0, 0);
    let number = 0;
    for (let bit = 0; bit < 16; bit++) {
      const pixel = context.getImageData(bit * side + (side >> 1), side >> 1, 1, 1).data;
      number = number * 2 + (pixel[1] > 127 ? 1 : 0);
    }
    return number;
  }));
})()"""


@pytest.mark.parametrize("way", ["fragments", "webrtc", "hls", "pictures"])
def test_a_browser_shows_it(serving: Callable[..., Web], way: str) -> None:
    from millrace.testing.browser import Browser, chromium

    if chromium() is None:
        said = "chromium is not installed: apt-get install chromium"
        pytest.fail(said) if os.environ.get("CI") == "true" else pytest.skip(said)
    element = serving(names=("gate", "yard"))

    async def watch() -> tuple[list[list[int | None]], str, list[str]]:
        seen: list[list[int | None]] = []
        async with Browser() as browser:
            await browser.open(url(element, f"?way={way}"))
            until = time.monotonic() + 40
            while time.monotonic() < until and not all(len(set(numbers)) >= 4 for numbers in _by_tile(seen)):
                await asyncio.sleep(0.2)
                seen.append(json.loads(await browser.ask(SEEN)))
            text = await browser.ask("document.body.innerText")
            return seen, text, browser.told

    seen, text, told = asyncio.run(watch())
    tiles = _by_tile(seen)
    assert len(tiles) == 2 and all(len(set(numbers)) >= 4 for numbers in tiles), (way, seen[-5:], told)
    assert "gate" in text and "car 1" in text and "line · door · in" in text
    assert not told


def _by_tile(seen: list[list[int | None]]) -> list[list[int]]:
    """The numbers that each tile has shown."""
    return [[row[n] for row in seen if len(row) > n and row[n] is not None] for n in range(2)]  # type: ignore[misc]
