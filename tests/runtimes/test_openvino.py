"""OpenVINO: the same results as ONNX Runtime, calls in flight, its formats, its properties, clean errors."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

ov = pytest.importorskip("openvino", reason="needs millrace[openvino]")

from millrace.runtimes import onnx, openvino  # noqa: E402
from millrace.testing.models import make_detector, make_level_model  # noqa: E402

BOX = (10.0, 10.0, 30.0, 40.0, 0.9, 3)


@pytest.fixture
def level(tmp_path):
    return make_level_model(tmp_path / "level.onnx")


@pytest.fixture
def runtime(level):
    loaded = openvino.load(level, parallel=2)
    yield loaded
    loaded.close()


def picture(level):
    return {"images": np.full((1, 3, 32, 32), level, np.float32)}


def test_tensors_and_metadata_are_those_of_the_file(tmp_path):
    model = make_detector(tmp_path / "m.onnx", [BOX], batch=None, metadata={"names": "{0: 'a'}"})
    ours, theirs = openvino.load(model), onnx.load(model)
    try:
        assert ours.inputs == theirs.inputs
        assert ours.outputs == theirs.outputs
        assert ours.metadata["names"] == "{0: 'a'}"
    finally:
        ours.close()
        theirs.close()


def test_results_are_those_of_onnx_runtime(runtime, level):
    theirs = onnx.load(level)
    try:
        for value in (0.1, 0.5, 0.9):
            assert runtime.run(picture(value))["output0"] == pytest.approx(
                theirs.run(picture(value))["output0"], abs=1e-5
            )
    finally:
        theirs.close()


def test_results_are_arrays_of_their_own(runtime):
    """A request is used again: what it gave before must not change."""
    first = runtime.run(picture(0.25))["output0"]
    for _ in range(4):
        runtime.run(picture(0.75))
    assert first[0, 0, 0] == pytest.approx(4.0)


def test_submitted_calls_run_side_by_side_and_announce_themselves(runtime):
    meet = threading.Barrier(2, timeout=10)
    done = threading.Semaphore(0)

    def make(level):
        meet.wait()  # passes only when two calls are under way at the same time
        return picture(level)

    futures = [runtime.submit(lambda level=level: make(level), done.release) for level in (0.25, 0.5)]
    assert [f.result(timeout=10)["output0"][0, 0, 0] for f in futures] == pytest.approx([4.0, 8.0])
    assert all(done.acquire(timeout=10) for _ in range(2))


def test_the_interpreter_goes_on_while_it_runs(tmp_path):
    """The GIL is let go: another thread counts on while one long call runs, and the call gets no shorter by it."""
    model = save_ir(tmp_path, heavy_model())
    runtime = openvino.load(model, parallel=1)
    try:
        counted = 0
        future = runtime.submit({"x": np.ones((1, 64, 192, 192), np.float32)})
        while not future.done():
            counted += 1
        future.result(timeout=60)
        assert counted > 1000  # a call that held the GIL would leave one or two
    finally:
        runtime.close()


def heavy_model():
    x = ov.opset13.parameter([1, 64, 192, 192], np.float32, name="x")
    x.output(0).set_names({"x"})
    y = x
    for seed in range(6):
        weights = np.random.default_rng(seed).normal(0, 0.04, (64, 64, 3, 3)).astype(np.float32)
        y = ov.opset13.convolution(y, ov.opset13.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
    y.output(0).set_names({"y"})
    return ov.Model([y], [x], "heavy")


def save_ir(folder, model):
    path = folder / "model.xml"
    ov.save_model(model, path, compress_to_fp16=False)
    return path


def test_its_own_files_run_and_keep_their_names(tmp_path, level):
    path = save_ir(tmp_path, openvino.core().read_model(level))
    runtime = openvino.load(path)
    try:
        assert [str(info) for info in runtime.inputs] == ["images float32[?, 3, 32, 32]"]
        assert runtime.run(picture(0.5))["output0"][0, 0, 0] == pytest.approx(8.0)
    finally:
        runtime.close()


@pytest.mark.parametrize(
    ("options", "properties"),
    [
        ({"parallel": 3}, {"NUM_STREAMS": 3, "INFERENCE_NUM_THREADS": 3, "PERFORMANCE_HINT": "THROUGHPUT"}),
        ({"parallel": 2, "threads": 2}, {"NUM_STREAMS": 2, "INFERENCE_NUM_THREADS": 4}),
        ({}, {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False}),
        ({"precision": "bfloat16"}, {"INFERENCE_PRECISION_HINT": "bf16"}),
        ({"hint": "latency"}, {"PERFORMANCE_HINT": "LATENCY"}),
        ({"properties": {"NUM_STREAMS": 5}}, {"NUM_STREAMS": 5}),
    ],
)
def test_settings_become_properties(level, monkeypatch, options, properties):
    """What OpenVINO is asked for; it takes no more threads than there are cores."""
    asked = {}
    compile_model = ov.Core.compile_model

    def spy(self, model, device, config):
        asked.update(config)
        return compile_model(self, model, device, config)

    monkeypatch.setattr(ov.Core, "compile_model", spy)
    runtime = openvino.load(level, **options)
    try:
        assert asked.items() >= properties.items()
        assert runtime.parallel == (1 if "hint" in options else options.get("parallel", runtime.parallel))
    finally:
        runtime.close()


def test_the_precision_asked_for_is_the_one_used(level):
    model = openvino.core().read_model(level)
    compiled = openvino.core().compile_model(model, "CPU", openvino._properties("CPU", 2, 1, "throughput", "f32"))
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == ov.Type.f32


CLOSED_ELSEWHERE = """
import os, signal, sys, threading
import numpy as np
from millrace.runtimes import load

