"""What models say of whole frames: maps are those of the picture alone, whatever was put around it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from millrace.core import FRAMES, Caps, Context, StreamStart
from millrace.elements.infer import Infer
from millrace.media import Frame, Image, Object, box

SIZE = (64, 64)


def grey_model(path, kind):
    """A model whose depth is the mean of the channels, or one that scores pixels as dark or light."""
    nodes = [helper.make_node("ReduceMean", ["images"], ["depth"], axes=[1], keepdims=1)]
    outputs, constants = {"depth": ["N", 1, 64, 64]}, []
    if kind == "scores":
        constants.append(numpy_helper.from_array(np.array(0.7, np.float32), "sum"))
        nodes += [
            helper.make_node("Sub", ["sum", "depth"], ["dark"]),
            helper.make_node("Concat", ["dark", "depth"], ["scores"], axis=1),
        ]
        outputs = {"scores": ["N", 2, 64, 64]}
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 64, 64])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return str(path)


def picture(width, height, light=(0, 0, 0, 0)):
    """Dark, with a light part x1 y1 x2 y2."""
    pixels = np.full((height, width, 3), 51, np.uint8)
    x1, y1, x2, y2 = light
    pixels[y1:y2, x1:x2] = 204
    return Frame("a", 0, 0, Image("BGR", [pixels], width, height))


@pytest.fixture
def run(tmp_path):
    elements = []

    def go(frame, card, kind="depth", **settings):
        path = grey_model(tmp_path / "m.onnx", kind)
        (tmp_path / "m.yaml").write_text(card)
        element = Infer(model=path, **settings)
        elements.append(element)
        element.open(Context("infer"))
        element.start_stream(StreamStart("a", Caps(FRAMES)))
        assert [*element.process(frame), *element.flush("a")] == [frame]
        return frame

    yield go
    for element in elements:
        element.close()


CARD = "kind: {kind}\ninput: {{scale: 0.00392156862745098, mean: 0, std: 1, fit: {fit}, pad: 255}}\n"


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "letterbox-top-left"])
@pytest.mark.parametrize("size", [(128, 64), (64, 128), (64, 64)])
def test_a_map_is_that_of_the_picture_without_the_border(run, fit, size):
    width, height = size
    frame = run(picture(width, height, (0, 0, width // 2, height)), CARD.format(kind="depth", fit=fit))
    (reading,) = frame.readings
    rows, columns = reading.depth.shape
    if fit != "stretch":
        assert columns / rows == pytest.approx(width / height, rel=0.05)
    np.testing.assert_allclose(reading.depth[:, : columns // 2 - 1], 0.8, atol=0.01)
    np.testing.assert_allclose(reading.depth[:, columns // 2 + 1 :], 0.2, atol=0.01)


def test_a_class_map_with_names_and_shares(run):
    card = CARD.format(kind="segmentation", fit="letterbox") + "labels: [dark, light]\n"
    (reading,) = run(picture(128, 64, (0, 0, 32, 64)), card, "scores").readings
    assert reading.stage == "m" and reading.class_map.dtype == np.int32
    shares = reading.shares()
    assert shares["light"] == pytest.approx(0.25, abs=0.03) and shares["dark"] == pytest.approx(0.75, abs=0.03)


def test_objects_get_the_depth_of_their_own_part(run):
    frame = picture(128, 64, (64, 0, 128, 64))
    frame.objects = [Object(box([4, 4, 40, 60]), 0, "near", 0.9), Object(box([80, 4, 120, 60]), 0, "far", 0.9)]
    run(frame, CARD.format(kind="depth", fit="letterbox"))
    assert [round(o.depth, 2) for o in frame.objects] == [0.2, 0.8]


def test_depth_and_maps_of_objects_themselves(run):
    frame = picture(128, 64, (64, 0, 128, 64))
    frame.objects = [Object(box([80, 4, 120, 60]), 0, "far", 0.9)]
    run(frame, CARD.format(kind="depth", fit="letterbox"), on={})
    assert frame.objects[0].depth == pytest.approx(0.8, abs=0.01) and frame.readings == []
    half = picture(128, 64, (64, 0, 128, 64))
    half.objects = [Object(box([44, 10, 84, 50]), 0, "half", 0.9)]
    card = CARD.format(kind="segmentation", fit="stretch") + "labels: [dark, light]\n"
    run(half, card, "scores", on={})
    mask = half.objects[0].mask
    assert mask.shape == (64, 64) and not mask[:, :28].any() and mask[:, 36:].all()


def test_pixels_that_are_not_sure_are_minus_one(run):
    card = CARD.format(kind="segmentation", fit="stretch") + "labels: [dark, light]\nextras: {order: NCHW}\n"
    frame = run(picture(64, 64, (0, 0, 32, 64)), card, "scores", confidence=0.65)
    (reading,) = frame.readings
    assert set(np.unique(reading.class_map[:, :28]).tolist()) <= {-1, 1}
