"""ONNX Runtime's CUDA provider, with graphs and without, against its CPU provider."""

from __future__ import annotations

import threading

import numpy as np
import onnxruntime as ort
import pytest
from together import together

from millrace.runtimes.onnx import load

if "CUDAExecutionProvider" not in ort.get_available_providers():  # the extra does not bring it: it is in its place
    pytest.skip("the installed ONNX Runtime has no CUDA provider: it is onnxruntime-gpu's", allow_module_level=True)

onnx = pytest.importorskip("onnx", reason="the models are made with it")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

YOLOX = "models/detect/yolox_nano_384x640_dynbatch.onnx"


def saved(path, nodes, outputs, constants=()):
    tensors = [numpy_helper.from_array(value, name) for name, value in dict(constants).items()]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 32, 48])
    made = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs]
    graph = helper.make_graph(nodes, "g", [images], made, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return str(path)


@pytest.fixture
def net(tmp_path):
    """Two convolutions with a sum around one, a resize; the map and five numbers of each picture."""
    rng = np.random.default_rng(5)
    sizes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,), "w3": (8, 5)}
    constants = {name: rng.normal(0, 0.3, size).astype(np.float32) for name, size in sizes.items()}
    constants["scales"] = np.array([1, 1, 2, 2], np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "w1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c2", "r1"], ["a2"]),
        helper.make_node("Relu", ["a2"], ["r2"]),
        helper.make_node("GlobalAveragePool", ["r2"], ["p2"]),
        helper.make_node("Flatten", ["p2"], ["f2"]),
        helper.make_node("MatMul", ["f2", "w3"], ["scores"]),
        helper.make_node("Resize", ["r2", "", "scales"], ["map"], mode="nearest"),
    ]
    outputs = [("map", TensorProto.FLOAT, ["N", 8, 32, 48]), ("scores", TensorProto.FLOAT, ["N", 5])]
    return saved(tmp_path / "net.onnx", nodes, outputs, constants)


@pytest.fixture
def opened(device, net):
    """`opened(where, path=net, **options)`: a runtime, closed at the end."""
    runtimes = []

    def open_(where=device, path=net, **options):
        runtimes.append(load(path, where, **options))
        return runtimes[-1]

    yield open_
    for runtime in runtimes:
        runtime.close()


def pictures(count, seed=0):
    return np.random.default_rng(seed).random((count, 3, 32, 48), np.float32)


def near(found, want, error):
    assert found.keys() == want.keys()
    for name, value in want.items():
        assert found[name].shape == value.shape
        assert np.linalg.norm(found[name].astype(np.float64) - value) <= error * np.linalg.norm(value), name


@pytest.mark.parametrize("nhwc", [0, 1])
@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-5), ("float16", 5e-3)])
@pytest.mark.parametrize("graphs", [True, False, [8]])
def test_the_same_numbers_as_on_the_cpu(opened, graphs, precision, error, nhwc):
    runtime, reference = (
        opened(graphs=graphs, precision=precision, provider_options={"prefer_nhwc": nhwc}),
        opened("cpu"),
    )
    for count in (1, 3, 8, 3):
        x = pictures(count, count)
        near(runtime.run({"images": x.astype(precision)}), reference.run({"images": x}), error)
    assert runtime.sizes == ([8] if graphs == [8] else [1, 4, 8] if graphs else [])


def test_the_session_works_on_our_stream_and_records(opened):
    for graphs in (True, False):
        runtime = opened(graphs=graphs)
        told = runtime._session.get_provider_options()["CUDAExecutionProvider"]
        assert int(told["user_compute_stream"]) == runtime._stream.handle
        assert (told["enable_cuda_graph"], told["use_tf32"]) == (str(int(graphs)), "0")


@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-4), ("float16", 1e-2)])
def test_a_real_detector(opened, corpus, precision, error):
    runtime = opened(path=corpus / YOLOX, graphs=[4], precision=precision)
    reference = opened("cpu", path=corpus / YOLOX)
    for count in (4, 1):
        x = np.random.default_rng(count).integers(0, 255, (count, 3, 384, 640)).astype(np.float32)
        found = runtime.run({"images": x.astype(precision)})
        near(found, reference.run({"images": x}), error)
    assert runtime.sizes == [4]


