"""Inputs made beside the model: regions as inputs of their own, objects, sequences; and what the model says of them."""

from __future__ import annotations

import numpy as np
import pytest
from deepstream_texts import NVDSPREPROCESS

from millrace.core import FRAMES, Caps, ConfigError, Context, StreamStart
from millrace.elements.infer import Infer
from millrace.elements.preprocess import Preprocess
from millrace.media import Frame, Image, Object, box
from millrace.testing.models import make_detector, make_shade_model

INPUT = {"width": 16, "height": 16, "scale": 1 / 255, "fit": "stretch"}


def picture(index=0, stream="a", left=20, right=240):
    pixels = np.full((32, 64, 3), left, np.uint8)
    pixels[:, 32:] = right
    return Frame(stream, index, index, Image("BGR", [pixels], 64, 32))


@pytest.fixture
def opened():
    elements = []

    def make(cls, **settings):
        element = cls(**settings)
        elements.append(element)
        element.open(Context("tested"))
        if cls is Infer:
            element.start_stream(StreamStart("a", Caps(FRAMES)))
        return element

    yield make
    for element in elements:
        element.close()


def inferred(infer, frame):
    return [*infer.process(frame), *infer.flush(frame.stream)]


HALVES = [[0, 0, 0.5, 1], [32, 0, 64, 32]]


def test_regions_are_inputs_of_their_own_and_readings_carry_them(opened, tmp_path):
    model = make_shade_model(tmp_path / "m.onnx", {"shade": (0.1, 0.9)})
    (tmp_path / "m.yaml").write_text("labels: [dark, light]\nprepared: true\n")
    frame = picture()
    opened(Preprocess, input=INPUT, regions=HALVES).process_frame(frame)
    assert inferred(opened(Infer, model=model), frame) == [frame]
    assert [r.labels[0].value for r in frame.readings] == ["dark", "light"]
    assert [r.area.tolist() for r in frame.readings] == [[0, 0, 32, 32], [32, 0, 64, 32]]


def test_regions_of_one_stream(opened):
    element = opened(Preprocess, input=INPUT, regions={"gate": HALVES})
    frames = [picture(stream="gate"), picture(stream="yard")]
    for frame in frames:
        element.process_frame(frame)
    assert len(frames[0].extras["prepared"]) == 2 and "prepared" not in frames[1].extras


def test_boxes_of_a_region_are_those_of_the_frame(opened, tmp_path):
    model = make_detector(tmp_path / "m.onnx", [(16, 16, 48, 48, 0.9, 0)], width=64, height=64)
    frame = picture()
    spec = {"width": 64, "height": 64, "fit": "stretch"}
    opened(Preprocess, input=spec, regions=HALVES).process_frame(frame)
    inferred(opened(Infer, model=model, prepared=True), frame)
    found = sorted(o.box.tolist() for o in frame.objects)
    np.testing.assert_allclose(found, [[8, 8, 24, 24], [40, 8, 56, 24]], atol=0.01)


def test_objects_in_place_of_regions(opened, tmp_path):
    model = make_shade_model(tmp_path / "m.onnx", {"shade": (0.1, 0.9)})
    frame = picture()
    frame.objects = [Object(box([2, 2, 30, 30]), 0, "car", 0.9), Object(box([34, 2, 60, 30]), 0, "dog", 0.9)]
    opened(Preprocess, input=INPUT, on={"classes": ["dog"]}).process_frame(frame)
    inferred(opened(Infer, model=model, prepared=True), frame)
    assert [[label.value for label in o.labels] for o in frame.objects] == [[], ["1"]]


def test_only_the_models_that_are_meant_take_them(opened, tmp_path):
    model = make_shade_model(tmp_path / "m.onnx", {"shade": (0.1, 0.9)})
    frame = picture()
    opened(Preprocess, input=INPUT, stages=["other"]).process_frame(frame)
    inferred(opened(Infer, model=model, prepared=True), frame)
    assert frame.readings == []
    inferred(opened(Infer, model=model, prepared=True, stage="other"), frame)
    assert len(frame.readings) == 1


