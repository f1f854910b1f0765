"""ONNX Runtime on a GPU, without one: its CUDA provider and the GPU are played (tests/gpu has the real ones)."""

from __future__ import annotations

import gc
import re
import sys
import threading
import weakref

import numpy as np
import pytest
from played_onnx import played, put  # noqa: F401
from together import together

from millrace.core.errors import MissingExtraError
from millrace.cuda.context import Stream
from millrace.runtimes import onnx_cuda
from millrace.runtimes.onnx import load

onnx = pytest.importorskip("onnx", reason="the models are made with it")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def net(path, batch="n", height=4):
    """x [n, 3, 4, 5] → twice [n, 3, 4, 5], mean [n, 3, 1, 1], and a table [2, 2] that knows no pictures."""
    constants = [
        numpy_helper.from_array(np.array(2, np.float32), "two"),
        numpy_helper.from_array(np.arange(4, dtype=np.float32).reshape(2, 2), "numbers"),
    ]
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["twice"]),
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node("Mul", ["numbers", "two"], ["table"]),
    ]
    tensor = helper.make_tensor_value_info
    outputs = [
        tensor("twice", TensorProto.FLOAT, [batch, 3, height, 5]), tensor("mean", TensorProto.FLOAT, [batch, 3, 1, 1]),
        tensor("table", TensorProto.FLOAT, [2, 2]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [tensor("x", TensorProto.FLOAT, [batch, 3, height, 5])], outputs, constants
    )  # fmt: skip
    return save(path, graph)


def save(path, graph):
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return str(path)


@pytest.fixture
def model(tmp_path):
    return net(tmp_path / "net.onnx")


@pytest.fixture
def opened(played, model):  # noqa: F811
    """`load` on the GPU that is played; closed at the end, and then no memory may be left."""
    runtimes = []

    def open_(path=model, **options):
        runtimes.append(load(path, "cuda:0", **options))
        return runtimes[-1]

    yield open_
    for runtime in runtimes:
        runtime.close()
    assert not any(thread.name.startswith("millrace-onnx") for thread in threading.enumerate())


def pictures(count, seed=0):
    return np.random.default_rng(seed).random((count, 3, 4, 5), np.float32)


def right(found, x):
    assert np.array_equal(found["twice"], x * 2)
    assert np.allclose(found["mean"], x.mean((2, 3), keepdims=True))
    assert found["table"].tolist() == [[0, 2], [4, 6]]
    return True


@pytest.mark.parametrize("graphs", [None, True, False, [8]])
def test_results_are_those_of_the_cpu_wherever_pictures_lie(played, opened, graphs):  # noqa: F811
    runtime = opened(**({} if graphs is None else {"graphs": graphs}))
    for count in (1, 3, 8, 2):
        x = pictures(count, count)
        right(runtime.run({"x": x}), x)
        right(runtime.run({"x": put(played.gpu, x)}), x)
    if graphs is False:
        assert set(played.session.runs) == {-1}
    else:
        assert sorted(runtime.sizes) == ([8] if graphs else [1, 2, 4, 8]) or graphs is True
    assert played.session.options["enable_cuda_graph"] == str(int(graphs is not False))


def test_two_graphs_of_a_size_are_recorded_once_and_replayed_in_turn(played, opened):  # noqa: F811
    runtime = opened(graphs=[3, 2])
    assert runtime.sizes == [2, 3]
    session = played.session
    once = [-1, 1, 2, 1, 2, -1]  # to see the shapes; both graphs; what both give, and what they should
    assert session.runs == [*once, *(n + 2 if n > 0 else n for n in once)]
    session.runs.clear()
    for count in (3, 3, 3, 1, 2):
        right(runtime.run({"x": pictures(count)}), pictures(count))
    assert session.runs in ([4, 3, 4, 2, 1], [3, 4, 3, 1, 2])
    runtime.run({"x": pictures(5)})
    assert runtime.sizes == [2, 3, 8]
    bound = [binding for binding, _ in session.graphs.values()]
    assert len({at for binding in bound for at in binding.outputs.values()}) == 3 * len(bound)  # memory of their own


def test_results_leave_in_one_copy_into_memory_of_the_calls_own(played, opened, monkeypatch):  # noqa: F811
    runtime, copies = opened(graphs=[4]), []
    copy = played.gpu.driver.cuMemcpyDtoHAsync
    monkeypatch.setattr(
        played.gpu.driver, "cuMemcpyDtoHAsync", lambda *args: (copies.append(args[2]), copy(*args))[1], raising=False
    )
    inputs = [pictures(4, seed) for seed in range(6)]
    futures = [runtime.submit({"x": x}) for x in inputs]
    results = [future.result(10) for future in futures]
    assert copies == [1296] * 6  # each begins at a multiple of 256: 960 bytes, 48, 16
    assert all(right(found, x) for found, x in zip(results, inputs, strict=True))
    copies.clear()
    right(runtime.run({"x": pictures(1)}), pictures(1))
    assert copies == [240, 256 + 16]  # no more rows than there are; the small ones lie near each other


def test_what_is_read_and_written_again_is_waited_for(played, opened, monkeypatch):  # noqa: F811
    runtime = opened(graphs=[2])
    waits, wait = [], Stream.wait
    monkeypatch.setattr(
        Stream, "wait", lambda self, events: (waits.append((self, e := list(events))), wait(self, e))[1]
    )
    x = put(played.gpu, pictures(2))
    uses = []
    monkeypatch.setattr(type(x), "used", lambda self, event: uses.append(event))
    for _ in range(3):
        runtime.run({"x": x})
    work, copies = runtime._stream, runtime._copies
    assert [event for stream, events in waits for event in events if stream is work and event is x.ready] == [
        x.ready
    ] * 3
    assert len(uses) == 3
    assert {event.stream for event in uses} == {work}
    left = [event for stream, events in waits for event in events if stream is work and event is not x.ready]
    assert [event.stream for event in left] == [copies]  # the third call writes what the first one's copy reads
    computed = [events for stream, events in waits if stream is copies]
    assert len(computed) == 3
    assert all(event.stream is work for events in computed for event in events)
    assert x.ready.happened


REFUSED = (
    "This session cannot use the graph capture feature as requested by the user as the model has control flow nodes"
    " which can't be supported by CUDAExecutionProvider"
)


def test_what_is_not_wholly_on_the_gpu_runs_as_it_is_and_says_so(played, opened):  # noqa: F811
    played.refuses = REFUSED
    runtime, said = opened(), []
    runtime.report = said.append
    for count in (1, 3):
        right(runtime.run({"x": pictures(count)}), pictures(count))
    assert len(said) == 1
    assert "cannot be recorded as a CUDA graph (This session cannot use" in said[0]
    assert played.session.options["enable_cuda_graph"] == "0"
    for graphs in (True, [2]):
        with pytest.raises(ValueError, match=r"cannot be recorded .*control flow.*`graphs: false` runs it as it is"):
            opened(graphs=graphs)


def test_what_fails_while_it_is_recorded_runs_as_it_is(played, opened, monkeypatch):  # noqa: F811
    played.problem = lambda binding: "operation not permitted when stream is capturing"
    ended = []
    monkeypatch.setattr(
        played.gpu.driver, "cuStreamEndCapture", lambda stream: (ended.append(stream), (0, 1))[1], False
    )
    runtime, said = opened(), []
    runtime.report = said.append
    for count in (1, 3, 1):
        right(runtime.run({"x": pictures(count)}), pictures(count))
    assert (len(said), len(ended), runtime.sizes) == (1, 1, [])
    assert "not permitted when stream is capturing" in said[0]
    assert [session.records for session in played.sessions] == [True, False]
    with pytest.raises(ValueError, match=r"not permitted .*`graphs: false` runs it"):
        opened(graphs=[2])
    forced = opened(graphs=True)
    with pytest.raises(ValueError, match="cannot be recorded as a CUDA graph"):
        forced.run({"x": pictures(1)})


def test_a_size_that_depends_on_pictures_is_not_fixed_by_a_recording(opened, tmp_path):
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3, 4, 5])
    where = helper.make_tensor_value_info("where", TensorProto.INT64, [4, "k"])
    nodes = [helper.make_node("NonZero", ["x"], ["where"], name="last")]
    path = save(tmp_path / "found.onnx", helper.make_graph(nodes, "g", [given], [where]))
    runtime, said = opened(path), []
    runtime.report = said.append
    for x in (pictures(2), pictures(2) * 0, pictures(3)):
        assert np.array_equal(runtime.run({"x": x})["where"], np.nonzero(x))
    why = r"\(how much the operator NonZero \(last\) gives may depend on the pictures\)"
    assert len(said) == 1
    assert re.search(why, said[0])
    with pytest.raises(ValueError, match=f"cannot be recorded as a CUDA graph {why}; the option `graphs: false`"):
        opened(path, graphs=[2])


