"""ONNX Runtime: shapes, results, calls in flight, clean errors, threads that end."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from millrace.runtimes.onnx import load, usable_cores
from millrace.testing.models import make_detector, make_level_model

BOX = (10.0, 10.0, 30.0, 40.0, 0.9, 3)


@pytest.fixture
def runtime(tmp_path):
    loaded = load(make_level_model(tmp_path / "level.onnx"), parallel=2)
    yield loaded
    loaded.close()


def picture(level):
    return {"images": np.full((1, 3, 32, 32), level, np.float32)}


def test_tensors_and_metadata_are_described(tmp_path):
    runtime = load(make_detector(tmp_path / "m.onnx", [BOX], batch=None, metadata={"names": "{0: 'a'}"}))
    try:
        assert str(runtime.inputs[0]) == "images float32[?, 3, 64, 64]"
        assert str(runtime.outputs[0]) == "output float32[?, 84, 85]"
        assert runtime.metadata["names"] == "{0: 'a'}"
        assert runtime.parallel == usable_cores()
    finally:
        runtime.close()


def test_run_gives_outputs_by_name(runtime):
    out = runtime.run(picture(0.5))
    assert out["output0"].shape == (1, 1, 6)
    assert out["output0"][0, 0, 0] == pytest.approx(8.0)


def test_submitted_calls_run_side_by_side_and_announce_themselves(runtime):
    meet = threading.Barrier(2, timeout=10)
    done = threading.Semaphore(0)

    def make(level):
        meet.wait()  # passes only when two calls are under way at the same time
        return picture(level)

    futures = [runtime.submit(lambda level=level: make(level), done.release) for level in (0.25, 0.5)]
    assert [f.result(timeout=10)["output0"][0, 0, 0] for f in futures] == pytest.approx([4.0, 8.0])
    assert all(done.acquire(timeout=10) for _ in range(2))


def test_a_wrong_shape_is_a_plain_error(runtime):
    with pytest.raises(ValueError, match="refused its input"):
        runtime.run({"images": np.zeros((1, 3, 5, 5), np.float32)})


def test_an_error_while_preparing_reaches_the_caller(runtime):
    def broken():
        raise KeyError("no picture")

    with pytest.raises(KeyError, match="no picture"):
        runtime.submit(broken).result(timeout=10)


@pytest.mark.parametrize("content", [b"", b"not a model at all", None])
def test_a_bad_file_is_named(tmp_path, content):
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.onnx"):
        load(path)


def test_only_the_cpu(tmp_path):
    with pytest.raises(ValueError, match="CPU only"):
        load(tmp_path / "m.onnx", device="cuda:0")


def test_threads_end_at_close(tmp_path):
    runtime = load(make_level_model(tmp_path / "level.onnx"), parallel=2)
    runtime.submit(picture(0.1)).result(timeout=10)
    assert any(t.name.startswith("millrace-onnx") for t in threading.enumerate())
    runtime.close()
    runtime.close()
    assert not any(t.name.startswith("millrace-onnx") for t in threading.enumerate())
