"""limit, function, discard and pull, each alone."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pictures import frame

from millrace.core import ConfigError, Context
from millrace.elements.discard import Discard
from millrace.elements.function import Function
from millrace.elements.limit import Limit
from millrace.elements.pull import Pull
from millrace.media import Batch, Frame


def opened(element: Any, **hooks: Any) -> Any:
    element.open(Context("test", **hooks))
    return element


def indices(items: list[Any]) -> list[int]:
    return [item.index for item in items]


def test_limit_passes_so_many_frames_of_each_stream_and_finishes_it_once() -> None:
    finished: list[str] = []
    limit = opened(Limit(count=2), finish=finished.append)
    out = [kept for index in range(4) for stream in "ab" for kept in limit.process(frame(stream, index))]
    assert [(item.stream, item.index) for item in out] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert finished == ["a", "b"]
    list(limit.end_stream("a"))
    assert indices(list(limit.process(frame("a", 0)))) == [0]


def test_limit_counts_the_frames_of_batches() -> None:
    limit = opened(Limit(count=2))
    [batch] = limit.process(Batch([frame("a", index) for index in range(3)]))
    assert indices(batch.frames) == [0, 1]
    assert list(limit.process(Batch([frame("a", 3)]))) == []


def test_function_keeps_replaces_and_drops() -> None:
    other = frame("a", 7)
    answers: dict[int, Any] = {0: None, 1: True, 2: False, 3: other}
    function = opened(Function(call=lambda item: answers[item.index]))
    assert [indices(list(function.process(frame("a", n)))) for n in range(4)] == [[0], [1], [], [7]]
    [batch] = function.process(Batch([frame("a", n) for n in range(4)], {"k": 1}))
    assert indices(batch.frames) == [0, 1, 7] and batch.extras == {"k": 1}
    assert list(function.process(Batch([frame("a", 2)]))) == []


def test_function_that_answers_otherwise_is_named() -> None:
    def wrong(item: Frame) -> Any:
        return 5

    with pytest.raises(TypeError, match="wrong returned int"):
        list(opened(Function(call=wrong)).process(frame()))


def test_function_by_its_import_path() -> None:
    function = opened(Function(call="pictures:frame"))
    assert function._call is frame
    for call, message in [
        ("pictures:frme", "pictures has no frme; it has: .*frame"),
        ("toys", "it is written package.module:name"),
        ("pictures:sys", "is not a function|has no sys"),
    ]:
        with pytest.raises(ConfigError, match=message):
            opened(Function(call=call))


def test_discard_gives_nothing() -> None:
    assert list(Discard().process(frame())) == []


def test_pull_gives_what_came_and_ends_when_closed() -> None:
    wakes: list[int] = []
    pull = opened(Pull(size=2), wake=lambda: wakes.append(1))
    assert pull.ready
    list(pull.process(frame("a", 0)))
    list(pull.process(Batch([frame("a", 1), frame("a", 2)])))
    assert not pull.ready
    frames = pull.frames()
    assert indices([next(frames), next(frames)]) == [0, 1]
    assert pull.ready and len(wakes) == 2
    pull.close()
    assert indices(list(frames)) == [2]


def test_pull_wakes_a_reader_that_waits() -> None:
    pull = opened(Pull())
    got: list[Frame] = []
    reader = threading.Thread(target=lambda: got.extend(pull.frames()))
    reader.start()
    list(pull.process(frame("a", 0)))
    pull.close()
    reader.join(5)
    assert not reader.is_alive() and indices(got) == [0]


def test_pull_that_was_never_opened_is_empty() -> None:
    pull = Pull()
    pull.close()
    assert list(pull.frames()) == []