def test_without_onnx_nothing_is_recorded_and_it_says_what_to_install(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    runtime, said = opened(), []
    runtime.report = said.append
    right(runtime.run({"x": pictures(2)}), pictures(2))
    assert len(said) == 1
    assert "(finding out whether it can needs onnx: pip install 'millrace[convert]')" in said[0]
    with pytest.raises(ValueError, match="needs onnx"):
        opened(graphs=True)


def test_a_recording_that_answers_otherwise_than_the_network_is_not_used(played, opened):  # noqa: F811
    played.stuck = True
    runtime, said = opened(), []
    runtime.report = said.append
    for count in (2, 3):
        right(runtime.run({"x": pictures(count)}), pictures(count))
    assert said == [
        "the network cannot be recorded as a CUDA graph (its output twice was another when it was replayed for other"
        " pictures): it runs as it is"
    ]
    with pytest.raises(ValueError, match="its output twice was another"):
        opened(graphs=[2])


def with_output(path, nodes, shape):
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 5])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    numbers = numpy_helper.from_array(np.array([-1, 3, 4]), "rows")
    return save(path, helper.make_graph(nodes, "g", [given], [made], [numbers]))


def test_an_output_of_other_rows_than_one_for_each_picture_needs_no_graph(opened, tmp_path):
    nodes = [helper.make_node("Reshape", ["x", "rows"], ["y"])]
    runtime, said = opened(with_output(tmp_path / "m.onnx", nodes, ["M", 3, 4])), []
    runtime.report = said.append
    assert np.array_equal(runtime.run({"x": pictures(2)})["y"], pictures(2).reshape(-1, 3, 4))
    assert len(said) == 1
    assert "its output y float32[?, 3, 4] has the shape [10, 3, 4] for 2 pictures" in said[0]


