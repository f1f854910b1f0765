"""An engine says what it is and loads its own file."""

from __future__ import annotations

import pytest

from millrace.core import ConfigError
from millrace.engines import Engine
from millrace.testing.models import make_level_model


def test_labels_tell_engines_apart():
    engine = Engine("onnx", {"parallel": 2, "threads": 1}, note="spinning")
    assert engine.label == "onnx fp32, 2 calls of 1 thread, spinning"
    assert Engine("openvino", {"parallel": 1, "threads": 2}, "bf16", 4).label == (
        "openvino bf16, 1 call of 2 threads, batch 4"
    )


def test_a_description_survives_and_nonsense_is_refused():
    engine = Engine("onnx", {"parallel": 2}, "int8", file="a.onnx")
    assert Engine.from_dict(engine.to_dict()) == engine
    for wrong in ({"runtime": "abacus"}, {"options": 3}, {"batch": "many"}, {"colour": "red"}):
        with pytest.raises(TypeError):
            Engine.from_dict(wrong)


def test_it_loads_the_model_or_its_own_file(tmp_path):
    model = make_level_model(tmp_path / "m.onnx")
    (tmp_path / "own").mkdir()
    make_level_model(tmp_path / "own" / "half.onnx", width=16, height=16)
    plain = Engine("onnx", {"parallel": 1}).load(model)
    own = Engine("onnx", {"parallel": 1}, file="half.onnx").load(model, "cpu", tmp_path / "own")
    try:
        assert (plain.inputs[0].shape[2], own.inputs[0].shape[2]) == (32, 16)
    finally:
        plain.close()
        own.close()


def test_an_option_or_file_that_is_wrong_is_a_value_error(tmp_path):
    model = make_level_model(tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="nosuch"):
        Engine("onnx", {"nosuch": 1}).load(model)
    with pytest.raises(ConfigError):
        Engine("tensorrt").load(model)