held = [load(sys.argv[1], runtime="openvino")]
held[0].run({"images": np.zeros((1, 3, 32, 32), np.float32)})
closing = threading.Thread(target=lambda: held.pop().close())
closing.start()
closing.join()
noted = []
signal.signal(signal.SIGINT, lambda number, frame: noted.append(number))
os.kill(os.getpid(), signal.SIGINT)
print("noted", len(noted))
"""


def test_a_signal_finds_its_stack_after_another_thread_has_closed_a_model(level):
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_ELSEWHERE, str(level)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "noted 1\n"), done.stderr


def test_a_cache_keeps_the_compiled_model(level, tmp_path):
    openvino.load(level, cache=tmp_path / "cache").close()
    assert list((tmp_path / "cache").iterdir())


def test_a_wrong_shape_type_or_name_is_a_plain_error(runtime):
    with pytest.raises(
        ValueError, match=r"refused its input: it takes images float32\[\?, 3, 32, 32\], and got images"
    ):
        runtime.run({"images": np.zeros((1, 3, 5, 5), np.float32)})
    with pytest.raises(ValueError, match="refused its input"):
        runtime.run({"images": np.zeros((1, 3, 32, 32), np.uint8)})
    with pytest.raises(ValueError, match="it takes images, and got pictures"):
        runtime.run({"pictures": np.zeros((1, 3, 32, 32), np.float32)})
    assert runtime.run(picture(0.5))["output0"][0, 0, 0] == pytest.approx(8.0)  # and it goes on


@pytest.mark.parametrize("name", ["bad.onnx", "bad.xml", "bad.tflite"])
@pytest.mark.parametrize("content", [b"", b"not a model at all", None])
def test_a_bad_file_is_named(tmp_path, name, content):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="bad"):
        openvino.load(path)


def test_a_model_without_its_weights_is_named(tmp_path):
    path = save_ir(tmp_path, heavy_model())
    path.with_suffix(".bin").unlink()
    with pytest.raises(ValueError, match=r"model\.xml"):
        openvino.load(path)


def test_a_device_that_is_not_there_and_wrong_options(level):
    with pytest.raises(ValueError, match=r"finds no device 'gpu:7' here; it finds: cpu"):
        openvino.load(level, "gpu:7")
    with pytest.raises(ValueError, match=r"no option 'thread'. Did you mean 'threads'\?"):
        openvino.load(level, thread=1)
    with pytest.raises(ValueError, match="precision='int4' is not allowed: float32"):
        openvino.load(level, precision="int4")


def test_threads_end_at_close(level):
    runtime = openvino.load(level, parallel=2)
    runtime.submit(picture(0.1)).result(timeout=10)
    runtime.close()
    runtime.close()
    deadline = time.monotonic() + 20
    while any(t.name.startswith("millrace-openvino") for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(t.name.startswith("millrace-openvino") for t in threading.enumerate())


@pytest.mark.parametrize(
    "name", ["detect/yolox_nano_416", "classify/omz_vehicle_attributes_0039_72", "reid/osnet_x0_25_msmt17"]
)
def test_real_models_give_the_same(corpus, name):
    path = corpus / "models" / f"{name}.onnx"
    ours, theirs = openvino.load(path), onnx.load(path)
    try:
        (info,) = theirs.inputs
        feed = {info.name: np.random.default_rng(3).uniform(0, 255, [d or 1 for d in info.shape]).astype(np.float32)}
        got, want = ours.run(feed), theirs.run(feed)
        for key, value in want.items():
            assert np.abs(got[key] - value).max() <= 1e-4 * max(1.0, np.abs(value).max())
    finally:
        ours.close()
        theirs.close()
