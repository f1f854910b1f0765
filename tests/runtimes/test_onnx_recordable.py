"""Which networks a CUDA graph may be recorded of, and what is taken for the same result."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from millrace.media import TensorInfo
from millrace.runtimes.onnx_recordable import _FIXED, NUMBERS, Unrecorded, compare, prove_recordable, random_inputs

onnx = pytest.importorskip("onnx", reason="the models are made with it")
from onnx import parser  # noqa: E402


@pytest.fixture
def proved(tmp_path):
    """`proved(nodes, functions="")`: prove_recordable of a network with the input x float[N, 3, 4, 5]."""

    def prove(nodes, functions=""):
        model = parser.parse_model(
            '<ir_version: 8, opset_import: ["": 17, "own": 1, "com.microsoft": 1]>'
            f"g (float[N, 3, 4, 5] x) => (y) <int64[1] one = {{1}}, int64[1] none = {{0}}> {{ {nodes} }} {functions}"
        )
        onnx.save(model, str(tmp_path / "m.onnx"))
        prove_recordable(tmp_path / "m.onnx")

    return prove


FUNCTION = '<domain: "own", opset_import: ["": 17]> Twin (a) => (b)'
BRANCHES = "<then_branch = t () => (z) {{ {} }}, else_branch = e () => (w) {{ w = Identity (x) }}>"
DATA = "m = ReduceMax <keepdims = 0> (x) k = Cast <to = 7> (m) n = Unsqueeze (k, none)"  # k int64[], n int64[1]


@pytest.mark.parametrize(
    "nodes",
    [
        "s = Shape (x) b = Gather (s, none) l = Constant <value_ints = [-1]> () t = Concat <axis = 0> (b, l)"
        " y = Reshape (x, t)",
        "s = Size (x) z = Constant <value_int = 0> () o = Constant <value_int = 1> () y = Range (z, s, o)",
        "s = Shape (x) y = ConstantOfShape (s)",
        "a, i = TopK (x, one) y = GatherElements (x, i)",  # which cells it takes may depend on the pictures
        "z = Constant <value_float = 0.0> () y = Clip (x, z)",
        "s = Shape (x) f = Cast <to = 1> (s) h = Mul (f, f) r = Cast <to = 7> (h) y = Resize (x, , , r)",
        "s = Size (x) c = Cast <to = 9> (s) y = If (c) " + BRANCHES.format("z = Neg (x)"),
        "s = Size (x) c = Cast <to = 9> (s) t = If (c) <then_branch = t () => (z) { z = Shape (x) }, else_branch ="
        " e () => (w) { w = Identity (one) }> y = ConstantOfShape (t)",
        "y = com.microsoft.QuickGelu (x)",
    ],
)
def test_sizes_that_follow_from_shapes_and_constants_are_fixed(proved, nodes):
    proved(nodes)


@pytest.mark.parametrize(
    ("operator", "nodes"),
    [
        ("NonZero", "y = NonZero (x)"),
        ("Unique", "y = Unique (x)"),
        ("Compress", "b = Cast <to = 9> (x) y = Compress (x, b)"),
        ("NonMaxSuppression", "b = Squeeze (x, none) y = NonMaxSuppression (b, b)"),
        ("SequenceConstruct", "s = SequenceConstruct (x) y = ConcatFromSequence <axis = 0> (s)"),
        ("StringNormalizer", "s = Cast <to = 8> (x) y = StringNormalizer (s)"),
        ("RandomNormalLike", "y = RandomNormalLike (x)"),
        ("Reshape", f"{DATA} y = Reshape (x, n)"),
        ("Expand", f"{DATA} y = Expand (x, n)"),
        ("ConstantOfShape", f"{DATA} y = ConstantOfShape (n)"),
        ("Range", f"{DATA} z = Constant <value_int = 0> () o = Constant <value_int = 1> () y = Range (z, k, o)"),
        ("Slice", f"{DATA} y = Slice (x, none, n)"),
        ("Tile", f"{DATA} t = Concat <axis = 0> (one, one, one, n) y = Tile (x, t)"),
        ("TopK", f"{DATA} y, i = TopK (x, n)"),
        ("Resize", f"{DATA} t = Concat <axis = 0> (one, one, one, n) y = Resize (x, , , t)"),
        ("Pad", f"{DATA} t = Concat <axis = 0> (none, none, none, n, none, none, none, n) y = Pad (x, t)"),
        ("OneHot", f"{DATA} v = Constant <value_floats = [0.0, 1.0]> () y = OneHot (x, k, v)"),
        ("If", "m = ReduceMax <keepdims = 0> (x) c = Cast <to = 9> (m) y = If (c) " + BRANCHES.format("z = Neg (x)")),
        ("NonZero", "s = Size (x) c = Cast <to = 9> (s) y = If (c) " + BRANCHES.format("z = NonZero (x)")),
        ("Loop", "y = Loop (one, ) <body = b (int64 i, bool c) => (d, z) { d = Identity (c) z = Identity (x) }>"),
        ("Scan", "y = Scan <num_scan_inputs = 1, body = b (float[3, 4, 5] a) => (z) { z = Neg (a) }> (x)"),
        ("Detect", "y = own.Detect (x)"),
        ("Attention", "y = com.microsoft.Attention (x)"),
    ],
)
def test_sizes_that_may_depend_on_pictures_are_not(proved, operator, nodes):
    with pytest.raises(Unrecorded, match=f"how much the operator {operator} gives may depend on the pictures"):
        proved(nodes)


def test_functions_are_looked_into(proved):
    proved("y = own.Twin (x)", f"{FUNCTION} {{ s = Shape (a) b = ConstantOfShape (s) }}")
    with pytest.raises(Unrecorded, match="operator NonZero"):
        proved("y = own.Twin (x)", f"{FUNCTION} {{ b = NonZero (a) }}")


def test_the_tables_name_operators_that_there_are():
    assert {*_FIXED, *NUMBERS} <= {each.name for each in onnx.defs.get_all_schemas() if each.domain == ""}
    assert not _FIXED & NUMBERS.keys()
    for name, places in NUMBERS.items():
        assert max(places) < max(s.max_input for s in onnx.defs.get_all_schemas_with_history() if s.name == name), name


def test_what_cannot_be_read_is_in_doubt(tmp_path, monkeypatch):
    (tmp_path / "m.ort").write_bytes(b"\xff\xfe no protobuf")
    with pytest.raises(Unrecorded, match="cannot be read"):
        prove_recordable(tmp_path / "m.ort")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Unrecorded, match=r"needs onnx: pip install 'millrace\[convert\]'"):
        prove_recordable(tmp_path / "m.ort")


def test_models_of_the_test_data(corpus):
    prove_recordable(corpus / "models/detect/yolox_nano_384x640_dynbatch.onnx")
    with pytest.raises(Unrecorded, match=r"NonMaxSuppression \(nonmaxsuppression_418_n\)"):
        prove_recordable(next(corpus.glob("models/**/omz_person_vehicle_bike_2002_512_nms.onnx")))


def test_noise_has_the_types_that_are_asked_for():
    infos = [TensorInfo(kind, (None, 9, 99), kind) for kind in ("float32", "float16", "uint8", "int64", "bool")]
    for info, noise in zip(infos, random_inputs(infos, [(2, 9, 99)] * 5), strict=True):
        assert (noise.shape, noise.dtype) == ((2, 9, 99), np.dtype(info.dtype))
        assert noise.min() >= 0
        assert noise.max() == (255 if info.dtype == "uint8" else pytest.approx(1, abs=2e-3))


def test_last_bits_may_differ_but_not_results():
    rng = np.random.default_rng(3)
    boxes, scores = 640 * rng.random((4, 300, 4), np.float32), 1e-3 * rng.random((4, 300, 80), np.float32)
    want = {"found": np.concatenate([boxes, scores], 2), "classes": np.arange(1200), "none": np.zeros((0, 4))}
    compare({**want, "found": want["found"] * (1 + rng.normal(0, 1e-3, (4, 300, 84)))}, want)
    swapped = np.arange(1200)
    swapped[[7, 8]] = 8, 7
    compare({**want, "classes": swapped}, want)
    holes = {"found": np.array([np.nan, np.inf, 1])}
    compare(holes, holes)
    for wrong in (
        {"found": np.concatenate([boxes, np.roll(scores, 1, 1)], 2)},  # small numbers beside large ones
        {"classes": np.roll(want["classes"], 1)},
        {"none": np.zeros((1, 4))},
        {"found": np.full_like(want["found"], np.nan)},
    ):
        with pytest.raises(Unrecorded, match=f"its output {next(iter(wrong))} was another"):
            compare({**want, **wrong}, want)
