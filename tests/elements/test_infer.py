"""The infer element: right boxes, order, overlap, what is held and given back, errors at open."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from millrace.core import (
    FRAMES,
    Caps,
    ConfigError,
    Context,
    Element,
    Graph,
    Pipeline,
    Source,
    StreamStart,
    setting,
    state,
)
from millrace.elements._model import load_model
from millrace.elements.infer import Infer
from millrace.imaging.cpu import open_imaging
from millrace.media import Batch, Frame, Image
from millrace.testing.models import FAMILIES, make_detector, make_level_model

BOXES = [(8.0, 12.0, 24.0, 44.0, 0.9, 2), (36.0, 20.0, 56.0, 50.0, 0.7, 0)]


def picture(index=0, stream="a", level=100, width=64, height=64):
    pixels = np.full((height, width, 3), level, np.uint8)
    return Frame(stream, index, index * 40_000_000, Image("BGR", [pixels], width, height))


@pytest.fixture
def opened():
    """Opens elements as the engine would; `opened.woken` counts wake-ups."""
    elements = []
    woken = threading.Semaphore(0)

    def make(**settings):
        element = Infer(**settings)
        elements.append(element)
        element.open(Context("infer", woken.release))
        return element

    make.woken = woken
    yield make
    for element in elements:
        element.close()


def drained(element, items, stream="a"):
    """What comes out when the items go in and the stream ends."""
    out = [o for item in items for o in element.process(item)]
    return out + list(element.end_stream(stream))


@pytest.mark.parametrize("family", FAMILIES)
def test_boxes_of_every_family_in_source_pixels(opened, tmp_path, family):
    element = opened(model=make_detector(tmp_path / "m.onnx", BOXES, family, classes=5))
    (frame,) = drained(element, [picture(width=128, height=128)])
    assert [o.class_id for o in frame.objects] == [2, 0]
    for found, (*box, score, _) in zip(frame.objects, BOXES, strict=True):
        np.testing.assert_allclose(found.box, np.array(box) * 2, atol=1e-2)  # the picture is twice the input
        np.testing.assert_array_equal(found.box, found.detected_box)
        assert found.confidence == pytest.approx(score, abs=1e-5)
        assert (found.stage, found.label, found.id) == ("m", str(found.class_id), None)
    assert frame.inferred == ["m"]


def test_boxes_outside_the_picture_are_cut_or_dropped(opened, tmp_path):
    boxes = [(-20.0, 10.0, 20.0, 30.0, 0.9, 0), (4.0, 50.0, 30.0, 62.0, 0.8, 1)]
    element = opened(model=make_detector(tmp_path / "m.onnx", boxes, "end2end"))
    (frame,) = drained(element, [picture(width=64, height=32)])  # the lower box lies in the padding
    assert len(frame.objects) == 1
    np.testing.assert_allclose(frame.objects[0].box, [0, 0, 20, 14], atol=1e-3)


def test_each_frame_keeps_its_own_answer_and_its_place(opened, tmp_path):
    element = opened(model=make_level_model(tmp_path / "m.onnx"), parallel=2)
    levels = [(37 * n) % 250 for n in range(30)]
    frames = [picture(n, level=level, width=32, height=32) for n, level in enumerate(levels)]
    out = drained(element, frames)
    assert [f.index for f in out] == list(range(30))
    np.testing.assert_allclose([f.objects[0].box[0] for f in out], np.array(levels) * 16 / 255, atol=0.05)


def test_a_batch_leaves_as_the_same_batch(opened, tmp_path):
    element = opened(model=make_level_model(tmp_path / "m.onnx"))
    batches = [Batch([picture(n, s, level=20 * n, width=32, height=32) for s in "ab"]) for n in range(5)]
    out = drained(element, batches)
    assert out == batches
    assert all(len(f.objects) == 1 for b in out for f in b.frames)


def test_every_second_frame_is_inferred_and_all_leave_in_order(opened, tmp_path):
    element = opened(model=make_detector(tmp_path / "m.onnx", BOXES), every=2)
    out = drained(element, [picture(n) for n in range(5)])
    assert [(f.index, len(f.objects), f.inferred) for f in out] == [
        (n, 2 if n % 2 == 0 else 0, ["m"] if n % 2 == 0 else []) for n in range(5)
    ]


class Held:
    """Stands before a runtime and holds its calls until they are let go."""

    def __init__(self, runtime):
        self.runtime = runtime
        self.gates = []

    def __getattr__(self, name):
        return getattr(self.runtime, name)

    def submit(self, inputs, done=None):
        gate = threading.Event()
        self.gates.append(gate)

        def make():
            assert gate.wait(10)
            return inputs()

        return self.runtime.submit(make, done)


def test_results_wait_for_the_one_before_and_wake_the_engine(opened, tmp_path):
    element = opened(model=make_level_model(tmp_path / "m.onnx"), parallel=2)
    element.loaded.runtime = held = Held(element.loaded.runtime)
    frames = [picture(n, width=32, height=32) for n in range(3)]
    for n, frame in enumerate(frames):
        assert element.ready, f"frame {n}: two run and one waits"
        assert list(element.process(frame)) == []
    assert not element.ready
    held.gates[1].set()
    assert opened.woken.acquire(timeout=10)
    assert list(element.on_wake()) == []  # the first is not done
    held.gates[0].set()
    held.gates[2].set()
    assert all(opened.woken.acquire(timeout=10) for _ in range(2))
    assert list(element.on_wake()) == frames
    assert element.ready


@pytest.mark.parametrize(("live", "more"), [(True, False), (False, True)])
def test_on_a_gpu_live_streams_have_no_call_beyond_those_that_run(opened, tmp_path, live, more):
    element = opened(model=make_level_model(tmp_path / "m.onnx"), parallel=2)
    element.device = "cuda:0"
    element.start_stream(StreamStart("a", Caps("frames"), live=live))
    element.loaded.runtime = held = Held(element.loaded.runtime)
    assert not element.occupied
    for n in range(2):
        assert element.ready
        assert list(element.process(picture(n, width=32, height=32))) == []
        assert element.occupied is (live or n == 1)
    assert element.ready is more
    for gate in held.gates:
        gate.set()
    list(element.end_stream("a"))


def test_flush_gives_back_up_to_the_last_item_of_the_stream(opened, tmp_path):
    element = opened(model=make_level_model(tmp_path / "m.onnx"), parallel=1)
    element.loaded.runtime = held = Held(element.loaded.runtime)
    items = [picture(0, "a"), picture(0, "b"), picture(1, "a"), picture(1, "b")]
    for item in items:
        list(element.process(item))
    for gate in held.gates[:3]:
        gate.set()
    assert list(element.flush("a")) == items[:3]
    assert list(element.flush("a")) == []
    held.gates[3].set()
    assert list(element.end_stream("b")) == items[3:]


def test_an_error_of_a_call_is_raised_in_its_place_and_later_frames_go_on(opened, tmp_path):
    element = opened(model=make_level_model(tmp_path / "m.onnx"), parallel=1)
    element.loaded.runtime = held = Held(element.loaded.runtime)
    bad, good = picture(0), picture(1, width=32, height=32)
    element.imaging["nowhere"] = element.imaging.of(good.image)
    bad.image.memory = "nowhere"
    assert [o for item in (bad, good) for o in element.process(item)] == []
    for gate in held.gates:
        gate.set()
    with pytest.raises(ValueError, match="nowhere"):
        list(element.flush("a"))
    assert list(element.flush("a")) == [good] and len(good.objects) == 1


def test_settings_card_and_recognition_in_that_order(opened, tmp_path):
    path = make_detector(tmp_path / "m.onnx", BOXES, "yolox", classes=5)
    (tmp_path / "m.yaml").write_text("confidence: 0.8\nlabels: [dog, cat, car, bus, cow]\n")
    (frame,) = drained(opened(model=path), [picture()])
    assert [(o.label, o.class_id) for o in frame.objects] == [("car", 2)]
    (frame,) = drained(opened(model=path, confidence=0.5, classes=["dog"], stage="people"), [picture()])
    assert [(o.label, o.stage) for o in frame.objects] == [("dog", "people")]
    (frame,) = drained(opened(model=path, confidence=0.5, classes=[2], labels=list("xyzuv")), [picture()])
    assert [o.label for o in frame.objects] == ["z"]


def test_a_card_may_stand_for_the_model(opened, tmp_path):
    make_detector(tmp_path / "weights.onnx", BOXES, "ssd", classes=5)
    (tmp_path / "people.yaml").write_text("model: weights.onnx\nbackground: 5\nparser: ssd\nthresholds: {2: 0.95}\n")
    (frame,) = drained(opened(model=str(tmp_path / "people.yaml")), [picture()])
    assert [o.class_id for o in frame.objects] == [0]


def test_names_from_the_exporter_and_of_coco(opened, tmp_path):
    named = make_detector(tmp_path / "n.onnx", BOXES, classes=5, metadata={"names": "{0: 'ant', 2: 'bee'}"})
    assert [o.label for o in drained(opened(model=named), [picture()])[0].objects] == ["bee", "ant"]
    coco = make_detector(tmp_path / "c.onnx", BOXES)
    assert [o.label for o in drained(opened(model=coco), [picture()])[0].objects] == ["car", "person"]


def test_live_changes_take_hold_and_wrong_ones_are_refused(opened, tmp_path):
    element = opened(model=make_detector(tmp_path / "m.onnx", BOXES))
    element.apply(element.prepare({"confidence": 0.8, "every": 1}))
    (frame,) = drained(element, [picture()])
    assert len(frame.objects) == 1
    with pytest.raises(ConfigError, match="no class 'unicorn'"):
        element.prepare({"classes": ["unicorn"]})


def test_an_element_can_be_opened_again(opened, tmp_path):
    element = opened(model=make_detector(tmp_path / "m.onnx", BOXES))
    element.close()
    element.open(Context("infer"))
    (frame,) = drained(element, [picture()])
    assert len(frame.objects) == 2


class Pictures(Source):
    """Grey pictures, each of its own level."""

    stream: str = setting(default="a")
    count: int = setting(default=40)

    def read(self):
        yield StreamStart(self.stream, Caps(FRAMES))
        for n in range(self.count):
            yield picture(n, self.stream, level=5 * n, width=32, height=32)


class Collect(Element):
    """Keeps what comes."""

    seen: list = state(list)

    def process(self, item):
        self.seen.append(item)
        yield from ()


def test_two_streams_through_the_engine_lose_nothing(tmp_path):
    graph, sink = Graph(), Collect()
    graph.add("infer", Infer(model=make_level_model(tmp_path / "m.onnx"), parallel=2))
    graph.add("sink", sink)
    graph.link("infer", "sink")
    pipeline = Pipeline(graph)
    for name, count in (("a", 40), ("b", 15)):
        pipeline.add_source(name, Pictures(stream=name, count=count), "infer")
    try:
        pipeline.start()
        assert pipeline.wait(20), pipeline.stats()
    finally:
        pipeline.stop()
    for name, count in (("a", 40), ("b", 15)):
        frames = [f for f in sink.seen if f.stream == name]
        assert [f.index for f in frames] == list(range(count))
        left = [f.objects[0].box[0] for f in frames]
        np.testing.assert_allclose(left, np.arange(count) * 5 * 16 / 255, atol=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "nowhere.onnx"}, r"nowhere\.onnx"),
        ({"model": "{path}", "parser": "yolo8"}, r"m\.onnx: parser 'yolo8' is not known. Did you mean 'yolov8'"),
        ({"model": "{path}", "classes": ["unicorn"]}, r"m\.onnx has no class 'unicorn'"),
        ({"model": "{path}", "device": "tpu"}, "device 'tpu' is not known"),
    ],
)
def test_mistakes_are_found_at_open(opened, tmp_path, settings, message):
    path = make_detector(tmp_path / "m.onnx", BOXES)
    with pytest.raises(ConfigError, match=message):
        opened(**{k: v.format(path=path) if isinstance(v, str) else v for k, v in settings.items()})


def test_a_fixed_batch_is_filled_up(opened, tmp_path):
    element = opened(model=make_detector(tmp_path / "m.onnx", BOXES, batch=4))
    batch = Batch([picture(n) for n in range(6)])
    assert drained(element, [batch]) == [batch]
    assert all(len(frame.objects) == 2 for frame in batch.frames)


def test_a_fixed_batch_smaller_than_asked_is_refused_in_words(opened, tmp_path):
    path = make_detector(tmp_path / "m.onnx", BOXES, batch=4)
    (tmp_path / "m.yaml").write_text("batch: 8\n")
    with pytest.raises(
        ConfigError, match=r"m\.onnx: the card asks for batches of 8, .* takes exactly 4 pictures a call"
    ):
        opened(model=path)


def test_a_card_that_contradicts_the_model_is_refused(opened, tmp_path):
    path = make_detector(tmp_path / "m.onnx", BOXES)
    (tmp_path / "m.yaml").write_text("input: {width: 100}\n")
    with pytest.raises(ConfigError, match="width 100 is not the model's 64"):
        opened(model=path)


def test_where_batches_are_quicker_a_batch_is_one_call(opened, tmp_path):
    element = opened(model=make_level_model(tmp_path / "m.onnx"))
    element.loaded.runtime = held = Held(element.loaded.runtime)
    held.batches = True
    batch = Batch([picture(n, level=40 * n, width=32, height=32) for n in range(4)])
    assert list(element.process(batch)) == []
    assert len(held.gates) == 1
    held.gates[0].set()
    assert list(element.flush("a")) == [batch]
    left = [frame.objects[0].box[0] for frame in batch.frames]
    np.testing.assert_allclose(left, np.arange(4) * 40 * 16 / 255, atol=0.05)


def test_a_network_that_takes_int8_gets_pixels_less_128(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(make_level_model(tmp_path / "m.onnx"))
    graph = model.graph
    graph.input[0].CopyFrom(helper.make_tensor_value_info("levels", TensorProto.INT8, ["N", 3, 32, 32]))
    for name, value in (("zero", -128.0), ("whole", 255.0)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    first = [
        helper.make_node("Cast", ["levels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["real", "zero"], ["pixels"]),
        helper.make_node("Div", ["pixels", "whole"], ["images"]),
    ]
    nodes = [*first, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(tmp_path / "int8.onnx"))
    loaded = load_model(str(tmp_path / "int8.onnx"))
    try:
        assert (loaded.spec.dtype, loaded.spec.scale, loaded.spec.mean) == ("int8", 1.0, (128.0,) * 3)
        pictures = [Image("RGB", [np.full((32, 32, 3), level, np.uint8)], 32, 32) for level in (0, 51, 255)]
        tensor, _ = open_imaging().to_tensor(pictures, loaded.spec)
        rows = loaded.runtime.run(loaded.feed(tensor, 3))["output0"]
        assert rows[:, 0, 0] == pytest.approx([0, 16 * 51 / 255, 16], abs=1e-4)
    finally:
        loaded.runtime.close()
