"""A model made float16: what goes in, what comes out, how far it is from float32."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from millrace.runtimes.onnx_float16 import as_float16
from millrace.testing.models import make_detector

pytest.importorskip("onnx", reason="the converter needs it")
YOLOX = "models/detect/yolox_nano_384x640_dynbatch.onnx"


def run(model, feed):
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    kind = np.float16 if given.type == "tensor(float16)" else np.float32
    return session.run(None, {given.name: feed.astype(kind)}), given.type, [out.type for out in session.get_outputs()]


def test_inputs_are_half_and_outputs_whole(tmp_path):
    path = make_detector(tmp_path / "m.onnx", [(10.0, 10.0, 30.0, 40.0, 0.9, 3)], batch=None)
    feed = np.ones((2, 3, 64, 64), np.float32)
    (want,), _, _ = run(str(path), feed)
    (found,), given, out = run(as_float16(path), feed)
    assert (given, out) == ("tensor(float16)", ["tensor(float)"])
    assert np.allclose(found, want, rtol=2e-3, atol=1e-3)


def test_a_real_detector_keeps_its_boxes(corpus):
    path = corpus / YOLOX
    feed = np.random.default_rng(1).integers(0, 255, (1, 3, 384, 640)).astype(np.float32)
    (want,), _, _ = run(str(path), feed)
    (found,), _, _ = run(as_float16(path), feed)
    assert np.linalg.norm(found - want) <= 1e-2 * np.linalg.norm(want)


def test_what_is_no_model_is_named(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"\xff\xfe no model")
    with pytest.raises(ValueError, match=r"bad\.onnx cannot be made float16: .*; leave out `precision`"):
        as_float16(tmp_path / "bad.onnx")
