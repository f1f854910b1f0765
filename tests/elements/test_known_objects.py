"""Labels that are put onto an object as it is looked at are those that would be recalled when its item goes on."""

from __future__ import annotations

import random
from concurrent.futures import Future

import numpy as np
import pytest

from millrace.core import FRAMES, Caps, Context, StreamStart
from millrace.elements import _behind
from millrace.elements._memory import Memory
from millrace.elements.infer import Infer
from millrace.media import Batch, Frame, Image, Object, box
from millrace.testing.models import make_shade_model

CARD = "parser: classifier\ninput: {scale: 0.00392156862745098, mean: 0, std: 1}\nlabels: [dark, middle, light]\n"
LEVELS = (20, 128, 240)


class Reluctant:
    """Stands before a runtime and answers when it is told to; every so many calls fail."""

    parallel, batches = 3, True

    def __init__(self, runtime, failing=0):
        self.runtime, self.failing, self.calls, self.asked = runtime, failing, [], 0

    def __getattr__(self, name):
        return getattr(self.runtime, name)

    def submit(self, inputs, done=None):
        tensors = inputs() if callable(inputs) else inputs
        future = Future()
        self.asked += 1
        self.calls.append((future, tensors, self.failing and self.asked % self.failing == 0))
        return future

    def answer(self, number=0):
        future, tensors, fails = self.calls.pop(number)
        if fails:
            future.set_exception(ValueError("the model refused"))
        else:
            future.set_result(self.runtime.submit(lambda: tensors).result(10))


class AtTheEnd(Memory):
    """Knows no labels at once: each object's are recalled when its item goes on."""

    def keep(self, frame, found, answer):
        super().keep(frame, found, answer)
        for entry in self.of(frame.stream).values():
            entry.labels = None


@pytest.fixture
def opened(tmp_path):
    elements = []
    path = make_shade_model(tmp_path / "shade.onnx", {"shade": (0.1, 0.5, 0.9)})
    (tmp_path / "shade.yaml").write_text(CARD)

    def make(failing=0, at_the_end=False, live=False, **settings):
        element = Infer(model=path, **settings)
        elements.append(element)
        element.open(Context("infer"))
        element.loaded.runtime = Reluctant(element.loaded.runtime, failing)
        if at_the_end:
            element.memory = AtTheEnd(element.objects.card)
        for stream in "ab":
            element.start_stream(StreamStart(stream, Caps(FRAMES), live))
        return element

    yield make
    for element in elements:
        element.close()


def scene(stream, index, things):
    """A picture with things of (identity, left edge, size, grey level)."""
    pixels = np.full((64, 96, 3), 128, np.uint8)
    frame = Frame(stream, index, index, Image("BGR", [pixels], 96, 64))
    for number, left, size, level in things:
        pixels[4 : 4 + size, max(0, left) : left + size] = level
        corners = box([left, 4, left + size, 4 + size])
        frame.objects.append(Object(corners, 0, "car", 0.9, number, stage="cars"))
    return frame


def scenes(rng, count):
    """Batches of frames of two streams, sometimes several of one; things change their size and their level."""
    indices = {"a": 0, "b": 0}
    for _ in range(count):
        frames = []
        for _ in range(rng.randint(1, 4)):
            stream = rng.choice("ab")
            numbers = rng.sample([1, 2, 3, 4, None], rng.randint(0, 4))
            things = [(n, rng.choice((-30, 0, 50)), rng.choice((16, 20, 30)), rng.choice(LEVELS)) for n in numbers]
            frames.append(scene(stream, indices[stream], things))
            indices[stream] += rng.choice((1, 1, 3))
        yield Batch(frames)


def said(item):
    return [[[(label.value, label.confidence) for label in found.labels] for found in f.objects] for f in item.frames]


def played(element, seed):
    """What comes out, in words, where answers come late, and in which order is left to chance."""
    rng, out, live = random.Random(seed), [], element.renewals.streams["a"]

    def attempt(work):
        try:
            out.extend(said(item) for item in work)
        except ValueError as error:
            out.append(str(error))

    for number, batch in enumerate(scenes(rng, 40)):
        attempt(element.process(batch))
        for _ in range(rng.randint(0, 1 if live else 3)):
            if element.loaded.runtime.calls:
                element.loaded.runtime.answer(rng.randrange(len(element.loaded.runtime.calls)))
        attempt(element.on_wake())
        if not element.objects.card.wait and not live:  # a file's: answers are waited for
            while element.loaded.runtime.calls:
                element.loaded.runtime.answer()
        if number == 25:
            while element.loaded.runtime.calls:
                element.loaded.runtime.answer()
            while element.waiting:  # a failed call ends a flush: what is behind it is there still
                attempt(element.flush("a"))
                attempt(element.flush("b"))
            element.start_stream(StreamStart("a", Caps(FRAMES), live, epoch=1, discontinuity=True))
    return out