def test_sizes_that_the_file_leaves_open_are_no_hindrance_where_they_follow_from_shapes(opened, tmp_path):
    nodes = [("Shape", ["x"], "s", {}), ("Cast", ["s"], "f", {"to": 1}), ("Abs", ["f"], "a", {})]
    nodes += [("Cast", ["a"], "i", {"to": 7}), ("ConstantOfShape", ["i"], "y", {})]
    made = [helper.make_node(operator, given, [name], **facts) for operator, given, name, facts in nodes]
    runtime = opened(with_output(tmp_path / "m.onnx", made, ["n", "c", "h", 5]))
    assert runtime.outputs[0].shape == (None, None, None, 5)
    assert runtime.run({"x": pictures(3)})["y"].shape == (3, 3, 4, 5)
    assert runtime.sizes == [4]


def test_a_picture_of_any_size_needs_no_graph(played, opened, tmp_path):  # noqa: F811
    path = net(tmp_path / "free.onnx", height="h")
    runtime, said = opened(path), []
    runtime.report = said.append
    for height in (4, 7):
        x = np.ones((2, 3, height, 5), np.float32)
        right(runtime.run({"x": x}), x)
    assert said == [
        "the network cannot be recorded as a CUDA graph (only the batch may be free, not more as in x float32[?, 3, ?,"
        " 5]): it runs as it is"
    ]
    with pytest.raises(ValueError, match="only the batch may be free"):
        opened(path, graphs=True)


def test_a_model_of_one_batch_has_graphs_of_that(opened, tmp_path):
    runtime = opened(net(tmp_path / "two.onnx", batch=2))
    right(runtime.run({"x": pictures(2)}), pictures(2))
    assert runtime.sizes == [2]
    with pytest.raises(ValueError, match=r"refused its input: it takes x float32\[2, 3, 4, 5\], and got"):
        runtime.run({"x": pictures(1)})


def test_wrong_inputs_are_the_calls_own_errors(played, opened):  # noqa: F811
    runtime = opened()

    def broken():
        raise ValueError("no picture")

    with pytest.raises(ValueError, match="no picture"):
        runtime.run(broken)
    with pytest.raises(ValueError, match="refused its input"):
        runtime.run({"x": pictures(2).astype(np.float16)})
    with pytest.raises(ValueError, match="it takes x, and got y"):
        runtime.run({"y": pictures(2)})
    gaps = put(played.gpu, pictures(2))
    gaps.strides = (480, 160, 40, 8)
    with pytest.raises(ValueError, match="lies on the GPU with gaps"):
        runtime.run({"x": gaps})
    right(runtime.run({"x": pictures(2)}), pictures(2))
    runtime.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        runtime.run({"x": pictures(2)})


def test_results_that_are_leaving_are_waited_for_before_their_graphs_go(played, opened, monkeypatch):  # noqa: F811
    runtime, waited, wait = opened(), [], Stream.synchronize
    right(runtime.run({"x": pictures(1)}), pictures(1))
    played.problem = lambda binding: "no such kernel"
    monkeypatch.setattr(
        Stream, "synchronize", lambda self: (waited.append((self, list(runtime._slots))), wait(self))[1]
    )
    right(runtime.run({"x": pictures(3)}), pictures(3))
    assert (runtime._copies, [1]) in waited
    assert runtime.sizes == []


