"""INT8 and FP16 files: they run, they are near, and layers that suffer are found and can be left out."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import onnx
import pytest
from builder.networks import make_classifier, pictures

from millrace.builder.quantise import Quantiser, spread, to_half
from millrace.engines import Engine
from millrace.metrics.agreement import errors


def answers(model, calls):
    with closing(Engine("onnx", {"parallel": 1}).load(model)) as runtime:
        return [runtime.run(call) for call in calls]


@pytest.fixture
def calls():
    return [{"images": picture} for picture in pictures(8)]


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_every_method_gives_a_model_near_the_original(tmp_path, calls, method, capfd):
    model = make_classifier(tmp_path / "m.onnx")
    path = Quantiser(model, tmp_path, calls).write("q.onnx", method)
    largest, _ = errors(answers(model, calls), answers(path, calls))
    assert 0 < largest < 0.2
    kinds = [node.op_type for node in onnx.load(str(path)).graph.node]
    assert "QuantizeLinear" in kinds and "DequantizeLinear" in kinds
    assert capfd.readouterr().out == ""  # the tools' own talk is not the user's


def test_old_opsets_are_raised_first(tmp_path, calls):
    model = make_classifier(tmp_path / "m.onnx", opset=11)
    assert answers(Quantiser(model, tmp_path, calls).write("q.onnx", "minmax"), calls)


def test_the_layer_that_suffers_is_found_and_left_out(tmp_path, calls):
    model = make_classifier(tmp_path / "m.onnx", harm=True)
    reference = answers(model, calls)
    quantiser = Quantiser(model, tmp_path, calls)
    assert quantiser.nodes == ["first", "second"]
    worst = quantiser.by_error(answers, "minmax", calls[:2], reference[:2])
    assert worst[0] == "second"
    ruined = errors(reference, answers(quantiser.write("all.onnx", "minmax"), calls))[1]
    spared = errors(reference, answers(quantiser.write("some.onnx", "minmax", ["second"]), calls))[1]
    assert spared < ruined / 4


def test_half_precision_keeps_inputs_and_outputs(tmp_path, calls):
    model = make_classifier(tmp_path / "m.onnx")
    to_half(model, tmp_path / "h.onnx")
    largest, _ = errors(answers(model, calls), answers(tmp_path / "h.onnx", calls))
    assert 0 <= largest < 0.02
    assert onnx.load(str(tmp_path / "h.onnx")).graph.initializer[0].data_type == onnx.TensorProto.FLOAT16


def test_a_file_that_is_no_model_is_a_value_error(tmp_path, calls):
    (tmp_path / "m.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError):
        to_half(tmp_path / "m.onnx", tmp_path / "h.onnx")


def test_spread_is_even():
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread([1, 2], 4) == [1, 2]
    assert np.all(np.diff(spread(list(range(100)), 7)) >= 16)