@pytest.mark.parametrize("graphs", [True, False])
def test_calls_under_way_do_not_touch_each_others_results(opened, graphs):
    runtime, reference = opened(graphs=graphs), opened("cpu")
    inputs = [pictures(1 + n % 4, seed=n) for n in range(24)]
    woken = threading.Semaphore(0)
    futures = [runtime.submit({"images": x}, done=woken.release) for x in inputs]
    results = [future.result(30) for future in futures]
    assert all(woken.acquire(timeout=10) for _ in futures)
    for x, found in zip(inputs, results, strict=True):
        near(found, reference.run({"images": x}), 1e-5)


def test_threads_that_share_a_network_get_their_own_answers(opened):
    runtime, reference = opened(graphs=[4]), opened("cpu")
    feeds = [pictures(4, seed) for seed in range(3)]
    wanted = [reference.run({"images": feed}) for feed in feeds]

    def ask(number):
        for _ in range(100):
            near(runtime.run({"images": feeds[number]}), wanted[number], 1e-5)

    together(ask)


@pytest.mark.parametrize("graphs", [True, False])
def test_pictures_that_the_gpu_still_makes_are_waited_for(device, opened, graphs):
    from millrace.imaging.cpu import open_imaging as on_cpu
    from millrace.imaging.cuda import open_imaging
    from millrace.imaging.cuda_upload import open_upload
    from millrace.media import Image, InputSpec

    spec = InputSpec(width=48, height=32, scale=1 / 255)
    levels = np.random.default_rng(7).integers(0, 255, (2160, 3840, 3)).astype(np.uint8)
    image = Image("RGB", [levels], 3840, 2160)
    there, imaging = open_upload(device)(image), open_imaging(device)
    runtime, reference = opened(graphs=graphs), opened("cpu")
    (one,) = [reference.run({"images": on_cpu("cpu").to_tensor([image], spec)[0]})]
    want = {name: np.repeat(value, 64, axis=0) for name, value in one.items()}
    for _ in range(20):
        feed, _ = imaging.to_tensor([there] * 64, spec)
        near(runtime.run({"images": feed}), want, 1e-3)


@pytest.mark.parametrize("options", [{"graphs": [8]}, {"precision": "float16"}, {"graphs": False}])
def test_a_pipeline_finds_the_same_objects(device, tmp_path, options):
    import millrace
    from millrace.elements.infer import Infer
    from millrace.testing.scene import Scene, write_clip

    clip = tmp_path / "street.mp4"
    write_clip(clip, Scene(4, frame_count=40, crowd=6))

    def objects(where, **more):
        infer = Infer(model="street", runtime="onnx", device=where, options=more)
        flow = millrace.open(str(clip), device=where).add(infer)
        return [[(each.label, *each.box.tolist()) for each in frame.objects] for frame in flow]

    want, found = objects("cpu"), objects(device, **options)
    assert len(want) == len(found) == 40
    assert sum(map(len, want)) > 60
    same = [
        any(a[0] == b[0] and np.abs(np.subtract(a[1:5], b[1:5])).max() <= 3 for b in got)
        for wanted, got in zip(want, found, strict=True)
        for a in wanted
    ]
    assert sum(same) >= 0.95 * max(sum(map(len, want)), sum(map(len, found)))


def with_unknown_count(path):
    """Where a picture is brighter than 0.5: as many rows as there are such pixels."""
    nodes = [
        helper.make_node("Greater", ["images", "half"], ["bright"]), helper.make_node("NonZero", ["bright"], ["where"]),
    ]  # fmt: skip
    return saved(path, nodes, [("where", TensorProto.INT64, [4, "k"])], {"half": np.array(0.5, np.float32)})


