"""Raw tensors read apart from where the model ran give what infer itself gives."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.core import FRAMES, Caps, ConfigError, Context, StreamStart
from millrace.elements.infer import Infer
from millrace.elements.postprocess import Postprocess
from millrace.media import Frame, Image, Object, box
from millrace.testing.models import make_detector, make_shade_model

BOXES = [(8.0, 12.0, 24.0, 44.0, 0.9, 2), (36.0, 20.0, 56.0, 50.0, 0.7, 0)]


def picture(width=100, height=50):
    return Frame("a", 0, 0, Image("BGR", [np.full((height, width, 3), 200, np.uint8)], width, height))


@pytest.fixture
def run():
    def go(frame, **settings):
        element = Infer(**settings)
        element.open(Context("infer"))
        element.start_stream(StreamStart("a", Caps(FRAMES)))
        try:
            assert [*element.process(frame), *element.flush("a")] == [frame]
        finally:
            element.close()
        return frame

    return go


def post(frame, **settings):
    element = Postprocess(**settings)
    element.open(Context("postprocess"))
    element.process_frame(frame)
    element.close()
    return frame


def told(frame):
    return [(o.box.tolist(), o.class_id, o.label, o.confidence, o.stage) for o in frame.objects]


def test_the_same_objects_as_without_the_detour(run, tmp_path):
    model = make_detector(tmp_path / "m.onnx", BOXES, "yolox")
    raw = run(picture(), model=model, parser="raw")
    (reading,) = raw.readings
    assert raw.objects == [] and reading.tensors["output"].shape == (84, 85) and reading.input_size == (64, 64)
    straight = run(picture(), model=model)
    assert told(post(raw, stage="m", parser="yolox")) == told(straight) != []
    assert raw.readings == []


def test_raw_tensors_may_be_kept_beside_what_was_read(run, tmp_path):
    model = make_detector(tmp_path / "m.onnx", BOXES, "yolox")
    frame = run(picture(), model=model, tensors=True)
    assert len(frame.objects) == 2 and len(frame.readings) == 1
    sx, sy, ox, oy = frame.readings[0].input_to_source
    x, y = 36 * sx + ox, 20 * sy + oy
    np.testing.assert_allclose(frame.objects[1].box[:2], [x, max(0, y)], atol=1e-3)
    post(frame, stage="m", parser="yolox", title="again", keep=True)
    assert [o.stage for o in frame.objects] == ["m", "m", "again", "again"] and len(frame.readings) == 1


def test_tensors_of_objects(run, tmp_path):
    model = make_shade_model(tmp_path / "m.onnx", {"shade": (0.1, 0.8)})
    (tmp_path / "card.yaml").write_text("parser: classifier\nlabels: [dark, light]\n")
    frame = picture()
    frame.objects = [Object(box([10, 10, 40, 40]), 0, "car", 0.9)]
    run(frame, model=model, parser="raw", on={})
    assert frame.objects[0].labels == []
    post(frame, stage="m", card=str(tmp_path / "card.yaml"))
    assert [label.value for label in frame.objects[0].labels] == ["light"]
    assert frame.objects[0].extras["readings"] == []


def test_tensors_of_other_stages_are_left_alone(run, tmp_path):
    frame = run(picture(), model=make_detector(tmp_path / "m.onnx", BOXES), parser="raw")
    assert post(frame, stage="other", parser="yolox").objects == [] and len(frame.readings) == 1


def test_tensors_that_nobody_knows_are_one_clear_error(run, tmp_path):
    frame = run(picture(), model=make_shade_model(tmp_path / "m.onnx", {"head": (0.1, 0.8)}), parser="raw")
    with pytest.raises(ConfigError, match="tensors of m: parser 'yolo' is not known"):
        post(frame, stage="m", parser="yolo")


def test_a_file_of_deepstream_says_how_tensors_are_read(run, tmp_path):
    model = make_detector(tmp_path / "m.onnx", BOXES, "yolox")
    (tmp_path / "names.txt").write_text("car\nbike\nperson\n")
    (tmp_path / "post.yml").write_text(
        "%YAML:1.0\nproperty:\n  network-type: 0\n  cluster-mode: 2\n  num-detected-classes: 3\n  gpu-id: 0\n"
        "  labelfile-path: names.txt\n  output-blob-names: another\nclass-attrs-2:\n  pre-cluster-threshold: 0.95\n"
    )
    frame = run(picture(), model=model, parser="raw")
    post(frame, stage="m", card=str(tmp_path / "post.yml"), parser="yolox")
    assert [(each.label, each.class_id) for each in frame.objects] == [("car", 0)]
