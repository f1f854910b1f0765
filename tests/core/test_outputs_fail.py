"""An output that fails is broken off; the others go on."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from pictures import Pictures

from millrace.core import Element, ElementError, Graph, Pipeline, StreamEnd, StreamStart, setting, state
from millrace.core.errors import OutputError
from millrace.core.item import Item


class Writes(Element):
    """Fails where it is told to."""

    writes: ClassVar[bool] = True

    fail: str = setting(default="", help="the method that fails")
    after: int = setting(default=2, help="frames that are written before process fails")
    seen: int = state(int)
    closed: int = state(int)

    def _at(self, place: str) -> None:
        if place == self.fail:
            raise OutputError("out.bin", OSError(errno.ENOSPC, "No space left on device"))

    def start_stream(self, start: StreamStart) -> StreamStart:
        self._at("start")
        return start

    def process(self, item: Any) -> Iterator[Item]:
        if self.seen == self.after:
            self._at("process")
        self.seen += 1
        yield item
        if self.seen == self.after:
            self._at("after")

    def end_stream(self, stream: str) -> Iterator[Item]:
        self._at("end")
        yield from ()

    def close(self) -> None:
        self.closed += 1
        if self.closed == 1:
            self._at("close")


class WritesFrames(Element):
    writes: ClassVar[bool] = True

    def process_frame(self, frame: Any) -> None:
        if frame.index == 2:
            raise OutputError("out.bin", OSError(errno.ENOSPC, "No space left on device"))


class WritesItems(Element):
    writes: ClassVar[bool] = True
    waiting: list[int] = state(list)

    def process_frame(self, frame: Any) -> None:
        self.waiting.append(frame.index)

    def finish_item(self) -> None:
        if 2 in self.waiting:
            raise OutputError("out.bin", OSError(errno.ENOSPC, "No space left on device"))


class Keep(Element):
    items: list[Any] = state(list)

    def process(self, item: Any) -> Iterator[Item]:
        self.items.append(item)
        yield item


class Tail(Element):
    writes: ClassVar[bool] = True


def pipeline(*elements: Element, **settings: Any) -> tuple[Pipeline, list[Any]]:
    graph, markers = Graph(), []
    for number, element in enumerate(elements):
        graph.add(f"e{number}", element)
        if number:
            graph.link(f"e{number - 1}", f"e{number}")
    made = Pipeline(graph)
    made.add_source("a", Pictures(stream="a", count=6, **settings), into="e0")
    made.tap(f"e{len(elements) - 1}", markers.append)
    return made, markers


@pytest.mark.parametrize(
    "make",
    [
        *(lambda p=place: Writes(fail=p) for place in ("start", "process", "after", "end", "close")), WritesFrames,
        WritesItems,
    ],
)  # fmt: skip
def test_frames_pass_by_a_broken_output_and_none_is_lost(make: Callable[[], Element]) -> None:
    keep = Keep()
    made, passed = pipeline(make(), keep)
    made.start()
    assert made.wait(30)
    assert [item.index for item in keep.items] == list(range(6))
    assert isinstance(passed[0], StreamStart) and isinstance(passed[-1], StreamEnd)
    assert sum(isinstance(item, StreamStart | StreamEnd) for item in passed) == 2
    [error] = made.errors
    assert isinstance(error.error, OutputError) and error.text == "e0: cannot write out.bin: No space left on device"
    assert made.state == "stopped" and not made._roll


def test_a_broken_output_is_closed_at_once_and_gets_nothing_more() -> None:
    broken = Writes(fail="process")
    made, _ = pipeline(broken, Keep())
    made.start()
    assert made.wait(30) and broken.seen == 2 and broken.closed >= 1


def test_the_last_output_fails_the_pipeline() -> None:
    made, _ = pipeline(Keep(), Writes(fail="process"))
    made.start()
    with pytest.raises(ElementError, match=r"^e1.*: cannot write out\.bin: No space"):
        made.wait(30)


def test_an_output_that_works_is_reason_enough_to_go_on() -> None:
    made, passed = pipeline(Tail(), Writes(fail="process"))
    made.start()
    assert made.wait(30) and len(passed) == 8


def test_one_branch_breaks_and_the_other_gets_everything() -> None:
    graph, keep = Graph(), Keep()
    for name, element in {"in": Keep(), "bad": Writes(fail="process"), "good": keep}.items():
        graph.add(name, element)
    graph.link("in", "bad")
    graph.link("in", "good")
    made = Pipeline(graph)
    made.add_source("a", Pictures(stream="a", count=6), into="in")
    made.start()
    assert made.wait(30) and len(keep.items) == 6 and len(made.errors) == 1


def test_an_element_that_is_no_output_fails_as_before() -> None:
    class Other(Element):
        def process(self, item: Any) -> Iterator[Item]:
            raise OutputError("x", OSError(errno.EIO, "Input/output error"))
            yield item

    made, _ = pipeline(Other(), Keep())
    made.start()
    with pytest.raises(ElementError, match="Input/output error"):
        made.wait(30)


def test_one_that_cannot_even_be_closed_tells_its_own_error_first_and_the_others_go_on() -> None:
    class Torn(Writes):
        def close(self) -> None:
            raise ValueError("no trailer was written")

    graph, warnings, keep = Graph(), list[str](), Keep()
    for name, element in {"in": Keep(), "bad": Torn(fail="process"), "good": keep}.items():
        graph.add(name, element)
    graph.link("in", "bad")
    graph.link("in", "good")
    made = Pipeline(graph)
    made.bus.subscribe(lambda message: warnings.append(message.text) if message.kind == "warning" else None)
    made.add_source("a", Pictures(stream="a", count=6), into="in")
    made.start()
    with pytest.raises(ElementError, match=r"bad: ValueError: no trailer"):  # it is closed once more at the end
        made.wait(30)
    assert len(keep.items) == 6
    assert "bad: closing it failed, too: ValueError: no trailer was written" in warnings
    assert made.errors[0].text == "bad: cannot write out.bin: No space left on device"