def with_a_branch(path):
    def branch(name, operator):
        node = helper.make_node(operator, ["images"], [f"{name}_out"])
        return helper.make_graph(
            [node], name, [], [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, ["N", 3, 32, 48])]
        )

    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Greater", ["mean", "half"], ["is"]),
        helper.make_node("If", ["is"], ["out"], then_branch=branch("yes", "Neg"), else_branch=branch("no", "Abs")),
    ]  # fmt: skip
    return saved(path, nodes, [("out", TensorProto.FLOAT, ["N", 3, 32, 48])], {"half": np.array(0.5, np.float32)})


def with_a_sum_of_them(path):
    """One more than the sum of the indices of those pixels: no size is open outside."""
    nodes = [
        helper.make_node("Greater", ["images", "half"], ["bright"]), helper.make_node("NonZero", ["bright"], ["where"]),
        helper.make_node("Cast", ["where"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["real", "one"], ["some"], axis=1),
        helper.make_node("ReduceSum", ["some", "axes"], ["sum"], keepdims=0),
    ]  # fmt: skip
    constants = {"half": np.array(0.5, np.float32), "one": np.ones((4, 1), np.float32), "axes": np.array([1])}
    return saved(path, nodes, [("sum", TensorProto.FLOAT, [4])], constants)


@pytest.mark.parametrize("make", [with_unknown_count, with_a_sum_of_them, with_a_branch])
def test_what_cannot_be_recorded_runs_as_it_is_and_says_so(opened, tmp_path, make):
    path = make(tmp_path / "odd.onnx")
    runtime, reference, told = opened(path=path), opened("cpu", path=path), []
    runtime.report = told.append
    for count in (2, 1, 2):
        x = pictures(count, count)
        near(runtime.run({"images": x}), reference.run({"images": x}), 1e-5)
    near(runtime.run({"images": pictures(2) * 0}), reference.run({"images": pictures(2) * 0}), 1e-6)
    assert len(told) == 1
    assert "cannot be recorded as a CUDA graph" in told[0]
    with pytest.raises(ValueError, match=r"cannot be recorded as a CUDA graph .*`graphs: false` runs it as it is"):
        opened(path=path, graphs=[2])
    plain = opened(path=path, graphs=False)
    near(plain.run({"images": pictures(2)}), reference.run({"images": pictures(2)}), 1e-6)


def test_what_the_proof_overlooks_is_seen_when_noise_is_replayed(opened, tmp_path, monkeypatch):
    monkeypatch.setattr("millrace.runtimes.onnx_cuda.prove_recordable", lambda path: None)
    path = with_a_sum_of_them(tmp_path / "sum.onnx")
    runtime, reference = opened(path=path), opened("cpu", path=path)
    for count in (2, 1, 2):
        near(runtime.run({"images": pictures(count)}), reference.run({"images": pictures(count)}), 1e-4)
    assert not runtime.sizes
    with pytest.raises(ValueError, match="cannot be recorded as a CUDA graph"):
        opened(path=path, graphs=[2])


def test_others_allocate_memory_while_a_graph_is_recorded(device, opened):
    """ONNX Runtime records for the whole process."""
    from millrace.cuda.context import check, gpu

    stop, wrong, done = threading.Event(), [], [0]

    def allocate():
        owner = gpu(device)
        try:
            while not stop.is_set():
                owner.use()
                check(owner.driver.cuMemFree(check(owner.driver.cuMemAlloc(1 << 20))))
                done[0] += 1
        except RuntimeError as error:
            wrong.append(error)

    thread = threading.Thread(target=allocate)
    thread.start()
    try:
        runtime, reference = opened(graphs=True), opened("cpu")
        for size in (1, 2, 4, 8, 16, 32, 64):
            near(runtime.run({"images": pictures(size)}), reference.run({"images": pictures(size)}), 1e-5)
        assert len(runtime.sizes) == 7
    finally:
        stop.set()
        thread.join(30)
    assert not wrong
    assert done[0] > 20


def test_networks_that_come_and_go_leave_no_memory(device, opened):
    from millrace.cuda.context import check, gpu

    free = []
    for _ in range(6):
        runtime = opened(graphs=[1, 8, 32])
        runtime.run({"images": pictures(8)})
        runtime.close()
        free.append(check(gpu(device).driver.cuMemGetInfo())[0])
    assert free[-1] > free[1] - (16 << 20), free  # the first brings libraries along
