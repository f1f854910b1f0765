"""Models that change in a running pipeline: nothing is lost, order stays."""

from __future__ import annotations

import os
import threading
import time
from itertools import pairwise

import numpy as np
import pytest

import millrace
from millrace.elements import _renew
from millrace.testing.models import make_detector

LEFT = [(4.0, 4.0, 20.0, 20.0, 0.9, 1)]
RIGHT = [(40.0, 4.0, 60.0, 20.0, 0.9, 3)]


@pytest.fixture
def pushing():
    """A source that pushes until it is told to end; `push.count` pictures were pushed. It waits, so none is dropped."""
    source = millrace.Push(stream="cam", fps=200)
    stop = threading.Event()

    def push():
        while not stop.is_set():
            source.push(np.full((48, 64, 3), 90, np.uint8))
            push.count += 1
            time.sleep(0.002)
        source.end()

    push.count = 0
    thread = threading.Thread(target=push)
    thread.start()
    yield source, push, stop, thread
    stop.set()
    thread.join(5)


def until(done):
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def test_no_frame_is_lost_while_models_change(tmp_path, pushing, monkeypatch):
    monkeypatch.setattr(_renew, "LOOK", 0.02)
    source, push, stop, thread = pushing
    model = make_detector(tmp_path / "a.onnx", LEFT, classes=5)
    other = make_detector(tmp_path / "b.onnx", RIGHT, family="yolov8", width=96, classes=5)
    seen = []
    flow = millrace.open(source).infer(model, name="infer", watch=True)
    run = flow.each(lambda frame: seen.append((frame.index, frame.objects[0].class_id))).start()

    until(lambda: any(label == 1 for _, label in seen))
    for name, label in ((other, 3), (model, 1), (other, 3), (model, 1)):
        run.pipeline.set("infer", model=name)
        now = len(seen)
        until(lambda now=now, label=label: len(seen) > now + 12 and seen[-1][1] == label)
    os.replace(make_detector(tmp_path / "c.onnx", RIGHT, classes=5), model)  # the file of the model that is set
    until(lambda: seen[-1][1] == 3)
    stop.set()
    thread.join(5)
    summary = run.finish(20)
    assert [index for index, _ in seen] == list(range(push.count))
    assert summary.streams["cam"].frames_out == push.count and source.dropped == 0
    changes = [b for (_, a), (_, b) in pairwise(seen) if a != b]
    assert changes == [3, 1, 3, 1, 3]
