"""TensorRT's calls, with a stand-in for the library that checks them: what is built, kept, calibrated and run.

The stand-in knows the part of the API (versions 10 and 11) that is used and refuses what is not in it. Its "engine"
doubles its input. Nothing here shows that the real library does what its documentation says.
"""

from __future__ import annotations

import ctypes
import importlib
import pickle
import sys
import types

import numpy as np
import pytest
from host_gpu import host_gpu  # noqa: F401

from millrace.cuda.memory import empty

BATCH, SHAPE = -1, (3, 4, 4)


class Memory:
    """A slot over plain memory: addresses are those of NumPy arrays."""

    gpu_name = "Stand-in"
    stream = 77

    def __init__(self):
        self.arrays, self.outputs = {}, {}

    def begin(self):
        self.outputs.clear()

    def upload(self, name, value):
        self.arrays[name] = np.ascontiguousarray(value).copy()
        return self.arrays[name].ctypes.data

    def room(self, name, shape, dtype):
        self.outputs[name] = np.full(shape, np.nan, dtype)
        return self.outputs[name].ctypes.data

    def finish(self, names):
        return {name: self.outputs[name].copy() for name in names}

    def wait(self):
        pass


class Library(types.ModuleType):
    """`tensorrt`, as far as it is used. `calls` tells what was asked of it."""

    def __init__(self, version="10.9.0"):  # noqa: C901
        super().__init__("tensorrt")
        self.__version__ = version
        self.calls = []
        self.fails = None  # "parse", "build", "deserialize"
        library = self

        class Severity:
            INTERNAL_ERROR, ERROR, WARNING = range(3)

        class ILogger:
            def __init__(self):
                pass

        ILogger.Severity = Severity

        class Tensor:
            name, shape = "x", (BATCH, *SHAPE)

        class Network:
            num_inputs = 1

            def get_input(self, number):
                return Tensor()

        class Profile:
            def set_shape(self, name, least, best, most):
                library.calls.append(("profile", name, least, best, most))

        class Config:
            int8_calibrator = None

            def set_memory_pool_limit(self, pool, size):
                library.calls.append(("memory", pool, size))

            def set_flag(self, flag):
                library.calls.append(("flag", flag))

            def clear_flag(self, flag):
                library.calls.append(("no flag", flag))

            def add_optimization_profile(self, profile):
                assert isinstance(profile, Profile)

            def set_calibration_profile(self, profile):
                assert isinstance(profile, Profile)

        class Builder:
            def __init__(self, logger):
                assert isinstance(logger, ILogger)
                self.logger = logger

            def create_network(self, flags):
                assert flags == 0
                return Network()

            def create_builder_config(self):
                return Config()

            def create_optimization_profile(self):
                return Profile()

            def build_serialized_network(self, network, config):
                library.calls.append(("build",))
                calibrator = config.int8_calibrator
                if calibrator is not None and calibrator.read_calibration_cache() is None:
                    assert calibrator.get_batch_size() == 1
                    while (pointers := calibrator.get_batch(["x"])) is not None:
                        library.calls.append(("calibrate", float(read(pointers[0], (1, *SHAPE)).max())))
                    calibrator.write_calibration_cache(memoryview(b"scales"))
                if library.fails == "build":
                    self.logger.log(Severity.ERROR, "no kernel for this layer")
                    return None
                most = next((call[4][0] for call in library.calls if call[0] == "profile"), 1)
                return memoryview(pickle.dumps(most))

        class OnnxParser:
            num_errors = 1

            def __init__(self, network, logger):
                assert isinstance(network, Network)

            def parse_from_file(self, path):
                assert isinstance(path, str)
                return library.fails != "parse"

            def get_error(self, number):
                return types.SimpleNamespace(desc=lambda: "No importer registered for op: Odd")

        class Context:
            def __init__(self):
                self.shape, self.at = None, {}

            def set_input_shape(self, name, shape):
                assert name == "x"
                self.shape = shape
                return True

            def set_tensor_address(self, name, address):
                assert isinstance(address, int)
                self.at[name] = address

            def get_tensor_shape(self, name):
                return self.shape

            def execute_async_v3(self, stream):
                assert stream == 77
                read(self.at["y"], self.shape)[...] = 2 * read(self.at["x"], self.shape)
                return True

        class Engine:
            num_io_tensors = 2

            def __init__(self, most):
                self.most = most

            def get_tensor_name(self, number):
                return "xy"[number]

            def get_tensor_mode(self, name):
                return library.TensorIOMode.INPUT if name == "x" else library.TensorIOMode.OUTPUT

            def get_tensor_shape(self, name):
                return (BATCH, *SHAPE)

            def get_tensor_dtype(self, name):
                return "FLOAT"

            def get_tensor_profile_shape(self, name, profile):
                assert profile == 0
                return tuple((size, *SHAPE) for size in (1, self.most, self.most))

            def create_execution_context(self):
                return Context()

        class Runtime:
            def __init__(self, logger):
                self.logger = logger

            def deserialize_cuda_engine(self, plan):
                assert isinstance(plan, bytes)
                try:
                    return Engine(pickle.loads(plan))
                except pickle.UnpicklingError:
                    self.logger.log(Severity.ERROR, "magic tag does not match")
                    return None

        class Calibrator:
            def __init__(self):
                pass

        flags = {"TF32": "TF32"}
        if version.startswith("10"):
            flags |= {"FP16": "FP16", "BF16": "BF16", "INT8": "INT8"}
            self.IInt8EntropyCalibrator2 = Calibrator
        self.BuilderFlag = types.SimpleNamespace(**flags)
        self.MemoryPoolType = types.SimpleNamespace(WORKSPACE="WORKSPACE")
        self.TensorIOMode = types.SimpleNamespace(INPUT="in", OUTPUT="out")
        self.nptype = {"FLOAT": np.float32}.__getitem__
        self.ILogger, self.Builder, self.OnnxParser, self.Runtime = ILogger, Builder, OnnxParser, Runtime


