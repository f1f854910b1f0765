"""`async for frame in flow`, callbacks, and what a notebook shows."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from pictures import Broken, Mark, Pictures, frame

import millrace
from millrace.core import ElementError
from millrace.core.errors import MissingExtraError
from millrace.media import Frame, Image, Object, box
from millrace.media.html import png
from millrace.testing.clips import numbered_clip


def pictures(**settings: Any) -> millrace.Flow:
    return millrace.open(Pictures(stream="a", **settings), name="a")


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("millrace:")]


def test_every_frame_comes_in_order_and_the_loop_is_not_blocked() -> None:
    ticked = threading.Semaphore(0)
    went_on: list[bool] = []

    async def tick() -> None:
        while True:
            ticked.release()
            await asyncio.sleep(0.001)

    def slow(frame: Frame) -> None:
        """The loop goes on while this waits for it."""
        while ticked.acquire(blocking=False):
            pass
        went_on.append(all(ticked.acquire(timeout=20) for _ in range(3)))

    async def main() -> list[int]:
        ticking = asyncio.create_task(tick())
        indices = [frame.index async for frame in pictures(count=20).each(slow)]
        ticking.cancel()
        return indices

    assert asyncio.run(main()) == list(range(20)) and went_on == [True] * 20


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def test_cancelling_the_task_stops_the_pipeline() -> None:
    async def main() -> None:
        seen = asyncio.Event()

        async def watch() -> None:
            async for item in pictures(count=None):
                seen.set() if item.index == 3 else None
                await asyncio.sleep(0)

        task = asyncio.create_task(watch())
        await asyncio.wait_for(seen.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)
        await until(lambda: not workers())  # the task was in its own code: asyncio closes the frames a little later

    asyncio.run(main())


def test_cancelling_while_no_frame_comes() -> None:
    async def main() -> None:
        async def watch() -> None:
            async for _ in pictures(count=None).map(lambda frame: False):
                pytest.fail("none may come")

        task = asyncio.create_task(watch())
        await until(lambda: "millrace:a" in workers())  # the source starts last
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)
        await until(lambda: not workers())  # it may have been cancelled while the last thread started

    asyncio.run(main())


def test_leaving_the_loop_stops_the_pipeline() -> None:
    async def main() -> None:
        frames = aiter(pictures(count=None))
        async for item in frames:
            if item.index == 2:
                break
        await frames.aclose()
        assert not workers()

    asyncio.run(main())


def test_errors_are_raised_in_the_loop() -> None:
    async def main() -> None:
        async for _ in pictures().add(Broken()):
            pass

    with pytest.raises(ElementError, match="no such luck"):
        asyncio.run(main())


def test_two_flows_at_once() -> None:
    async def count(name: str) -> int:
        return len([frame async for frame in millrace.open(Pictures(stream=name, count=15), name=name)])

    async def main() -> list[int]:
        return await asyncio.gather(count("a"), count("b"))

    assert asyncio.run(main()) == [15, 15]


def test_each_calls_for_every_frame_whatever_it_answers() -> None:
    seen: list[int] = []

    def note(frame: Frame) -> bool:
        seen.append(frame.index)
        return False

    flow = pictures(count=6).each(note)
    assert [frame.index for frame in flow] == seen == list(range(6))
    assert flow.plan.line[-1].settings["call"].__name__ == "note"  # type: ignore[union-attr]


def test_a_png_is_what_it_was_made_of() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    read = cv2.imdecode(np.frombuffer(png(pixels), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(read[..., ::-1], pixels)


def test_a_frame_shows_its_picture_with_boxes() -> None:
    pixels = np.zeros((30, 1500, 3), np.uint8)
    pixels[..., 0] = 200
    item = Frame("gate <1>", 4, 160_000_000, Image("RGB", [pixels], 1500, 30))
    item.objects.append(Object(box([10, 5, 40, 25]), 0, "a<b", 0.5, id=3))
    text = item._repr_html_()
    assert "gate &lt;1&gt; #4, 0.160 s, 1500x30 RGB, 1 object<" in text and ">a&lt;b 3</text>" in text
    assert '<rect x="10.0" y="5.0" width="30.0" height="20.0"' in text and 'viewBox="0 0 1500 30" width="640"' in text
    data = re.search(r"base64,([^\"]+)", text)
    assert data is not None
    read = cv2.imdecode(np.frombuffer(b64decode(data[1]), np.uint8), cv2.IMREAD_COLOR)
    assert read.shape == (10, 500, 3) and read[5, 5].tolist() == [0, 0, 200]


def test_a_frame_on_a_device_is_described() -> None:
    item = frame()
    item.image.memory = "cuda:0"
    assert "in cuda:0" in item._repr_html_() and "<svg" not in item._repr_html_()


def test_a_flow_shows_its_steps_and_first_picture_and_writes_nothing(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path / "gate.mp4", 10, 160, 120)
    flow = millrace.open(str(clip)).add(Mark()).json(str(tmp_path / "o.jsonl")).save(tmp_path / "o.mp4")
    text = flow._repr_html_()
    assert text.startswith("<p>gate: Mark → json → (save: encode → file)</p><figure>") and ">car</text>" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gate.mp4"]
    assert pictures().track()._repr_html_() == "<p>a: track</p>"  # a source that may be a camera is not opened
    assert "<figure>" not in millrace.open(str(clip)).infer(str(tmp_path / "none.onnx"))._repr_html_()


def test_show_renews_a_tile_for_each_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)
    fake = ModuleType("IPython.display")
    fake.HTML, fake.display = lambda text: text, lambda item, display_id: handle  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    sources = [Pictures(stream=name, count=9) for name in "ab"]
    millrace.open(*sources, name=["a", "b"]).add(Mark()).show(rate=1000)
    assert shown[-1].count("<svg") == 2 and shown[-1].endswith("<div>a: 9 frames, b: 9 frames</div>")
    assert ">car" in shown[-1] and "data:image/jpeg;base64," in shown[-1]
    before = len(shown)
    millrace.open(Pictures(stream="a", count=50), name="a").show(rate=0.01)
    assert len(shown) - before == 2  # the first picture and the end: no more than asked for


def test_show_with_the_real_ipython() -> None:
    pytest.importorskip("IPython")
    pictures().show()


def test_show_without_ipython_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(MissingExtraError, match=r"needs IPython: pip install 'millrace\[notebook\]'"):
        pictures().show()
