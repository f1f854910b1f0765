"""ONNX Runtime: shapes, results, calls in flight, clean errors, threads that end."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from millrace.runtimes.base import usable_cores
from millrace.runtimes.onnx import load
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


def test_a_picture_with_gaps_on_the_gpu_is_refused(runtime):
    """TensorRT's provider reads pictures where they lie, and knows of no strides."""

    class Spread:
        shape, dtype = (1, 3, 32, 32), np.dtype("float32")
        __cuda_array_interface__ = {
            "shape": shape,
            "typestr": "<f4",
            "strides": (24576, 8192, 256, 8),
            "data": (64, False),
        }

    with pytest.raises(ValueError, match=r"images .*lies on the GPU with gaps"):
        runtime.call({"images": Spread()})


@pytest.mark.parametrize("content", [b"", b"not a model at all", None])
def test_a_bad_file_is_named(tmp_path, content):
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.onnx"):
        load(path)


def test_a_provider_that_the_package_lacks_is_named_with_what_to_install(tmp_path):
    model = make_level_model(tmp_path / "level.onnx")
    with pytest.raises(ValueError, match=r"no CUDAExecutionProvider, it has: cpu; .*onnxruntime-gpu"):
        load(model, device="cuda:0")
    with pytest.raises(ValueError, match=r"no OpenVINOExecutionProvider.*onnxruntime-openvino"):
        load(model, provider="openvino")
    with pytest.raises(ValueError, match="'cuda' does not run on the device 'cpu'"):
        load(model, provider="cuda")
    with pytest.raises(ValueError, match="enable_cuda_graph cannot be set: the option `graphs`"):
        load(model, provider_options={"enable_cuda_graph": 1})
    with pytest.raises(ValueError, match="provider='tpu' is not allowed: cpu, cuda, tensorrt, openvino"):
        load(model, provider="tpu")


def test_options_that_do_not_exist_are_errors(tmp_path):
    model = make_level_model(tmp_path / "level.onnx")
    with pytest.raises(ValueError, match=r"no option 'thread'\. Did you mean 'threads'"):
        load(model, thread=2)
    with pytest.raises(ValueError, match="optimization='most' is not allowed"):
        load(model, optimization="most")
    with pytest.raises(ValueError, match="precision='float16' is not allowed: float32"):
        load(model, precision="float16")
    for wrong in (4, [], [0], ["a"]):
        with pytest.raises(ValueError, match=r"graphs: .* is not allowed: true, false, or the sizes"):
            load(model, graphs=wrong)
    with pytest.raises(ValueError, match="tuned=1 is not allowed"):
        load(model, tuned=1)


def test_session_entries_and_optimization_reach_the_session(tmp_path):
    runtime = load(
        make_level_model(tmp_path / "m.onnx"), optimization="none", **{"session.intra_op.allow_spinning": "1"}
    )
    try:
        assert runtime.run(picture(0.5))["output0"][0, 0, 0] == pytest.approx(8.0)
    finally:
        runtime.close()


def test_a_library_of_operators_that_cannot_be_loaded_is_named(tmp_path):
    library = tmp_path / "mine.so"
    library.write_bytes(b"no library")
    with pytest.raises(ValueError, match=r"custom_ops: .*mine\.so cannot be loaded"):
        load(make_level_model(tmp_path / "level.onnx"), custom_ops=str(library))


def test_missing_external_data_is_named(tmp_path):
    """Weights beside the model, in a file that is not there."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((4, 3, 32, 32), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 3, 32, 32])], [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "big.onnx"
    onnx.save(model, path, save_as_external_data=True, location="big.weights", size_threshold=0)
    (tmp_path / "big.weights").unlink()
    with pytest.raises(ValueError, match=r"big\.onnx .*big\.weights"):
        load(path)


def test_threads_end_at_close(tmp_path):
    runtime = load(make_level_model(tmp_path / "level.onnx"), parallel=2)
    runtime.submit(picture(0.1)).result(timeout=10)
    assert any(t.name.startswith("millrace-onnx") for t in threading.enumerate())
    runtime.close()
    runtime.close()
    assert not any(t.name.startswith("millrace-onnx") for t in threading.enumerate())
