"""A model changes while it runs: by `set`, by a new file, by an engine that was built. No frame is lost."""

from __future__ import annotations

import os
import shutil
import threading
import time

import numpy as np
import pytest

from millrace.core import Caps, Context, StreamStart
from millrace.core.errors import ConfigError
from millrace.elements import _model, _renew
from millrace.elements.infer import Infer
from millrace.engines import Built, Engine, cache
from millrace.engines.share import open_sessions
from millrace.media import Frame, Image
from millrace.runtimes.onnx import OnnxRuntime
from millrace.testing.models import make_detector, make_level_model

LEFT = [(4.0, 4.0, 20.0, 20.0, 0.9, 1)]
RIGHT = [(40.0, 4.0, 60.0, 20.0, 0.9, 3)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_renew, "LOOK", 0.02)


def picture(index=0, level=100, size=64):
    return Frame("a", index, index * 40_000_000, Image("BGR", [np.full((size, size, 3), level, np.uint8)], size, size))


@pytest.fixture
def opened():
    elements, warnings = [], []
    woken = threading.Event()

    def make(live=True, **settings):
        element = Infer(**settings)
        element.open(Context("infer", woken.set, lambda text, stream: warnings.append(text)))
        element.start_stream(StreamStart("a", Caps("frames"), live=live))
        elements.append(element)
        return element

    make.warnings = warnings
    yield make
    for element in elements:
        element.close()
    assert open_sessions() == 0


class Held:
    """Stands before a runtime and holds its calls until they are let go."""

    def __init__(self, runtime):
        self.runtime, self.gate, self.closed = runtime, threading.Event(), False

    def __getattr__(self, name):
        return getattr(self.runtime, name)

    def submit(self, inputs, done=None):
        def make():
            assert self.gate.wait(10)
            return inputs()

        return self.runtime.submit(make, done)

    def close(self):
        self.closed = True
        self.runtime.close()


def apply(element, **settings):
    element.apply(element.prepare(settings))


def until(element, done, seconds=30.0):
    """Give the element its wake-ups until something is so; what it yields."""
    deadline, out = time.monotonic() + seconds, []
    while not done():
        assert time.monotonic() < deadline, "it did not come"
        out += list(element.on_wake())
        time.sleep(0.01)
    return out


def test_a_new_model_takes_over_between_two_items_and_calls_under_way_end_on_the_old(opened, tmp_path):
    old = make_detector(tmp_path / "old.onnx", LEFT, classes=5)
    new = make_detector(tmp_path / "new.onnx", RIGHT, family="yolov8", width=96, height=64, classes=5)  # another shape
    element = opened(model=old)
    held = element.loaded.runtime = Held(element.loaded.runtime)
    out = list(element.process(picture(0))) + list(element.process(picture(1)))
    assert out == []
    apply(element, model=new)
    out += list(element.process(picture(2)))
    assert not held.closed  # its calls are not done
    held.gate.set()
    out += until(element, lambda: not element.waiting)
    list(element.on_wake())
    assert held.closed
    assert [(f.index, f.objects[0].class_id) for f in out] == [(0, 1), (1, 1), (2, 3)]
    assert {f.objects[0].stage for f in out} == {"old"}  # what others select by stays
    assert element.model == new


def test_a_new_model_is_made_ready_for_the_batches_that_come_before_it_takes_over(opened, tmp_path, monkeypatch):
    element = opened(model=make_detector(tmp_path / "old.onnx", LEFT, classes=5))
    new, made = make_detector(tmp_path / "new.onnx", RIGHT, classes=5), []
    monkeypatch.setattr(OnnxRuntime, "sizes", [1, 8], raising=False)
    monkeypatch.setattr(OnnxRuntime, "warm", lambda self, sizes: made.append(list(sizes)), raising=False)
    apply(element, model=new)
    assert made == [[1, 8]]
    assert through(element)[0].objects[0].class_id == 3

    def fails(self, sizes):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(OnnxRuntime, "warm", fails)
    with pytest.raises(ConfigError, match=r"old.onnx: CUDA out of memory"):
        apply(element, model=str(tmp_path / "old.onnx"))
    assert open_sessions() == 1


def test_a_model_that_is_wrong_changes_nothing(opened, tmp_path):
    element = opened(model=make_detector(tmp_path / "old.onnx", LEFT, classes=5), classes=["1"])
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ConfigError):
        element.prepare({"model": str(tmp_path / "bad.onnx")})
    with pytest.raises(ConfigError, match="has no class"):
        element.prepare({"model": make_level_model(tmp_path / "level.onnx"), "classes": ["car"]})
    assert open_sessions() == 1
    (frame,) = through(element)
    assert frame.objects[0].class_id == 1


def through(element):
    """What comes out for one picture."""
    out = list(element.process(picture()))
    return out + until(element, lambda: not element.waiting)