def read(address, shape):
    count = int(np.prod(shape))
    return np.frombuffer((ctypes.c_float * count).from_address(address), np.float32).reshape(shape)


@pytest.fixture
def trt(monkeypatch):
    def install(version="10.9.0"):
        library = Library(version)
        monkeypatch.setitem(sys.modules, "tensorrt", library)
        for name in ("tensorrt", "tensorrt_build"):
            monkeypatch.delitem(sys.modules, f"millrace.runtimes.{name}", raising=False)
        tensorrt = importlib.import_module("millrace.runtimes.tensorrt")
        monkeypatch.setattr(tensorrt, "open_slots", lambda device, count: [Memory() for _ in range(count)])
        library.load = tensorrt.load
        return library

    yield install
    for name in ("tensorrt", "tensorrt_build"):
        sys.modules.pop(f"millrace.runtimes.{name}", None)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"an onnx model")
    return path


def numbers(count):
    return np.random.default_rng(1).normal(size=(count, *SHAPE)).astype(np.float32)


def test_an_engine_is_built_kept_and_used_again(trt, model, tmp_path):
    library = trt()
    for _ in range(2):
        runtime = library.load(model, batch=8, optimum=4, workspace=1.0, cache=tmp_path / "kept")
        try:
            assert [str(info) for info in runtime.inputs + runtime.outputs] == [
                "x float32[?, 3, 4, 4]",
                "y float32[?, 3, 4, 4]",
            ]
            assert runtime.batches
            for count in (1, 8, 19):  # more than the engine takes: several calls
                x = numbers(count)
                assert np.array_equal(runtime.run({"x": x})["y"], 2 * x)
        finally:
            runtime.close()
    assert library.calls.count(("build",)) == 1
    assert ("memory", "WORKSPACE", 1 << 30) in library.calls
    assert ("profile", "x", (1, *SHAPE), (4, *SHAPE), (8, *SHAPE)) in library.calls
    assert ("flag", "FP16") in library.calls
    library.load(model, batch=4, cache=tmp_path / "kept").close()
    model.write_bytes(b"another model")
    library.load(model, batch=4, cache=tmp_path / "kept").close()
    assert library.calls.count(("build",)) == 3  # another wish, another model
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_float32_is_float32(trt, model, tmp_path):
    library = trt()
    library.load(model, precision="float32", cache=tmp_path).close()
    assert ("no flag", "TF32") in library.calls
    assert not [call for call in library.calls if call[0] == "flag"]


