from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from millrace.testing.bench_model import make_resnet


def test_it_finds_the_same_boxes_in_every_picture(tmp_path):
    pytest.importorskip("onnx")
    path = make_resnet(tmp_path / "a.onnx", boxes=7, width=96, height=64)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(0).random((3, 3, 64, 96), np.float32)
    (rows,) = session.run(None, {"images": pictures})
    assert rows.shape == (3, 7, 6)
    assert np.array_equal(rows[0], rows[2])
    boxes = rows[0, :, :4]
    assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.min() >= 0 and (boxes[:, 2:] <= (96, 64)).all()
    weights = [each for each in session.get_inputs()]
    assert [each.name for each in weights] == ["images"]