def test_settings_hold_for_the_new_model(opened, tmp_path):
    weak = [(4.0, 4.0, 20.0, 20.0, 0.5, 1)]
    element = opened(model=make_detector(tmp_path / "old.onnx", LEFT, classes=5), confidence=0.6)
    apply(element, model=make_detector(tmp_path / "new.onnx", weak, classes=5))
    assert through(element)[0].objects == []


def test_a_new_file_is_taken_and_a_broken_one_is_one_warning(opened, tmp_path):
    model = make_detector(tmp_path / "m.onnx", LEFT, classes=5)
    element = opened(model=model, watch=True)

    def seen():
        return through(element)[0].objects[0].class_id

    assert seen() == 1
    before = element.loaded
    replace(make_detector(tmp_path / "new.onnx", RIGHT, classes=5), model)
    until(element, lambda: element.loaded is not before)
    assert seen() == 3

    (tmp_path / "broken.onnx").write_bytes(b"half a model")
    before = element.loaded
    replace(tmp_path / "broken.onnx", model)
    until(element, lambda: opened.warnings)
    time.sleep(0.1)
    list(element.on_wake())
    assert len(opened.warnings) == 1 and "the old model goes on" in opened.warnings[0]
    assert element.loaded is before and seen() == 3

    replace(make_detector(tmp_path / "again.onnx", LEFT, classes=5), model)
    until(element, lambda: element.loaded is not before)
    assert seen() == 1


def replace(new, old):
    os.replace(new, old)


def test_a_file_that_is_only_touched_is_not_loaded_again(opened, tmp_path):
    model = make_detector(tmp_path / "m.onnx", LEFT, classes=5)
    element = opened(model=model, watch=True)
    before = element.loaded
    os.utime(model, (1, 1))
    time.sleep(0.15)
    list(element.on_wake())
    assert element.loaded is before and not opened.warnings


def test_another_model_that_is_set_is_watched_from_then_on(opened, tmp_path):
    first = make_detector(tmp_path / "first.onnx", LEFT, classes=5)
    second = make_detector(tmp_path / "second.onnx", RIGHT, classes=5)
    element = opened(model=first, watch=True)
    apply(element, model=second)
    before = element.loaded
    replace(make_detector(tmp_path / "n.onnx", LEFT, classes=5), first)
    time.sleep(0.15)
    list(element.on_wake())
    assert element.loaded is before
    replace(make_detector(tmp_path / "n.onnx", LEFT, classes=4), second)
    until(element, lambda: element.loaded is not before)


def test_a_file_that_is_replaced_while_it_is_loaded_is_taken(opened, tmp_path, monkeypatch):
    model = make_detector(tmp_path / "m.onnx", LEFT, classes=5)
    new = make_detector(tmp_path / "new.onnx", RIGHT, classes=5)
    load = _model.open_engine

    def slowly(*arguments, **options):
        loaded = load(*arguments, **options)
        if os.path.exists(new):
            replace(new, model)
        return loaded

    monkeypatch.setattr(_model, "open_engine", slowly)
    element = opened(model=model, watch=True)
    before = element.loaded
    until(element, lambda: element.loaded is not before)
    assert through(element)[0].objects[0].class_id == 3


class Child:
    """Stands for the process that builds: it keeps an engine, at once or never."""

    def __init__(self, command, code=0, **kwargs):
        self.command, self.returncode = command, None
        self.code = code
        Child.last = self

    def poll(self):
        if self.returncode is None:
            if callable(self.code):
                self.returncode = self.code(self.command)
            else:
                self.returncode = self.code
        return self.returncode

    def kill(self):
        self.returncode = -9

    def wait(self):
        return self.returncode


def building(monkeypatch, code):
    monkeypatch.setattr(_renew, "SAMPLES", 2)
    monkeypatch.setattr(_renew, "APART", 1)
    monkeypatch.setattr(_renew.subprocess, "Popen", lambda command, **rest: Child(command, code))


def keeps(model, answers=None):
    """A build that keeps the model itself, or another one that answers otherwise, as an FP16 engine."""

    def code(command):
        samples = np.load(command[command.index("--calibrate") + 1])
        assert samples["pictures"].shape[0] == 2
        engine = Engine("onnx", {"parallel": 1, "threads": 1}, "fp16", file="half.onnx")
        with cache.kept(model, "cpu", {}) as place:
            shutil.copy(answers or model, place / "half.onnx")
            cache.write(place, Built(engine, place, "m.onnx", "cpu", time.time(), 60.0, 1.5), {})
        return 0

    return code


