"""Counting at the ends of a pipeline."""

from __future__ import annotations

import pytest
from pictures import Mark, Pictures

import millrace
from millrace.cli.report import show_summary
from millrace.core import Caps, StreamEnd, StreamStart
from millrace.elements.batch import Batch
from millrace.media import Batch as Frames
from millrace.media import Event
from millrace.meter import Counter
from millrace.summary import Run


def test_a_counter_takes_markers_frames_and_batches() -> None:
    from pictures import frame

    counter = Counter()
    counter(StreamStart("a", Caps("frames", frames=9)))
    crossing = frame("a", 0)
    crossing.events.append(Event("line", "a", 0, "door", 1, "car", "out"))
    counter(crossing)
    counter(Frames([frame("a", 1), frame("b", 0)]))
    counter(StreamEnd("a"))
    assert (counter.tallies["a"].frames, counter.tallies["a"].total, counter.tallies["b"].frames) == (2, 9, 1)
    assert counter.tallies["a"].events == {("line", "door", "out"): 1}


def test_frames_are_counted_through_batches() -> None:
    flow = millrace.open(Pictures(stream="a"), Pictures(stream="b"), name=["a", "b"])
    summary = flow.add(Batch(size=2)).add(Mark()).run()
    assert [(s.frames_in, s.frames_out, s.objects) for s in summary.streams.values()] == [(5, 5, 5)] * 2


def test_total_is_known_when_every_stream_says_it() -> None:
    flow = millrace.open(Pictures(stream="a"), Pictures(stream="b", count=3), name=["a", "b"])
    run = Run(flow.plan)
    assert run.total is None
    run.run()
    assert run.total == 8 and run.frames == 8


def test_the_table_counts_lines_and_names_losses(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    flow = millrace.open(Pictures(stream="a"), Pictures(stream="b", fail_at=1), name=["a", "b"])
    show_summary(flow.add(Mark()).run(check=False), sys.stdout)
    said = capsys.readouterr().out.splitlines()
    assert said[1].split() == ["a", "5", "5", "5", "1", "0", "–", "–", "door:", "1", "in"]
    assert said[2].split() == ["b", "1", "1", "1", "0", "0", "–", "–", "not", "read", "to", "its", "end"]
    assert said[3].startswith("6 frames in ")
