"""Caffe → ONNX: every layer against its plain NumPy meaning, whole nets, SSD's detections, files that are wrong."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
import onnxruntime as ort
from caffe_nets import CASES, Case, detector, layer, write

from millrace.converters import caffe
from millrace.converters.caffemodel import read_net
from millrace.converters.prototext import parse


def run(conversion, inputs):
    session = ort.InferenceSession(conversion.model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [out.name for out in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def numbers(case, count=1):
    return np.random.default_rng(7).uniform(case.low, 2.0, (count, *case.shape[1:])).astype(np.float32)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_layer_is_what_its_definition_says(case, tmp_path):
    conversion = caffe.convert(write(case, tmp_path))
    for count in (1, 2):  # the number of pictures is free
        inputs = {"data": numbers(case, count)}
        got, want = run(conversion, inputs), conversion.reference(inputs)
        assert got.keys() == want.keys()
        for name, value in want.items():
            assert got[name].shape == value.shape
            assert np.abs(got[name] - value).max() < 2e-5 * max(1.0, np.abs(value).max())


@pytest.mark.parametrize("code", ["CENTER_SIZE", "CORNER", "CORNER_SIZE"])
@pytest.mark.parametrize("shared", [True, False])
def test_detections_of_an_ssd_head(tmp_path, code, shared):
    case = detector(code, shared)
    conversion = caffe.convert(write(case, tmp_path))
    seen = 0
    for seed in range(4):
        inputs = {"data": np.random.default_rng(seed).normal(0, 1.5, case.shape).astype(np.float32)}
        got, want = run(conversion, inputs)["found"], conversion.reference(inputs)["found"]
        seen += want.shape[2]
        assert got.shape == want.shape
        assert np.abs(got - want).max(initial=0) < 1e-5
    assert seen > 20


def test_no_detection_is_no_row(tmp_path):
    case = detector()
    case = case._replace(layers=case.layers.replace("confidence_threshold: 0.4", "confidence_threshold: 1.5"))
    conversion = caffe.convert(write(case, tmp_path))
    assert run(conversion, {"data": np.ones(case.shape, np.float32)})["found"].shape == (1, 1, 0, 7)


def test_weights_in_the_old_form(tmp_path):
    case = next(case for case in CASES if case.name == "conv")
    conversion = caffe.convert(write(case, tmp_path, old=True))
    inputs = {"data": numbers(case)}
    assert np.abs(run(conversion, inputs)["out"] - conversion.reference(inputs)["out"]).max() < 1e-4


def test_a_layer_that_is_not_known_is_named(tmp_path):
    path = write(Case("odd", (1, 3, 4, 4), layer("SPP", name="pyramid")), tmp_path)
    with pytest.raises(
        ValueError, match=r"odd\.prototxt: these layers are not known to the converter: SPP \(layer 'pyramid'\)"
    ):
        caffe.convert(path)


def test_what_a_layer_lacks_is_named_with_the_layer(tmp_path):
    path = write(
        Case("bare", (1, 3, 4, 4), layer("Convolution", "convolution_param { num_output: 2 kernel_size: 1 }")), tmp_path
    )
    with pytest.raises(ValueError, match=r"layer 'one' \(Convolution\): has no weights in the caffemodel"):
        caffe.convert(path)
    path = write(Case("hole", (1, 3, 4, 4), layer("ReLU", bottom="nowhere")), tmp_path)
    with pytest.raises(ValueError, match="layer 'one' reads 'nowhere', which no layer before it writes"):
        caffe.convert(path)
    path = write(
        Case("random", (1, 3, 4, 4), layer("Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }")), tmp_path
    )
    with pytest.raises(ValueError, match=r"layer 'one' \(Pooling\): STOCHASTIC pooling cannot be converted"):
        caffe.convert(path)


def test_layers_of_the_training_are_left_out(tmp_path):
    text = layer("ReLU", name="use") + layer("Accuracy", bottom="out,data", top="right", name="judge")
    text += layer("Sigmoid", "include { phase: TRAIN }", top="more", name="train")
    net = read_net(*(lambda p: (p.with_suffix(".prototxt"), p))(write(Case("t", (1, 3, 4, 4), text), tmp_path)))
    assert [one.name for one in net.layers] == ["use"]
    path = write(Case("d", (1, 3, 4, 4), layer("Data", top="x", name="feed")), tmp_path)
    with pytest.raises(ValueError, match=r"'feed' reads training data \(Data\); use the deploy\.prototxt"):
        caffe.convert(path)


def test_inputs_and_types_as_files_of_2014_write_them(tmp_path):
    path = write(Case("v1", (1, 3, 4, 4), ""), tmp_path)
    path.with_suffix(".prototxt").write_text(
        'name: "v1" input: "data" input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 4\n'
        'layers { name: "r" type: RELU bottom: "data" top: "data" }\n'
        'layers { name: "p" type: POOLING bottom: "data" top: "out" pooling_param { kernel_size: 2 stride: 2 } }'
    )
    inputs = {"data": np.random.default_rng(1).normal(size=(1, 3, 4, 4)).astype(np.float32)}
    conversion = caffe.convert(path)
    assert np.array_equal(run(conversion, inputs)["out"], conversion.reference(inputs)["out"])


@pytest.mark.parametrize(
    ("what", "content", "message"),
    [
        (".prototxt", b"layer { name: ", "bad.prototxt is not a prototxt: line 1: name has no value"),
        (".prototxt", b"name: 'x'\n@", "bad.prototxt is not a prototxt: line 2: '@' is not understood"),
        (".prototxt", b"name: 'x'", "bad.prototxt has no layers"),
        (".prototxt", b"layer { type: 'ReLU' }", "names no input with a shape"),
        (".prototxt", None, "there is no file .*bad.prototxt"),
        (".caffemodel", b"not a model at all", "bad.caffemodel is not a caffemodel, or is cut off"),
        (".caffemodel", None, "there is no file .*bad.caffemodel"),
    ],
)
def test_bad_files_are_named(tmp_path, what, content, message):
    path = write(Case("bad", (1, 3, 4, 4), layer("ReLU")), tmp_path)
    file = path.with_suffix(what)
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        caffe.convert(path)


def test_a_model_that_is_cut_off_is_named(tmp_path):
    path = write(next(case for case in CASES if case.name == "conv"), tmp_path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match="is cut off: a field of"):
        caffe.convert(path)


def test_prototext():
    message = parse(
        """# a comment
        name: "a\\"b" 'c'  size: [1, 2]  size: 3  kind: MAX  flag: true  far: -1e-3f
        inner < dim: 0x10; >  inner { dim: 2 }"""
    )
    assert message.one("name") == 'a"bc'
    assert message.all("size") == [1, 2, 3]
    assert (message.one("kind"), message.one("flag"), message.one("far")) == ("MAX", True, -0.001)
    assert [inner.one("dim") for inner in message.all("inner")] == [16, 2]
    assert message.message("none").one("dim", 7) == 7


@pytest.mark.parametrize("name", ["ultraface_RFB-320", "face-detection-retail-0044", "wechat_detect"])
def test_real_nets_agree_with_their_plain_evaluation(corpus, name):
    conversion = caffe.convert(corpus / "models/caffe" / f"{name}.caffemodel")
    (info,) = conversion.model.graph.input
    shape = [dim.dim_value or 1 for dim in info.type.tensor_type.shape.dim]
    import cv2

    picture = cv2.resize(cv2.imread(str(corpus / "golden/one_f300.png")), (shape[3], shape[2])).astype(np.float32)
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[..., None] / 255 if shape[1] == 1 else picture
    inputs = {info.name: np.ascontiguousarray(picture.transpose(2, 0, 1)[None])}
    got, want = run(conversion, inputs), conversion.reference(inputs)
    for key, value in want.items():
        assert got[key].shape == value.shape
        assert np.abs(got[key] - value).max(initial=0) < 1e-3 * max(1.0, np.abs(value).max(initial=0))