def test_int8_is_calibrated_and_the_calibration_kept(trt, model, tmp_path):
    library = trt()
    feeds = [{"x": np.full((1, *SHAPE), value, np.float32)} for value in (1.0, 2.0, 3.0)]
    scales = tmp_path / "scales"
    library.load(
        model, precision="int8", calibration=feeds, calibration_cache=str(scales), cache=tmp_path / "a"
    ).close()
    assert [call[1] for call in library.calls if call[0] == "calibrate"] == [1.0, 2.0, 3.0]
    assert scales.read_bytes() == b"scales"
    assert ("flag", "INT8") in library.calls
    library.calls.clear()
    library.load(model, precision="int8", calibration_cache=str(scales), cache=tmp_path / "b").close()
    assert not [call for call in library.calls if call[0] == "calibrate"]
    np.savez(tmp_path / "feeds.npz", x=np.concatenate([feed["x"] for feed in feeds]))
    library.load(model, precision="int8", calibration=str(tmp_path / "feeds.npz"), cache=tmp_path / "c").close()
    assert [call[1] for call in library.calls if call[0] == "calibrate"] == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match="precision=int8 needs `calibration`"):
        library.load(model, precision="int8", cache=tmp_path / "d")


def test_a_quantised_model_needs_no_calibration(trt, model, tmp_path):
    library = trt()
    model.write_bytes(b"... QuantizeLinear ... DequantizeLinear ...")
    library.load(model, precision="int8", cache=tmp_path).close()
    assert ("flag", "INT8") in library.calls


def test_version_11_takes_the_precision_from_the_model(trt, model, tmp_path):
    library = trt("11.4.0")
    library.load(model, precision="float32", cache=tmp_path).close()
    with pytest.raises(ValueError, match=r"TensorRT 11\.4\.0 takes the precision from the model"):
        library.load(model, precision="float16", cache=tmp_path)


def test_an_engine_runs_as_it_is(trt, tmp_path):
    library = trt()
    path = tmp_path / "net.engine"
    path.write_bytes(pickle.dumps(4))
    runtime = library.load(path)
    try:
        assert np.array_equal(runtime.run({"x": numbers(5)})["y"], 2 * numbers(5))
        with pytest.raises(ValueError, match="refused its input"):
            runtime.run({"x": numbers(1)[:, :, :2]})
    finally:
        runtime.close()
    path.write_bytes(b"not an engine")
    with pytest.raises(ValueError, match=r"is not an engine for this GPU and TensorRT 10\.9\.0: magic tag"):
        library.load(path)


def test_more_pictures_of_a_gpu_than_the_engine_takes_are_cut_where_they_lie(trt, tmp_path, host_gpu):  # noqa: F811
    library = trt()
    path = tmp_path / "net.engine"
    path.write_bytes(pickle.dumps(4))
    runtime = library.load(path)
    array = empty(host_gpu.copies, (5, *SHAPE), np.float32)
    given = numbers(5)
    ctypes.memmove(array.pointer, given.ctypes.data, given.nbytes)
    try:
        assert np.array_equal(runtime.run({"x": array})["y"], 2 * given)
    finally:
        runtime.close()


def test_what_fails_is_told_in_tensorrts_words(trt, model, tmp_path):
    library = trt()
    library.fails = "parse"
    with pytest.raises(ValueError, match=r"net\.onnx cannot be read by TensorRT: No importer registered for op: Odd"):
        library.load(model, cache=tmp_path)
    library.fails = "build"
    with pytest.raises(ValueError, match=r"net\.onnx cannot be built by TensorRT: no kernel for this layer"):
        library.load(model, cache=tmp_path)
    with pytest.raises(ValueError, match="there is no file"):
        library.load(tmp_path / "none.engine")
    with pytest.raises(ValueError, match=r"no option 'batches'\. Did you mean 'batch'"):
        library.load(model, batches=3)
    with pytest.raises(ValueError, match="precision='int4' is not allowed"):
        library.load(model, precision="int4")