@pytest.mark.parametrize(
    ("layout", "shape"), [("CTHW", (3, 4, 16, 16)), ("TCHW", (4, 3, 16, 16)), ("(T*C)HW", (12, 16, 16))]
)
def test_sequences(opened, layout, shape):
    plan = {"length": 4, "stride": 2, "skip": 1, "layout": layout}
    element = opened(Preprocess, input={**INPUT, "scale": 1}, sequence=plan)
    frames = [picture(n, left=n, right=n) for n in range(12)]
    for frame in frames:
        element.process_frame(frame)
    full = [n for n, frame in enumerate(frames) if frame.extras["prepared"]]
    assert full == [6, 8, 10]
    tensor = frames[8].extras["prepared"][0].tensor
    assert tensor.shape == shape
    steps = (
        tensor.reshape(3, 4, -1)[0].mean(axis=1) if layout == "CTHW" else tensor.reshape(4, 3, -1)[:, 0].mean(axis=1)
    )
    np.testing.assert_allclose(steps, [2, 4, 6, 8], atol=1e-4)


def test_a_sequence_goes_to_a_model_of_five_dimensions(opened, tmp_path):
    from onnx import TensorProto, helper, save

    node = helper.make_node("ReduceMean", ["clip"], ["moves"], axes=[1, 3, 4], keepdims=0)
    graph = helper.make_graph(
        [node],
        "made",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, ["N", 3, 4, 16, 16])],
        [helper.make_tensor_value_info("moves", TensorProto.FLOAT, ["N", 4])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(tmp_path / "m.onnx"))
    (tmp_path / "m.yaml").write_text(
        "kind: classifier\nprepared: true\nlabels: [a, b, c, d]\nextras: {activation: none}\n"
    )
    prepare = opened(Preprocess, input=INPUT, sequence={"length": 4})
    infer = opened(Infer, model=str(tmp_path / "m.onnx"))
    frames = [picture(n, left=10 * n, right=10 * n) for n in range(5)]
    for frame in frames:
        prepare.process_frame(frame)
        inferred(infer, frame)
    assert [len(f.readings) for f in frames] == [0, 0, 0, 1, 1]
    assert frames[4].readings[0].labels[0].value == "d"  # the brightest is the last


def test_a_tensor_that_does_not_fit_is_one_clear_error(opened, tmp_path):
    model = make_shade_model(tmp_path / "m.onnx", {"shade": (0.1, 0.9)})
    frame = picture()
    opened(Preprocess, input={**INPUT, "width": 20}).process_frame(frame)
    with pytest.raises(ValueError, match=r"a prepared tensor \[3, 16, 20\] does not fit the input images"):
        inferred(opened(Infer, model=model, prepared=True), frame)


def test_a_function_of_ones_own_prepares(opened, tmp_path):
    (tmp_path / "mine.py").write_text("def turn(tensor):\n    return tensor[:, :, ::-1]\n")
    frame = picture()
    opened(Preprocess, input={**INPUT, "scale": 1}, function=f"{tmp_path}/mine.py:turn").process_frame(frame)
    tensor = frame.extras["prepared"][0].tensor
    assert tensor[0, 0, 0] == 240 and tensor[0, 0, -1] == 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input": {"width": 8}}, "width and height must be given"),
        ({"input": {"widht": 8}}, "input.widht is not known. Did you mean 'width'"),
        ({"input": INPUT, "sequence": {"lenght": 8}}, "sequence.lenght is not known"),
        ({"input": INPUT, "sequence": {"layout": "HW"}}, "layout is CTHW, TCHW"),
        ({"input": INPUT, "function": "nowhere.py:f"}, "there is no file"),
    ],
)
def test_mistakes_are_found_before_anything_runs(settings, message):
    with pytest.raises(ConfigError, match=message):
        Preprocess(**settings).validate()


REGIONS = """[group-0]
src-ids=0
process-on-roi=1
roi-params-src-0=0;0;32;32;32;0;32;32
roi-color=1;0;0;1
[group-1]
src-ids=2
process-on-roi=0
interval=1
"""


def config(tmp_path, groups, more="", user=""):
    (tmp_path / "pre.txt").write_text(NVDSPREPROCESS.format(more=more, user=user) + groups)
    return str(tmp_path / "pre.txt")