def test_what_was_to_be_recorded_is_gone_before_it_is_opened_as_it_is(played, opened, monkeypatch):  # noqa: F811
    played.problem = lambda binding: "no such kernel"
    opening, first, alive = onnx_cuda.open_session, [], []

    def seen(path, config, chain, content=None):
        if first:
            alive.append(first[0]())
            if len(alive) == 1:
                raise ValueError("no memory for a model")
        session = opening(path, config, chain, content)
        first.append(weakref.ref(session))
        return session

    monkeypatch.setattr(onnx_cuda, "open_session", seen)
    runtime = opened()
    played.sessions.clear()
    with pytest.raises(ValueError, match="no memory for a model"):
        runtime.run({"x": pictures(2)})
    for _ in range(2):
        right(runtime.run({"x": pictures(2)}), pictures(2))
    assert alive == [None, None]


def test_without_memory_for_a_graph_a_larger_one_is_used(played, opened, monkeypatch):  # noqa: F811
    ended = []
    monkeypatch.setattr(
        played.gpu.driver, "cuStreamEndCapture", lambda stream: (ended.append(stream), (0, 1))[1], False
    )
    runtime = opened()
    runtime.run({"x": pictures(4)})
    tried = []
    played.problem = lambda binding: tried.append(1) or "Failed to allocate memory for requested buffer of size 9"
    for _ in range(2):
        right(runtime.run({"x": pictures(2)}), pictures(2))
    assert (tried, runtime.sizes, len(ended)) == ([1], [4], 1)  # nothing goes on being recorded on the stream
    for without in (lambda: runtime.run({"x": pictures(5)}), lambda: runtime.warm([8])):
        with pytest.raises(ValueError, match=r"^cuda:0 has no memory to record 8 pictures: Failed to allocate memory"):
            without()
    played.problem = lambda binding: None
    right(runtime.run({"x": pictures(5)}), pictures(5))


def test_options_of_the_provider_are_ours_unless_they_are_given(played, opened):  # noqa: F811
    opened()
    told = {name: played.session.options[name] for name in ("use_tf32", "cudnn_conv_algo_search", "device_id")}
    assert told == {"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE", "device_id": "0"}
    opened(tuned=False, provider_options={"use_tf32": 1, "prefer_nhwc": 1, "gpu_mem_limit": 2**30})
    found = played.session.options
    assert (found["use_tf32"], found["prefer_nhwc"], found["gpu_mem_limit"]) == ("1", "1", str(2**30))
    assert found["cudnn_conv_algo_search"] == "HEURISTIC"
    for name in ("user_compute_stream", "enable_cuda_graph"):
        with pytest.raises(ValueError, match=f"provider_options: {name} cannot be set"):
            opened(provider_options={name: 1})


def test_float16_takes_half_and_gives_whole_numbers_of_32_bits(played, opened):  # noqa: F811
    runtime = opened(precision="float16")
    assert [str(info) for info in runtime.inputs] == ["x float16[?, 3, 4, 5]"]
    assert {info.dtype for info in runtime.outputs} == {"float32"}
    x = pictures(3).astype(np.float16)
    found = runtime.run({"x": put(played.gpu, x)})
    assert found["twice"].dtype == np.float32
    assert np.allclose(found["twice"], x.astype(np.float32) * 2, atol=1e-3)


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe no model"])
def test_a_bad_file_is_named(opened, tmp_path, content, precision):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.onnx"):
        opened(tmp_path / "bad.onnx", precision=precision)


def test_float16_without_onnx_says_what_to_install(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"precision: float16 .* needs onnx: pip install 'millrace\[convert\]'"):
        opened(precision="float16")


def test_threads_that_share_a_network_get_their_own_answers(opened):
    runtime = opened(graphs=[4])
    feeds = [pictures(4, seed) for seed in range(3)]

    def ask(number):
        for _ in range(30):
            right(runtime.run({"x": feeds[number]}), feeds[number])

    together(ask)


def test_all_memory_is_given_back(played, model):  # noqa: F811
    runtime = load(model, "cuda:0", graphs=[2, 4])
    for _ in range(3):
        right(runtime.run({"x": pictures(2)}), pictures(2))
    pinned = len(played.gpu.driver.held)
    for _ in range(9):
        right(runtime.run({"x": pictures(2)}), pictures(2))
    assert len(played.gpu.driver.held) == pinned  # nothing is allocated for a call after the first
    kept = runtime.run({"x": pictures(2)})["twice"]
    runtime.close()
    del runtime
    assert np.array_equal(kept, pictures(2) * 2)
    assert len(played.gpu.driver.held) == 1
    del kept
    gc.collect()
    assert not played.gpu.driver.held
