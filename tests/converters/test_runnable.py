"""A Caffe model runs as it is: converted once, then taken from the cache."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
from caffe_nets import detector, write

from millrace import converters, devices


def test_a_caffe_model_runs_and_is_converted_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write(detector(), tmp_path)
    made = []
    convert = converters.convert
    monkeypatch.setattr(converters, "convert", lambda *a: made.append(a) or convert(*a))
    for name in (path, path.with_suffix(".prototxt")):
        runtime = devices.load_runtime(name, "cpu")
        try:
            assert runtime.run({"data": np.ones((1, 4, 12, 16), np.float32)})["found"].shape[3] == 7
        finally:
            runtime.close()
    assert len(made) == 1
    text = path.with_suffix(".prototxt").read_text()
    path.with_suffix(".prototxt").write_text(text.replace("keep_top_k: 12", "keep_top_k: 2"))
    devices.load_runtime(path, "cpu").close()
    assert len(made) == 2  # another content, another entry


def test_other_models_pass(tmp_path):
    assert converters.runnable(tmp_path / "m.onnx") == tmp_path / "m.onnx"
    with pytest.raises(ValueError, match="there is no file"):
        converters.runnable(tmp_path / "m.caffemodel")