def test_a_file_of_deepstream_prepares_by_number_of_the_stream(opened, tmp_path):
    element = opened(Preprocess, config=config(tmp_path, REGIONS))
    element.expect(["a", "b", "c"])
    frames = [picture(index, stream) for index in (0, 1) for stream in "abc"]
    for frame in frames:
        element.process_frame(frame)
    made = [len(frame.extras.get("prepared", ())) for frame in frames]
    assert made == [2, 0, 1, 2, 0, 0]  # two regions, none, the whole frame every second time
    assert frames[0].extras["analytics"][0]["colour"] == (255, 0, 0)
    assert [round(float(each.tensor.mean()) * 255) for each in frames[0].extras["prepared"]] == [20, 240]


def test_the_model_with_the_right_number_takes_them(opened, tmp_path):
    make_shade_model(tmp_path / "m.onnx", {"shade": (0.1, 0.9)})
    text = "[property]\nonnx-file=m.onnx\ngie-unique-id={}\nnetwork-type=1\ninput-tensor-from-meta=1\n"
    for number in (4, 5):
        (tmp_path / f"infer{number}.txt").write_text(text.format(number))
    element = opened(Preprocess, config=config(tmp_path, REGIONS))
    element.expect(["a"])
    frame = picture()
    element.process_frame(frame)
    inferred(opened(Infer, model=str(tmp_path / "infer5.txt"), stage="five"), frame)
    assert frame.readings == []
    inferred(opened(Infer, model=str(tmp_path / "infer4.txt"), stage="four"), frame)
    assert [(r.labels[0].class_id, r.area.tolist()) for r in frame.readings] == [
        (0, [0, 0, 32, 32]), (1, [32, 0, 64, 32]),
    ]  # fmt: skip


def test_objects_and_regions_of_a_file_of_deepstream(opened, tmp_path):
    group = "[group-0]\nsrc-ids=-1\nprocess-on-all-objects={}\noperate-on-class-ids=1\n{}"
    frame = picture()
    places = [([2, 2, 30, 30], 1), ([34, 2, 60, 30], 1), ([3, 3, 9, 9], 0)]
    frame.objects = [Object(box(place), kind, "x", 0.9) for place, kind in places]
    for every, rois, count in ((1, "", 2), (0, "roi-params-src-0=32;0;32;32\n", 1)):
        frame.extras.clear()
        path = config(tmp_path, group.format(every, rois), "process-on-frame=0")
        element = opened(Preprocess, config=path)
        element.expect(["a"])
        element.process_frame(frame)
        assert len(frame.extras["prepared"]) == count, every


def test_sequences_and_mean_pictures_of_a_file_of_deepstream(opened, tmp_path):
    (tmp_path / "mean.ppm").write_bytes(b"P6\n16 16\n255\n" + bytes([20, 20, 20]) * 256)
    path = config(tmp_path, REGIONS, user="mean-file=mean.ppm\noffsets=1;1;1")
    element = opened(Preprocess, config=path)
    element.expect(["a"])
    frame = picture()
    element.process_frame(frame)
    assert float(np.abs(frame.extras["prepared"][0].tensor).max()) < 0.003
    text = (tmp_path / "pre.txt").read_text().replace("8;3;16;16", "1;9;16;16").replace("=CustomT", "=CustomSequenceT")
    (tmp_path / "pre.txt").write_text(text)
    element = opened(Preprocess, config=path)
    element.expect(["a"])
    frames = [picture(index) for index in range(3)]
    for frame in frames:
        element.process_frame(frame)
    assert [len(f.extras["prepared"]) for f in frames] == [0, 0, 2]
    assert frames[2].extras["prepared"][0].tensor.shape == (9, 16, 16)


def test_either_a_file_or_settings(tmp_path):
    with pytest.raises(ConfigError, match="it must be given, or config"):
        Preprocess().validate()
    with pytest.raises(ConfigError, match="config says it already"):
        Preprocess(config=config(tmp_path, REGIONS), input=INPUT).validate()
    with pytest.raises(ConfigError, match=r"pre\.txt:18: \[group-0\] src-ids: is missing"):
        Preprocess(config=config(tmp_path, "[group-0]\nprocess-on-roi=0\n")).validate()
