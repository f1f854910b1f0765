"""Wrong models, cards and parsers: one clear error each that says what was got and what to do, and never a crash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import millrace
from millrace.core import FRAMES, Caps, ConfigError, Context, ElementError, StreamStart
from millrace.elements.infer import Infer
from millrace.media import Batch, Frame, Image
from millrace.testing.models import make_detector, make_shade_model

BOXES = [(8.0, 12.0, 24.0, 44.0, 0.9, 2), (36.0, 20.0, 56.0, 50.0, 0.7, 0)]


def picture(index=0, size=(64, 64)):
    pixels = np.full((size[1], size[0], 3), 100, np.uint8)
    return Frame("a", index, index, Image("BGR", [pixels], *size))


@pytest.fixture
def run():
    """Opens infer, gives it a picture, and returns what comes out."""
    elements = []

    def go(item=None, **settings):
        element = Infer(**settings)
        element.validate()
        elements.append(element)
        element.open(Context("infer"))
        element.start_stream(StreamStart("a", Caps(FRAMES)))
        (out,) = [*element.process(item or picture()), *element.flush("a")]
        return out

    yield go
    for element in elements:
        element.close()


def write_net(path: Path, answer: list[onnx.NodeProto], outputs: dict[str, list[object]], shape=("N", 3, 64, 64)):
    graph = helper.make_graph(
        answer,
        "made",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return str(path)


def write_flat(path: Path, shape: tuple[int, ...]):
    """A model that gives its input back as a vector."""
    node = helper.make_node("Flatten", ["images"], ["features"])
    return write_net(path, [node], {"features": ["N", int(np.prod(shape))]}, ("N", *shape))


# files


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07\x12\x04made" + bytes(200)])
def test_a_corrupt_model(run, tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"m\.onnx is not a model that ONNX Runtime can run"):
        run(model=str(path))


def test_a_model_that_was_cut_off(run, tmp_path):
    path = Path(make_detector(tmp_path / "m.onnx", BOXES))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ConfigError, match=r"m\.onnx is not a model that ONNX Runtime can run"):
        run(model=str(path))


def test_external_data_that_is_missing_is_named(run, tmp_path):
    path = write_flat(tmp_path / "m.onnx", (3, 8, 8))
    model = onnx.load(path)
    model.graph.node[0].output[0] = "flat"
    model.graph.node.append(helper.make_node("MatMul", ["flat", "weights"], ["features"]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones((192, 192), np.float32), "weights"))
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ConfigError, match=r"m\.onnx .*weights\.bin"):
        run(model=path)


# inputs


def test_a_model_of_one_channel_given_colour_by_its_card(run, tmp_path):
    path = write_flat(tmp_path / "m.onnx", (1, 16, 16))
    (tmp_path / "m.yaml").write_text("kind: embedding\ninput: {colour: RGB}\n")
    with pytest.raises(ConfigError, match=r"takes 1 channel, RGB has 3; its colour can be GRAY"):
        run(model=path)
    (tmp_path / "m.yaml").write_text("kind: embedding\n")  # left to itself it gets grey
    assert run(model=path).readings[0].embedding.shape == (256,)


def test_a_model_of_colours_given_grey_by_its_card(run, tmp_path):
    path = make_detector(tmp_path / "m.onnx", BOXES)
    (tmp_path / "m.yaml").write_text("input: {colour: GRAY}\n")
    with pytest.raises(ConfigError, match=r"takes 3 channels, GRAY has 1; its colour can be RGB or BGR"):
        run(model=path)


def test_a_model_of_channels_that_no_picture_has(run, tmp_path):
    path = write_flat(tmp_path / "m.onnx", (4, 8, 8))
    with pytest.raises(ConfigError, match=r"takes 4 channels, RGB has 3; its colour can be none that pictures have"):
        run(model=path)


def test_sixteen_bits_of_grey_are_a_picture(run, tmp_path):
    path = write_flat(tmp_path / "m.onnx", (1, 16, 16))
    (tmp_path / "m.yaml").write_text("parser: raw\ninput: {scale: 0.00392156862745098, fit: stretch}\n")
    grey = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    out = run(Frame("a", 0, 0, Image("GRAY16", [grey], 32, 32, full_range=True)), model=path)
    values = out.readings[0].tensors["features"]
    assert values.shape == (256,) and values.min() < 0.05 and values.max() > 0.95
    assert (np.diff(values.reshape(16, 16).mean(axis=1)) > 0).all()


def test_a_fixed_batch_smaller_than_asked(run, tmp_path):
    path = make_detector(tmp_path / "m.onnx", BOXES, batch=4)
    (tmp_path / "m.yaml").write_text("batch: 8\n")
    with pytest.raises(ConfigError, match=r"asks for batches of 8, images .* takes exactly 4 pictures a call"):
        run(model=path)


def test_a_fixed_batch_is_filled_up(run, tmp_path):
    batch = Batch([picture(n) for n in range(3)])
    run(batch, model=make_detector(tmp_path / "m.onnx", BOXES, batch=2))
    assert [len(frame.objects) for frame in batch.frames] == [2, 2, 2]


# labels


@pytest.mark.parametrize("count", [3, 6])
def test_a_wrong_number_of_labels(run, tmp_path, count):
    path = make_detector(tmp_path / "m.onnx", BOXES, classes=5)
    (tmp_path / "names.txt").write_text("\n".join("abcdefgh"[:count]))
    (tmp_path / "m.yaml").write_text("labels: names.txt\n")
    with pytest.raises(ConfigError, match=rf"m\.onnx has 5 classes, the labels are {count}: a, b, c.*name all"):
        run(model=path)


def test_some_classes_may_be_named_by_number(run, tmp_path):
    path = make_detector(tmp_path / "m.onnx", BOXES, classes=5)
    (tmp_path / "m.yaml").write_text("labels: {2: bus}\n")
    assert [o.label for o in run(model=path).objects] == ["bus", "0"]


# outputs


def test_numbers_that_are_none(run, tmp_path):
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Sub", ["mean", "mean"], ["zero"]),
        helper.make_node("Div", ["zero", "zero"], ["logits"]),
    ]
    path = write_net(tmp_path / "m.onnx", nodes, {"logits": ["N", 3]})
    with pytest.raises(ValueError, match=r"m\.onnx: the model answered NaN in 100% of logits; is the input scaled"):
        run(model=path, parser="classifier")


def test_outputs_that_a_named_parser_cannot_read(run, tmp_path):
    path = make_shade_model(tmp_path / "m.onnx", {"head": (0.1, 0.9)}, 64, 64)
    with pytest.raises(ValueError, match=r"m\.onnx: parser 'yolov8' cannot read head float32\[1, 2\]"):
        run(model=path, parser="yolov8")


# parsers of the user's own

RUBBISH = {
    "raise KeyError('boxes')": r"mine\.py:parse raised KeyError: 'boxes' \(mine\.py, line 2\)",
    "return 7": r"it returned int; it may return a list of Object",
    "return [1, 2]": r"it returned a list of int",
    "return np.zeros((2, 5))": r"it returned an array float64\[2, 5\]",
    "return np.full((1, 6), np.nan)": r"it returned numbers that are not finite",
    "return [Object(np.array([1, 2, 3]), 0, 'a', 0.5)]": r"it returned an object with the box array\(\[1, 2, 3\]\)",
    "return Detections(np.zeros((2, 4)), np.zeros(1), np.zeros(2))": r"whose columns do not fit together",
}


def mine(folder, body):
    head = "import numpy as np\nfrom millrace.media import Detections, Label, Object, Reading, box\n\n\n"
    (folder / "mine.py").write_text(f"def parse(outputs, settings):\n    {body}\n\n\n{head}")
    return f"{folder}/mine.py:parse"


@pytest.mark.parametrize("body", RUBBISH)
def test_a_parser_that_raises_or_returns_rubbish(run, tmp_path, body):
    path = make_detector(tmp_path / "m.onnx", BOXES)
    with pytest.raises(ValueError, match=RUBBISH[body]) as error:
        run(model=path, parser=mine(tmp_path, body))
    assert str(error.value).startswith("m.onnx: parser ")


RIGHT = {
    "return [Object(box([8, 8, 24, 24]), 3, 'mine', 0.5)]": [("mine", 3, [8, 8, 24, 24])],
    "return np.array([[8, 8, 24, 24, 0.5, 3]])": [("truck?", 3, [8, 8, 24, 24])],
    "return [(8, 8, 24, 24, 0.5, 3)]": [("truck?", 3, [8, 8, 24, 24])],
    "return None": [],
    "return []": [],
}


@pytest.mark.parametrize("body", RIGHT)
def test_what_a_parser_may_return(run, tmp_path, body):
    path = make_detector(tmp_path / "m.onnx", BOXES, classes=5)
    (tmp_path / "m.yaml").write_text("labels: {3: 'truck?'}\ninput: {fit: stretch}\n")
    found = run(picture(size=(128, 64)), model=path, parser=mine(tmp_path, body)).objects
    assert [(o.label, o.class_id) for o in found] == [(label, number) for label, number, _ in RIGHT[body]]
    for each, (_, _, sides) in zip(found, RIGHT[body], strict=True):
        np.testing.assert_allclose(each.box, np.array(sides) * (2, 1, 2, 1))
        assert each.stage == "m" and each.confidence == 0.5


def test_a_parser_may_say_labels_or_text(run, tmp_path):
    path = make_detector(tmp_path / "m.onnx", BOXES)
    frame = run(model=path, parser=mine(tmp_path, "return [Label('mood', 'calm', 0.5)]"))
    assert frame.readings[0].labels[0].value == "calm"
    assert run(model=path, parser=mine(tmp_path, "return 'AB 12'")).readings[0].text == "AB 12"


def test_a_class_is_made_once_and_sees_one_picture_at_a_time(run, tmp_path):
    path = make_detector(tmp_path / "m.onnx", BOXES, batch=None)
    (tmp_path / "mine.py").write_text(
        "class Parse:\n    def __init__(self):\n        self.calls = 0\n"
        "    def __call__(self, outputs, settings):\n        self.calls += 1\n"
        "        assert outputs['output'].ndim == 2\n        return str(self.calls)\n"
    )
    (tmp_path / "m.yaml").write_text("parser: mine.py:Parse\n")  # beside the card
    batch = Batch([picture(n) for n in range(3)])
    run(batch, model=path)
    assert [frame.readings[0].text for frame in batch.frames] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.py:parse", "there is no file .*nowhere.py"),
        ("no_such_module_here:parse", "there is no module .no_such_module_here."),
        ("mine.py:prase", "mine.py has no prase; it has: parse"),
        ("broken.py:parse", r"cannot be run: SyntaxError"),
        ("failing.py:Parse", r"Parse\(\) raised RuntimeError: no"),
        ("number.py:parse", "is no function"),
    ],
)
def test_a_parser_that_cannot_be_had(run, tmp_path, name, message):
    mine(tmp_path, "return None")
    (tmp_path / "broken.py").write_text("def parse(:\n")
    (tmp_path / "failing.py").write_text("class Parse:\n    def __init__(self):\n        raise RuntimeError('no')\n")
    (tmp_path / "number.py").write_text("parse = 7\n")
    where = name if "no_such" in name else f"{tmp_path}/{name}"
    with pytest.raises(ConfigError, match=message):
        run(model=make_detector(tmp_path / "m.onnx", BOXES), parser=where)


# in a pipeline


def test_an_error_names_the_element_and_the_stream(tmp_path, clip):
    flow = millrace.open(str(clip())).infer(
        make_detector(tmp_path / "m.onnx", BOXES), parser=mine(tmp_path, "return 7"), name="cars"
    )
    with pytest.raises(ElementError, match=r"cars.*: m\.onnx: parser .*mine\.py:parse: it returned int.*clip 0"):
        flow.run()


def test_others_go_on_where_errors_are_skipped(tmp_path, clip):
    body = "seen.append(1)\n    if len(seen) % 2:\n        raise ValueError('odd')\n\n\nseen = []"
    flow = millrace.open(str(clip(count=6))).infer(
        make_detector(tmp_path / "m.onnx", BOXES), parser=mine(tmp_path, body), on_error="skip", parallel=1
    )
    assert [frame.index for frame in flow] == [1, 3, 5]
