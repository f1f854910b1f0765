"""Objects of a whole batch made at once are those that single frames give; where second models run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from millrace.elements import _results
from millrace.elements._results import Results
from millrace.elements._units import Unit
from millrace.elements.infer import Infer
from millrace.media import Detections, Frame, Image, InputSpec
from millrace.media.tensor import place

SPEC = InputSpec(64, 48)


def units(seed, alike=True):
    rng = np.random.default_rng(seed)
    out = []
    for n in range(7):
        width = 128 if alike or n % 2 else 100
        corners = rng.uniform(-20, 60, (rng.integers(0, 6), 2))
        boxes = np.hstack([corners, corners + rng.uniform(-4, 30, corners.shape)]).astype(np.float32)
        count = len(boxes)
        scores, classes = rng.random(count).astype(np.float32), rng.integers(0, 3, count)
        frame = Frame("a", n, n, Image("GRAY8", [np.zeros((96, width), np.uint8)], width, 96))
        unit = Unit(frame, placement=place(width, 96, SPEC), answer=Detections(boxes, scores, classes))
        out.append(unit)
    return out


def plain(objects):
    return [
        (o.box.tolist(), o.box.dtype, o.detected_box.tolist(), o.class_id, o.label, o.confidence, o.stage, o.parent)
        for o in objects
    ]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_batch_gives_what_its_frames_give(seed, alike, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(_results, "native", None)
    reader = SimpleNamespace(limits=None, names={0: "person", 1: "car"})
    results = Results(reader, SPEC, "detector")
    many = units(seed, alike)
    together = results.told_all(many)
    alone = [results.told(unit) for unit in many]
    assert [plain(objects) for objects in together] == [plain(objects) for objects in alone]
    assert sum(map(len, together)) > 3
    for objects in together:  # each has memory of its own
        assert all(not np.shares_memory(o.box, o.detected_box) for o in objects)


@pytest.mark.skipif(_results.native is None, reason="the C part was not built: no compiler")
@pytest.mark.parametrize("fit", ["stretch", "letterbox", "letterbox-top-left"])
def test_boxes_mapped_in_c_are_those_of_numpy(fit, monkeypatch):
    rng = np.random.default_rng(7)
    placement = place(1918, 1081, InputSpec(640, 352, fit=fit))
    many = [rng.uniform(-100, 700, (n, 4)).astype(np.float32) for n in (3, 0, 40, 1)]
    many[2][0] = np.nan, np.inf, -np.inf, 0
    many[2][1] = placement.offset_x, placement.offset_y, 640, 352
    many[2][2] = -0.0, -0.0, 640, 352
    answers = []
    for way in (_results.native, None):
        monkeypatch.setattr(_results, "native", way)
        answers.append(_results._boxes_in_source(many, placement))
    (boxes, own, inside), (theirs, copies, shown) = answers
    assert inside == shown and 0 < sum(inside) < len(inside)
    assert [b.tobytes() for b in boxes] == [b.tobytes() for b in theirs]
    assert [b.tobytes() for b in own] == [b.tobytes() for b in copies] == [b.tobytes() for b in boxes]
    assert all(b.flags.writeable and b.dtype == np.float32 and b.shape == (4,) for b in boxes + own)


@pytest.mark.skipif(_results.native is None, reason="the C part was not built: no compiler")
def test_boxes_that_are_no_float32_are_left_to_numpy():
    placement = place(64, 64, InputSpec(64, 64))
    for boxes in (np.zeros((2, 4)), np.zeros((4, 2), np.float32).T, np.zeros(4, np.float32), None):
        assert _results.native.to_source([np.zeros((1, 4), np.float32), boxes], *placement) is None
    assert _results.native.to_source([], *placement) == (bytearray(), [])


def test_a_second_model_on_a_gpu_needs_no_thread_of_its_own():
    on = {"stage": "cars"}
    assert Infer(model="a.onnx").own_thread
    assert Infer(model="a.onnx", device="cuda:0").own_thread
    assert Infer(model="a.onnx", on=on).own_thread
    assert not Infer(model="a.onnx", on=on, device="cuda:1").own_thread