def test_a_live_stream_goes_on_with_the_engine_that_was_built(opened, tmp_path, monkeypatch):
    model = make_detector(tmp_path / "m.onnx", LEFT, classes=5)
    building(monkeypatch, keeps(model))
    element = opened(model=model, optimize="background")
    out = []
    for index in range(4):
        out += list(element.process(picture(index)))
    out += until(element, lambda: element.loaded.opened.built is not None)
    assert element.loaded.opened.built.engine.precision == "fp16"
    out += list(element.process(picture(4)))
    out += until(element, lambda: not element.waiting)
    assert [f.index for f in out] == list(range(5)) and all(f.objects[0].class_id == 1 for f in out)


def test_an_engine_does_not_change_under_a_file(opened, tmp_path, monkeypatch):
    model = make_detector(tmp_path / "m.onnx", LEFT, classes=5)
    building(monkeypatch, keeps(model))
    element = opened(model=model, optimize="background", live=False)
    for index in range(4):
        list(element.process(picture(index)))
    until(element, lambda: element.renewals._held is not None)
    assert element.loaded.opened.built is None


def test_an_engine_of_a_file_that_was_replaced_meanwhile_does_not_take_over(opened, tmp_path, monkeypatch):
    model = make_detector(tmp_path / "m.onnx", LEFT, classes=5)
    building(monkeypatch, keeps(model))
    element = opened(model=model, optimize="background", watch=True, live=False)
    for index in range(4):
        list(element.process(picture(index)))
    until(element, lambda: element.renewals._held is not None)
    before = element.loaded
    replace(make_detector(tmp_path / "new.onnx", RIGHT, classes=5), model)
    until(element, lambda: element.loaded is not before)
    element.renewals.streams["a"] = True  # nothing holds an engine back any more
    list(element.on_wake())
    assert element.loaded.opened.built is None and through(element)[0].objects[0].class_id == 3


def test_an_engine_that_answers_otherwise_does_not_take_over(opened, tmp_path, monkeypatch):
    model = make_detector(tmp_path / "m.onnx", LEFT, classes=5)
    building(monkeypatch, keeps(model, make_detector(tmp_path / "other.onnx", RIGHT, classes=5)))
    element = opened(model=model, optimize="background")
    for index in range(4):
        list(element.process(picture(index)))
    until(element, lambda: opened.warnings)
    assert "agrees with it by 0.000 only" in opened.warnings[0] and element.loaded.opened.built is None


def test_a_build_that_fails_is_a_warning_and_one_that_goes_on_ends_with_the_run(opened, tmp_path, monkeypatch):
    model = make_detector(tmp_path / "m.onnx", LEFT, classes=5)
    building(monkeypatch, 2)
    element = opened(model=model, optimize="background")
    for index in range(4):
        list(element.process(picture(index)))
    until(element, lambda: opened.warnings)
    assert "no engine takes over, the default goes on" in opened.warnings[0]

    first = Child.last
    building(monkeypatch, lambda command: None)
    other = opened(model=model, optimize="background")
    for index in range(4):
        list(other.process(picture(index)))
    until(other, lambda: Child.last is not first)
    other.close()
    assert Child.last.returncode == -9


def test_a_build_that_finds_nothing_faster_says_what_it_had_no_time_for(opened, tmp_path, monkeypatch):
    model = make_detector(tmp_path / "m.onnx", LEFT, classes=5)

    def code(command):
        left_out = [["onnx int8", "the 90 s were over"], ["openvino", "not installed"]]
        with cache.kept(model, "cpu", {}) as place:
            built = Built(
                Engine("onnx"), place, "m.onnx", "cpu", time.time(), 93.0, 1.0, {"report": {"left_out": left_out}}
            )
            cache.write(place, built, {})
        return 0

    building(monkeypatch, code)
    element = opened(model=model, optimize="background")
    for index in range(4):
        list(element.process(picture(index)))
    until(element, lambda: opened.warnings)
    assert "of those that were tried in 93 s; 1 engines were not tried" in opened.warnings[0]
    assert element.loaded.opened.built is None


def test_an_open_that_fails_leaves_no_session(tmp_path):
    element = Infer(model=make_detector(tmp_path / "m.onnx", LEFT, classes=5), classes=["car"])
    with pytest.raises(ConfigError, match="has no class"):
        element.open(Context("infer"))
    assert open_sessions() == 0


def test_a_fault_while_a_new_file_is_loaded_has_its_name(opened, tmp_path, monkeypatch):
    path = make_detector(tmp_path / "model.onnx", LEFT, classes=5)
    element = opened(model=path, watch=True)

    def load():
        raise AttributeError("no such thing")

    monkeypatch.setattr(element.renewals._watch, "_load", load)
    new = make_detector(tmp_path / "new.onnx", RIGHT, classes=5)
    os.replace(new, path)
    until(element, lambda: opened.warnings)
    assert "the old model goes on: AttributeError: no such thing" in opened.warnings[0]
