"""Models on objects: which objects, what their crops show, what is kept of an identity, and when it is asked again."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.core import FRAMES, Caps, ConfigError, Context, StreamStart
from millrace.elements.infer import Infer
from millrace.media import Batch, Frame, Image, Object, box
from millrace.testing.models import make_detector, make_shade_model, make_vector_model

CARD = "parser: classifier\ninput: {scale: 0.00392156862745098, mean: 0, std: 1}\n"
LEVELS = {"shade": (0.1, 0.5, 0.9)}
NAMES = "labels: [dark, middle, light]\n"


def scene(index=0, stream="a", objects=(), size=(128, 96)):
    """A grey picture with patches of their own grey level: (box, level, id, label)."""
    width, height = size
    pixels = np.full((height, width, 3), 128, np.uint8)
    frame = Frame(stream, index, index * 40_000_000, Image("BGR", [pixels], width, height))
    for (x1, y1, x2, y2), level, number, label in objects:
        pixels[y1:y2, x1:x2] = level
        found = Object(box([x1, y1, x2, y2]), 2, label, 0.9, number, stage="cars")
        frame.objects.append(found)
    return frame


@pytest.fixture
def opened(tmp_path):
    elements = []

    def make(card=CARD + NAMES, heads=LEVELS, live=False, streams=("a",), **settings):
        path = make_shade_model(tmp_path / "shade.onnx", heads)
        (tmp_path / "shade.yaml").write_text(card)
        element = Infer(model=path, **settings)
        elements.append(element)
        warned = []
        element.open(Context("infer", warn=lambda message, stream: warned.append(message)))
        element.warned = warned
        for stream in streams:
            element.start_stream(StreamStart(stream, Caps(FRAMES), live))
        return element

    yield make
    for element in elements:
        element.close()


def through(element, *frames):
    out = [o for frame in frames for o in element.process(frame)]
    for stream in dict.fromkeys(f.stream for f in frames):
        out += element.flush(stream)
    return out


class Counted:
    """Stands before a runtime and counts the pictures it is asked for."""

    def __init__(self, runtime, batches=False):
        self.runtime, self.calls, self.batches = runtime, [], batches

    def __getattr__(self, name):
        return getattr(self.runtime, name)

    def submit(self, inputs, done=None):
        tensors = inputs() if callable(inputs) else inputs
        self.calls.append(len(next(iter(tensors.values()))))
        return self.runtime.submit(tensors, done)


def said(found):
    return [(label.name, label.value) for label in found.labels]


THREE = [((8, 8, 40, 40), 20, 1, "car"), ((50, 10, 90, 60), 128, 2, "van"), ((20, 50, 44, 90), 240, 3, "car")]


def test_each_object_gets_what_its_own_crop_shows(opened):
    frame = scene(objects=THREE)
    assert through(opened(on={}), frame) == [frame]
    assert [said(o) for o in frame.objects] == [[("shade", "dark")], [("shade", "middle")], [("shade", "light")]]
    assert all(0.9 < o.labels[0].confidence <= 1 and o.labels[0].class_id == n for n, o in enumerate(frame.objects))
    assert frame.inferred == []  # the model did not look at the frame


@pytest.mark.parametrize(
    ("on", "who"),
    [
        ({"classes": ["car"]}, [0, 2]),
        ({"classes": 2}, [0, 1, 2]),
        ({"stage": "faces"}, []),
        ({"stage": "cars"}, [0, 1, 2]),
        ({"min_width": 33}, [1]),
        ({"max_height": 35}, [0]),
        ({"min_height": 40, "max_width": 30}, [2]),
    ],
)
def test_only_the_objects_asked_for(opened, on, who):
    frame = scene(objects=THREE)
    through(opened(on=on), frame)
    assert [n for n, o in enumerate(frame.objects) if o.labels] == who


def test_the_card_says_on_what_it_works_and_settings_override(opened):
    card = CARD + NAMES + "objects: {classes: [car], min_width: 30}\n"
    frame = scene(objects=THREE)
    through(opened(card), frame)
    assert [bool(o.labels) for o in frame.objects] == [True, False, False]
    frame = scene(objects=THREE)
    through(opened(card, on={"min_width": 0}), frame)
    assert [bool(o.labels) for o in frame.objects] == [True, False, True]


def test_crops_of_frames_and_streams_share_calls(opened):
    element = opened(on={}, streams=("a", "b"))
    element.loaded.runtime = counted = Counted(element.loaded.runtime, batches=True)
    batch = Batch([scene(0, "a", THREE), scene(0, "b", THREE[:2])])
    through_batch = [*element.process(batch), *element.flush("a")]
    assert through_batch == [batch] and counted.calls == [5]
    assert [len(o.labels) for f in batch.frames for o in f.objects] == [1] * 5


def test_on_a_cpu_crops_are_dealt_out_over_the_calls(opened):
    element = opened(on={}, parallel=2)
    element.loaded.runtime = counted = Counted(element.loaded.runtime)
    through(element, scene(objects=THREE))
    assert counted.calls == [2, 1]


def test_a_card_may_bound_the_batch(opened):
    element = opened(CARD + NAMES + "batch: 2\n", on={})
    element.loaded.runtime = counted = Counted(element.loaded.runtime, batches=True)
    through(element, scene(objects=THREE))
    assert counted.calls == [2, 1]


def test_an_identity_is_asked_once_and_keeps_its_label(opened):
    element = opened(on={})
    element.loaded.runtime = counted = Counted(element.loaded.runtime)
    frames = [scene(n, objects=[((8, 8, 40, 40), 20 if n == 0 else 240, 7, "car")]) for n in range(6)]
    through(element, *frames)
    assert sum(counted.calls) == 1
    assert all(said(f.objects[0]) == [("shade", "dark")] for f in frames)  # though it changed its colour


def test_objects_without_identity_are_asked_every_time(opened):
    element = opened(on={})
    element.loaded.runtime = counted = Counted(element.loaded.runtime)
    through(element, *(scene(n, objects=[((8, 8, 40, 40), 20, None, "car")]) for n in range(3)))
    assert sum(counted.calls) == 3


def test_after_refresh_it_is_asked_again(opened):
    element = opened(on={"refresh": 3})
    frames = [scene(n, objects=[((8, 8, 40, 40), 20 if n < 2 else 240, 7, "car")]) for n in range(7)]
    through(element, *frames)
    assert [said(f.objects[0])[0][1] for f in frames] == ["dark"] * 3 + ["light"] * 4


def test_growth_asks_again(opened):
    element = opened(on={})
    sides = [30, 32, 40, 41, 60]
    frames = [scene(n, objects=[((8, 8, 8 + s, 8 + s), 20 * n, 7, "car")]) for n, s in enumerate(sides)]
    element.loaded.runtime = counted = Counted(element.loaded.runtime)
    through(element, *frames)
    assert len(counted.calls) == 3  # at 30, at 40 (1.78 times), at 60; not at 32 (1.14) and 41
    element = opened(on={"growth": None})
    element.loaded.runtime = counted = Counted(element.loaded.runtime)
    through(element, *frames)
    assert len(counted.calls) == 1


def test_streams_and_identities_do_not_mix(opened):
    element = opened(on={}, streams=("a", "b"))
    frames = [scene(0, s, [((8, 8, 40, 40), level, 1, "car")]) for s, level in (("a", 20), ("b", 240))]
    frames += [scene(1, s, [((8, 8, 40, 40), 128, 1, "car")]) for s in "ab"]
    through(element, *frames)
    assert [said(f.objects[0])[0][1] for f in frames] == ["dark", "light", "dark", "light"]


def test_an_ended_stream_is_forgotten(opened):
    element = opened(on={})
    through(element, scene(0, objects=[((8, 8, 40, 40), 20, 1, "car")]))
    assert list(element.memory) == [("a", 1)]
    list(element.end_stream("a"))
    assert list(element.memory) == []


def test_after_a_jump_identities_may_be_others(opened):
    element = opened(on={})
    first, second = (scene(n, objects=[((8, 8, 40, 40), level, 1, "car")]) for n, level in enumerate((20, 240)))
    through(element, first)
    list(element.flush("a"))
    element.start_stream(StreamStart("a", Caps(FRAMES), epoch=1, discontinuity=True))
    through(element, second)
    assert [said(each.objects[0])[0][1] for each in (first, second)] == ["dark", "light"]


def test_identities_that_are_gone_are_forgotten(opened):
    element = opened(on={})
    frames = [scene(n, objects=[((8, 8, 40, 40), 20, 1 if n < 5 else 2, "car")]) for n in range(260)]
    through(element, *frames)
    assert list(element.memory) == [("a", 2)]


@pytest.mark.parametrize("live", [False, True])
def test_without_waiting_frames_go_on_and_labels_come_later(opened, live):
    element = opened(on={"wait": False}, parallel=1, live=live)
    frames = [scene(n, objects=[((8, 8, 40, 40), 20, 7, "car")]) for n in range(12)]
    for frame in frames:
        assert list(element.process(frame)) == [frame]
        if live:  # wait until the call is over, as time does between the frames of a camera
            [call.future.exception(10) for own in element.behind._streams.values() for _, _, call in own.calls]
    labelled = [bool(f.objects[0].labels) for f in frames]
    assert labelled[0] is False and labelled == sorted(labelled) and labelled[-1]
    assert labelled.index(True) == (1 if live else 2)
    assert said(frames[-1].objects[0]) == [("shade", "dark")]


def test_without_waiting_two_runs_of_a_file_give_the_same(opened):
    def run():
        element = opened(on={"wait": False, "refresh": 2})
        frames = [scene(n, objects=[((8, 8, 40, 40), 20 * n, 7, "car")]) for n in range(12)]
        through(element, *frames)
        return [said(f.objects[0]) for f in frames]

    first = run()
    assert len({str(labels) for labels in first}) > 2
    assert run() == first


def test_without_waiting_pixels_are_taken_before_the_frame_goes_on(opened):
    element = opened(on={"wait": False})
    frame = scene(0, objects=[((8, 8, 40, 40), 20, 7, "car")])
    list(element.process(frame))
    frame.image.planes[0][:] = 255  # someone draws on it
    frames = [scene(n, objects=[((8, 8, 40, 40), 20, 7, "car")]) for n in range(1, 6)]
    through(element, *frames)
    assert said(frames[-1].objects[0]) == [("shade", "dark")]


def test_without_waiting_the_untracked_are_passed_over_with_a_warning(opened):
    element = opened(on={"wait": False})
    frame = scene(0, objects=[((8, 8, 40, 40), 20, None, "car")])
    through(element, frame, scene(1, objects=[((8, 8, 40, 40), 20, None, "car")]))
    assert not frame.objects[0].labels and len(element.warned) == 1


def test_every_second_frame(opened):
    element = opened(on={}, every=2)
    frames = [scene(n, objects=[((8, 8, 40, 40), 20, None, "car")]) for n in range(4)]
    through(element, *frames)
    assert [len(f.objects[0].labels) for f in frames] == [1, 0, 1, 0]
    element = opened(on={"refresh": 1}, every=2)
    element.loaded.runtime = counted = Counted(element.loaded.runtime)
    frames = [scene(n, objects=[((8, 8, 40, 40), 20 if n < 2 else 240, 7, "car")]) for n in range(4)]
    through(element, *frames)  # known objects keep their labels in the frames between
    assert [said(f.objects[0])[0][1] for f in frames] == ["dark", "dark", "light", "light"]
    assert sum(counted.calls) == 2


def test_several_heads(opened):
    heads = {"shade": (0.1, 0.5, 0.9), "half": (0.25, 0.75)}
    card = CARD + "labels: [[dark, middle, light], [lower, upper]]\nattribute: [shade, half]\n"
    frame = scene(objects=THREE)
    through(opened(card, heads, on={}), frame)
    assert said(frame.objects[0]) == [("shade", "dark"), ("half", "lower")]
    assert said(frame.objects[2]) == [("shade", "light"), ("half", "upper")]


def test_a_label_must_be_surer_than_the_confidence(opened):
    frame = scene(objects=[((8, 8, 40, 40), 76, 1, "car")])  # between dark and middle
    through(opened(on={}, confidence=0.9), frame)
    assert frame.objects[0].labels == []


def test_a_classifier_of_whole_frames_gives_a_reading(opened):
    frame = scene()
    through(opened(), frame)
    (reading,) = frame.readings
    assert (reading.stage, said(reading)) == ("shade", [("shade", "middle")])
    assert frame.inferred == ["shade"]


def test_a_detector_on_objects_finds_children_in_source_pixels(tmp_path):
    make_detector(tmp_path / "plate.onnx", [(16, 32, 48, 48, 0.9, 0)], classes=1, width=64, height=64)
    (tmp_path / "plate.yaml").write_text("parser: yolox\ninput: {fit: stretch}\nlabels: [plate]\n")
    element = Infer(model=str(tmp_path / "plate.onnx"), on={"classes": ["car"]})
    element.open(Context("infer"))
    try:
        frame = scene(objects=THREE)
        through(element, frame)
        children = [o for o in frame.objects if o.label == "plate"]
        assert [c.parent for c in children] == [frame.objects[0], frame.objects[2]]
        np.testing.assert_allclose(children[0].box, [16, 24, 32, 32], atol=0.01)
        np.testing.assert_allclose(children[1].box, [26, 70, 38, 80], atol=0.01)
    finally:
        element.close()


def test_what_a_detector_found_goes_along_with_its_parent(tmp_path):
    make_detector(tmp_path / "plate.onnx", [(16, 32, 48, 48, 0.9, 0)], classes=1, width=64, height=64)
    (tmp_path / "plate.yaml").write_text("parser: yolox\ninput: {fit: stretch}\n")
    element = Infer(model=str(tmp_path / "plate.onnx"), on={"refresh": 10, "classes": ["car"]})
    element.open(Context("infer"))
    try:
        frames = [scene(n, objects=[((8 + 4 * n, 8, 40 + 4 * n, 40), 20, 7, "car")]) for n in range(3)]
        through(element, *frames)
        for n, frame in enumerate(frames):
            car, plate = frame.objects
            np.testing.assert_allclose(plate.box, [16 + 4 * n, 24, 32 + 4 * n, 32], atol=0.01)
            assert plate.parent is car and (plate.detected_box is None) == (n > 0)
    finally:
        element.close()


def test_vectors_have_length_one_and_tell_crops_apart(tmp_path):
    make_vector_model(tmp_path / "v.onnx")
    (tmp_path / "v.yaml").write_text("kind: embedding\ninput: {scale: 0.00392156862745098, mean: 0, std: 1}\n")
    element = Infer(model=str(tmp_path / "v.onnx"), on={})
    element.open(Context("infer"))
    try:
        frame = scene(objects=[THREE[0], THREE[2]])
        through(element, frame)
        dark, light = (o.embedding for o in frame.objects)
        assert np.linalg.norm(dark) == pytest.approx(1, abs=1e-5) and dark @ light < -0.9
    finally:
        element.close()


def test_an_error_of_a_call_lets_the_identity_be_asked_again(opened):
    element = opened(on={})
    runtime = element.loaded.runtime

    class Failing:
        def __getattr__(self, name):
            return getattr(runtime, name)

        def submit(self, inputs, done=None):
            def fail():
                raise ValueError("the model refused")

            return runtime.submit(fail, done)

    element.loaded.runtime = Failing()
    with pytest.raises(ValueError, match="refused"):
        through(element, scene(0, objects=THREE[:1]))
    element.loaded.runtime = runtime
    frame = scene(1, objects=THREE[:1])
    through(element, frame)
    assert said(frame.objects[0]) == [("shade", "dark")]


def test_the_number_of_an_earlier_card_names_its_stage(opened, tmp_path):
    make_detector(tmp_path / "first.onnx", [(8, 8, 40, 40, 0.9, 0)], width=128, height=96)
    (tmp_path / "first.yaml").write_text("id: 4\n")
    first = Infer(model=str(tmp_path / "first.onnx"))
    first.open(Context("infer"))
    try:
        for number, seen in ((4, True), (5, False)):
            frame = scene(objects=[])
            through(first, frame)
            through(opened(on={"stage": number}), frame)
            assert bool(frame.objects[0].labels) is seen
    finally:
        first.close()


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ({"clases": ["car"]}, "on.clases is not known. Did you mean 'classes'"),
        ({"min_width": "wide"}, "on.min_width='wide' is not allowed"),
    ],
)
def test_mistakes_in_on_are_found_before_anything_runs(tmp_path, on, message):
    make_shade_model(tmp_path / "shade.onnx", LEVELS)
    with pytest.raises(ConfigError, match=message):
        Infer(model=str(tmp_path / "shade.onnx"), on=on).validate()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("[dark, light]", "has 3 classes, the labels are 2: dark, light"),
        ("[[dark, middle, light], [a, b]]", "2 lists of labels for 1 heads"),
    ],
)
def test_a_wrong_number_of_labels(opened, labels, message):
    with pytest.raises(ConfigError, match=message):
        opened(CARD + f"labels: {labels}\n", on={})


def test_what_lies_at_an_angle_is_turned_upright_first(opened):
    import cv2

    frame = scene(objects=[])
    corners = cv2.boxPoints(((64, 48), (60, 12), 40.0)).round().astype(np.int32)
    cv2.fillPoly(frame.image.planes[0], [corners], (240, 240, 240))
    found = Object(box([34, 42, 94, 54]), 0, "text", 0.9, angle=float(np.radians(40)))
    frame.objects = [found]
    through(opened(on={}), frame)
    assert said(found) == [("shade", "light")]  # upright, the box would be half grey
    level = scene(objects=[])
    level.objects = [Object(box([34, 42, 94, 54]), 0, "text", 0.9)]
    level.image.planes[0][:] = frame.image.planes[0]
    through(opened(on={}), level)
    assert said(level.objects[0]) != [("shade", "light")]


@pytest.mark.parametrize("wait", [True, False])
def test_two_streams_through_a_whole_chain_give_the_same_lines_twice(tmp_path, clip, wait):
    import millrace

    clips = [str(clip(name, count=20)) for name in ("one.mp4", "two.mp4")]
    detector = make_detector(tmp_path / "d.onnx", [(8, 8, 30, 30, 0.9, 0), (34, 20, 60, 50, 0.8, 1)])
    shades = make_shade_model(tmp_path / "shade.onnx", {"shade": (0.2, 0.4, 0.6, 0.8)})
    (tmp_path / "shade.yaml").write_text(CARD + "labels: [a, b, c, d]\n")

    def lines(number):
        out = tmp_path / f"{number}-{{stream}}.jsonl"
        flow = millrace.open(*clips).infer(detector).track(min_hits=1)
        flow.infer(shades, on={"refresh": 5, "wait": wait}).json(str(out)).run()
        return [(tmp_path / f"{number}-{name}.jsonl").read_text() for name in ("one", "two")]

    first, second = lines(1), lines(2)
    assert first == second
    assert all(text.count('"labels"') >= 20 for text in first)


def test_a_slow_machine_does_not_heap_up_calls_of_a_live_stream(opened):
    from concurrent.futures import Future

    element = opened(on={"wait": False}, live=True)
    runtime, futures = element.loaded.runtime, []

    class Slow:
        def __getattr__(self, name):
            return getattr(runtime, name)

        def submit(self, inputs, done=None):
            futures.append(Future())
            return futures[-1]

    element.loaded.runtime = Slow()
    for n in range(60):  # somebody new in every frame
        list(element.process(scene(n, objects=[((8, 8, 40, 40), 20, n + 1, "car")])))
    assert len(futures) == 16
    for future in futures:
        future.set_result({"shade": np.array([[1, 0, 0]], np.float32)})
    frames = [scene(60 + n, objects=[((8, 8, 40, 40), 20, number, "car")]) for n, number in enumerate((16, 50))]
    through(element, *frames)
    assert said(frames[0].objects[0]) == [("shade", "dark")]  # it was asked for in time
    assert len(futures) == 17 and frames[1].objects[0].labels == []  # it is asked for now
    futures[-1].set_result({"shade": np.array([[1, 0, 0]], np.float32)})