@pytest.mark.parametrize(("failing", "settings"), [
    (0, {"on": {}}),
    (0, {"on": {"refresh": 3, "growth": None}}),
    (4, {"on": {"refresh": 1, "min_width": 18}}),
    (4, {"on": {"refresh": 4}, "every": 2}),
    (0, {"on": {"wait": False}}),
    (0, {"on": {"wait": False, "refresh": 2}, "every": 2}),
])  # fmt: skip
def test_at_once_is_as_at_the_end(opened, failing, settings):
    for seed in range(6):
        at_once = played(opened(failing, **settings), seed)
        assert at_once == played(opened(failing, at_the_end=True, **settings), seed)
        flat = [labels for item in at_once if isinstance(item, list) for frame in item for labels in frame]
        assert any(flat) and (not failing or "the model refused" in at_once)


@pytest.mark.parametrize("on", [{"refresh": 1}, {"refresh": 3}, {}])
def test_so_it_is_in_live_streams_that_nobody_waits_for(opened, on, monkeypatch):
    monkeypatch.setattr(_behind, "_MOST", 2)  # so calls are given up
    for seed in range(12):
        at_once = played(opened(live=True, on={"wait": False, **on}), seed)
        assert at_once == played(opened(live=True, at_the_end=True, on={"wait": False, **on}), seed)
        assert any(labels for item in at_once for frame in item for labels in frame)


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_call_that_is_given_up_counts_for_the_frames_of_its_item(opened, at_the_end, monkeypatch):
    monkeypatch.setattr(_behind, "_MOST", 2)
    element = opened(live=True, at_the_end=at_the_end, on={"wait": False, "refresh": 3})
    one = (1, 0, 16, 20)
    items = [
        Batch([scene("a", 0, [one])]),
        Batch([scene("a", 1, [one, (2, 30, 16, 20)])]),
        Batch([scene("a", 2, [one, (3, 30, 16, 20)])]),  # now two calls are under way, for others
        Batch([scene("a", 2, [one]), scene("a", 3, [one])]),  # and it would be asked for again
    ]
    for number, item in enumerate(items):
        assert list(element.process(item)) == [item]
        if number == 0:
            element.loaded.runtime.answer()
    assert [[len(found.labels) for f in item.frames for found in f.objects] for item in items] == [
        [0], [1, 0], [1, 0], [0, 0],
    ]  # fmt: skip


@pytest.mark.parametrize("live", [True, False])
def test_a_call_behind_that_failed_is_told_once_and_made_again(opened, live):
    element = opened(failing=1, live=live, on={"wait": False})
    runtime = element.loaded.runtime
    things = [(1, 0, 16, 20)]
    list(element.process(Batch([scene("a", 0, things), scene("b", 0, things)])))
    runtime.answer()
    runtime.failing, failures, shown = 0, 0, []
    for index in range(1, 20):
        for stream in "ab":
            item = Batch([scene(stream, index, things)])
            try:
                list(element.process(item))
            except ValueError:
                failures += 1
            else:
                shown.append(len(item.frames[0].objects[0].labels))
            while runtime.calls:
                runtime.answer()
    assert failures == 1 and shown[-2:] == [1, 1]


def test_what_a_lost_item_would_have_asked_for_is_asked_for_again(opened):
    element = opened(failing=1, live=True, on={"wait": False})
    runtime, things = element.loaded.runtime, [(1, 0, 16, 20)]
    list(element.process(Batch([scene("b", 0, things)])))
    runtime.answer()
    runtime.failing = 0
    with pytest.raises(ValueError, match="refused"):  # after the object of the other stream was looked at
        list(element.process(Batch([scene("a", 0, things), scene("b", 1, things)])))
    assert not runtime.calls
    list(element.process(Batch([scene("a", 1, things)])))
    runtime.answer()
    item = Batch([scene("a", 2, things)])
    list(element.process(item))
    assert len(item.frames[0].objects[0].labels) == 1


def test_a_known_object_asks_nothing_and_waits_for_nothing(opened):
    element = opened(on={})
    first = Batch([scene("a", 0, [(1, 0, 16, 20)])])
    assert list(element.process(first)) == []
    element.loaded.runtime.answer()
    assert list(element.on_wake()) == [first]
    second = Batch([scene("a", 1, [(1, 2, 16, 240)])])
    assert element.ask(second.frames[0]) == []  # nothing is left to do
    assert said(second) == said(first) == [[[("dark", pytest.approx(1, abs=0.1))]]]


def test_an_object_whose_answer_is_awaited_gets_that_one(opened):
    element = opened(on={"refresh": 2})
    levels = (20, 20, 240, 20)
    items = [Batch([scene("a", n, [(1, 0, 16, level)])]) for n, level in enumerate(levels)]
    out = [*element.process(items[0])]
    element.loaded.runtime.answer()
    for item in items[1:]:
        out += element.process(item)
    assert out == items[:2]  # the third asked again, the fourth waits for it
    element.loaded.runtime.answer()
    out += element.on_wake()
    assert out == items
    assert [said(item)[0][0][0][0] for item in items] == ["dark", "dark", "light", "light"]
