"""Live streams that are played faster than they are taken: what is dropped, and how late the rest is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from millrace import flow
from millrace.core import PACKETS, Element, setting, state
from millrace.media import Frame, Packet
from millrace.summary import Run
from millrace.testing.bench_live import Late, Paced, play
from millrace.testing.clips import numbered_clip, numbered_pictures, read_frame_number, write_video


class Slow(Element):
    """Takes its time for every frame."""

    threaded = True
    seconds: float = setting(default=0.03)
    seen: dict[str, list[Any]] = state(dict)

    def process(self, item: Frame) -> Iterator[Frame]:
        time.sleep(self.seconds if item.stream == "live" else 0.0)
        number = read_frame_number(item.image.planes[0])
        self.seen.setdefault(item.stream, []).append((item.index, item.pts, number))
        yield item


class SlowPackets(Element):
    """Takes its time for every packet, as a decoder that is too slow."""

    takes = PACKETS
    threaded = True

    def process(self, item: Packet) -> Iterator[Packet]:
        time.sleep(0.03 if item.stream == "live" else 0.0)
        yield item


def run(slow: Slow, clip: Path, seconds: float, rate: float, first: Element | None = None) -> tuple[Run, Late, Paced]:
    source = Paced(stream="live", clip=str(clip), seconds=seconds, rate=rate)
    streams = flow.open(source, clip, name=["live", "file"])
    streams = streams.add(first, name="first") if first is not None else streams
    work = Run(streams.add(slow, name="slow").plan)
    late = Late()
    work.pipeline.tap("slow", lambda item: late(item) if getattr(item, "stream", "") == "live" else None)
    with work.pipeline as pipeline:
        assert pipeline.wait(20)
    return work, late, source


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("live") / "clip.mp4"
    write_video(path, numbered_pictures(60, 160, 120), fps=30, gop=10, options={"bf": "0"})
    return path


def test_what_follows_is_too_slow(clip: Path) -> None:
    """45 pictures a second come and 16 can be taken: some are dropped behind the decoder, lateness stays bounded.

    Before the decoder there is room for as many as come while a busy machine stands still for two seconds.
    """
    slow = Slow(seconds=0.06)
    work, late, _ = run(slow, clip, 3.0, 1.5)
    stats = work.pipeline.stats()
    assert stats["decode"].drops == 0, "no packet is dropped: every picture is decoded, some go no further"
    sent, seen = stats["live"].items_out, slow.seen["live"]
    assert stats["slow"].drops == sent - len(seen) > 50
    assert all(after[0] > before[0] and after[1] > before[1] for before, after in pairwise(seen))
    assert [number for _, _, number in slow.seen["file"]] == list(range(60)), "a file beside it waits and loses nothing"
    settled = Late(late.all[len(late.all) // 2 :])
    # the median: while a busy machine stands still, some must be late
    assert settled.percentile(50) < 2000, "a few hundred ms, or some more on a busy machine; over 3 s if all were kept"


def test_decoding_itself_is_too_slow(clip: Path) -> None:
    """Packets are dropped up to key pictures, so that all that is decoded is whole."""
    slow = Slow(seconds=0.0)
    work, late, _ = run(slow, clip, 3.0, 4.0, SlowPackets())
    stats = work.pipeline.stats()
    sent, seen = stats["live"].items_out, slow.seen["live"]
    assert stats["first"].drops == sent - len(seen) > 50
    lost = [after[2] for before, after in pairwise(seen) if (after[2] - before[2]) % 60 != 1]
    assert lost and all(number % 10 == 0 for number in lost), "after each gap stands a key picture"
    assert [number for _, _, number in slow.seen["file"]] == list(range(60))
    settled = Late(late.all[len(late.all) // 2 :])
    assert settled.percentile(50) < 2000, "some hundred ms, or more on a busy machine; over 5 s if all were kept"


def test_a_chain_in_time_drops_nothing(clip: Path, tmp_path: Path) -> None:
    played = play(numbered_clip(tmp_path / "street.mp4", 30, 160, 96, fps=30, gop=10), 0.5, rate=0.5, every=4)
    assert played.sent > 5 and played.dropped == 0
    assert len(played.late.all) == played.sent and 0 < played.late.inferred < played.sent
    assert 0 < played.late.percentile(50) < 2000
