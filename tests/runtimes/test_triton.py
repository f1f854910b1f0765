"""Models on a server: a small KServe v2 server of ours for what goes wrong, a real Triton for what must go right."""

from __future__ import annotations

import http.server
import json
import os
import threading
import time

import numpy as np
import pytest
from peers import hurry
from servers.triton import Triton, add_model

from millrace.core import ConfigError, Element, Graph, Pipeline, Source, StreamStart, setting, state
from millrace.core.caps import FRAMES, Caps
from millrace.core.errors import Cancelled
from millrace.elements.infer import Infer
from millrace.media import Frame, Image
from millrace.runtimes import load, onnx
from millrace.testing.models import make_level_model
from millrace.testing.ports import free_port


class Server(http.server.ThreadingHTTPServer):
    """y = x + 1 over HTTP, with bytes after the JSON. `trouble` holds answers that come instead, first to last."""

    daemon_threads = True

    def __init__(self, port=0, binary=True):
        super().__init__(("127.0.0.1", port), Handler)
        self.binary, self.trouble, self.sizes, self.slow = binary, [], [], 0.0
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v2/models/plus"

    def stop(self):
        self.shutdown()
        self.server_close()
        self.thread.join(5)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        if self.path == "/v2/models/plus":
            info = [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}]
            return self.answer(200, {"inputs": info, "outputs": [info[0] | {"name": "y"}]})
        if self.path == "/v2/models/plus/config":
            return self.answer(200, {"max_batch_size": 3, "parameters": {"names": {"string_value": "['a']"}}})
        return self.answer(404, {"error": f"unknown model {self.path}"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "systemsharedmemory" in self.path:
            return self.answer(400, {"error": "no shared memory here"})
        if self.server.trouble:
            return self.answer(*self.server.trouble.pop(0))
        time.sleep(self.server.slow)
        size = int(self.headers["Inference-Header-Content-Length"])
        shape = json.loads(body[:size])["inputs"][0]["shape"]
        self.server.sizes.append(shape[0])
        y = np.frombuffer(body[size:], np.float32).reshape(shape) + 1
        output = {"name": "y", "datatype": "FP32", "shape": shape}
        if not self.server.binary:
            return self.answer(200, {"outputs": [output | {"data": y.ravel().tolist()}]})
        return self.answer(200, {"outputs": [output | {"parameters": {"binary_data_size": y.nbytes}}]}, y.tobytes())

    def answer(self, status, data, tail=b""):
        head = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(head) + len(tail)))
        if tail:
            self.send_header("Inference-Header-Content-Length", str(len(head)))
        self.end_headers()
        self.wfile.write(head + tail)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.stop()


@pytest.fixture
def runtime(server):
    loaded = load(server.url, parallel=2, retry=5.0)
    loaded.told = []
    loaded.report = loaded.told.append
    yield loaded
    loaded.close()


X = np.arange(8, dtype=np.float32).reshape(2, 4)


def test_description_results_and_batches(server, runtime):
    assert [str(info) for info in runtime.inputs + runtime.outputs] == ["x float32[?, 4]", "y float32[?, 4]"]
    assert runtime.metadata["names"] == "['a']"
    assert np.array_equal(runtime.run({"x": X})["y"], X + 1)
    many = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    assert np.array_equal(runtime.run({"x": many})["y"], many + 1)
    assert server.sizes == [2, 3, 3, 1]  # no call has more pictures than the server takes
    server.binary = False  # an answer in numbers, as servers without the extension give
    assert np.array_equal(runtime.run({"x": X})["y"], X + 1)


def test_a_server_that_is_busy_is_asked_again_and_that_is_told_once(server, runtime):
    server.trouble = [(503, {"error": "too busy"})] * 3
    assert np.array_equal(runtime.run({"x": X})["y"], X + 1)
    assert len(runtime.told) == 2
    assert "does not answer, trying for 5 s: too busy" in runtime.told[0]
    assert "answers again, after" in runtime.told[1]


def test_a_refusal_is_an_error_at_once(server, runtime):
    server.trouble = [(400, {"error": "x is of the wrong kind"})]
    with pytest.raises(
        ValueError, match=r"http://127.0.0.1:\d+/v2/models/plus refused the call: x is of the wrong kind"
    ):
        runtime.run({"x": X})
    with pytest.raises(ValueError, match=r"it takes x float32\[\?, 4\], and got x float32\[2, 5\]"):
        runtime.run({"x": np.zeros((2, 5), np.float32)})


def test_a_server_that_stays_away_is_given_up_in_time(server):
    runtime = load(server.url, parallel=1, retry=0.5)
    server.trouble = [(503, {"error": "busy"})] * 99
    began = time.monotonic()
    try:
        with pytest.raises(ValueError, match="has not answered for"):
            runtime.run({"x": X})
        assert 0.2 < time.monotonic() - began < 5
    finally:
        runtime.close()


def test_a_call_has_its_time(server):
    server.slow = 1.0
    runtime = load(server.url, parallel=1, retry=0)
    hurry(runtime._slots[0]._transport._connection, 0.1)
    try:
        with pytest.raises(ValueError, match=r"has not answered for .*timed out"):
            runtime.run({"x": X})
    finally:
        runtime.close()


def test_closing_ends_a_call_that_waits(server):
    runtime = load(server.url, parallel=1, retry=60)
    server.trouble = [(503, {"error": "busy"})] * 99
    future = runtime.submit({"x": X})
    time.sleep(0.3)
    began = time.monotonic()
    runtime.close()
    assert time.monotonic() - began < 20  # it would be tried for 60 s
    with pytest.raises(Cancelled, match="was given up: the pipeline stops"):
        future.result(timeout=20)


def test_memory_that_the_server_does_not_take(server):
    load(server.url).close()  # auto: it goes without
    with pytest.raises(ValueError, match="no shared memory here"):
        load(server.url, shared_memory="on")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:{port}/v2/models/none", "unknown model"),
        ("http://user:secret@127.0.0.1:1/v2/models/plus", r"http://\*\*\*@127"),
        ("http://127.0.0.1:{free}/v2/models/plus", "no answer: .*refused"),
        ("http://127.0.0.1:{port}/plus", r"is not the address of a model: http://host:8000/v2/models/NAME"),
        ("triton://127.0.0.1:{free}/plus", "no answer: UNAVAILABLE"),
        ("triton://127.0.0.1:{free}", r"is not the address of a model: triton://host:8001/NAME"),
    ],
)
def test_addresses_that_are_wrong(server, address, message):
    if address.startswith("triton"):
        pytest.importorskip("tritonclient")
    with pytest.raises(ValueError, match=message) as caught:
        load(address.format(port=server.server_address[1], free=free_port()), timeout=2.0)
    assert "secret" not in str(caught.value)


def test_options(server):
    with pytest.raises(ValueError, match=r"no option 'retries'\. Did you mean 'retry'"):
        load(server.url, retries=1)
    with pytest.raises(ValueError, match="shared_memory='cuda' is not allowed"):
        load(server.url, shared_memory="cuda")


# The real server.


@pytest.fixture(scope="module")
def triton(tmp_path_factory):
    pytest.importorskip("tritonclient", reason="needs millrace[triton]")
    folder = tmp_path_factory.mktemp("triton")
    made = Triton(folder)
    made.level = make_level_model(folder / "level.onnx")
    add_model(made, "level", made.level)
    made.start()
    yield made
    made.kill()


def addresses(triton):
    return {
        "grpc": f"triton://127.0.0.1:{triton.grpc}/level",
        "http": f"http://127.0.0.1:{triton.http}/v2/models/level",
    }


@pytest.mark.parametrize("way", ["grpc", "http"])
@pytest.mark.parametrize("memory", ["off", "on"])
def test_triton_gives_what_we_compute(triton, way, memory):
    before = set(os.listdir("/dev/shm"))
    remote, local = load(addresses(triton)[way], shared_memory=memory, parallel=3), onnx.load(triton.level)
    try:
        assert remote.inputs == local.inputs
        assert remote.outputs == local.outputs
        assert remote.batches
        rng = np.random.default_rng(4)
        feeds = [{"images": rng.uniform(0, 1, (count, 3, 32, 32)).astype(np.float32)} for count in (1, 2, 8, 19, 3)]
        futures = [remote.submit(feed) for feed in feeds]
        for feed, future in zip(feeds, futures, strict=True):
            assert np.array_equal(future.result(timeout=20)["output0"], local.run(feed)["output0"])
        with pytest.raises(ValueError, match="refused its input"):
            remote.run({"images": np.zeros((1, 3, 5, 5), np.float32)})
    finally:
        remote.close()
        local.close()
    assert not [name for name in set(os.listdir("/dev/shm")) - before if name.startswith("millrace")]


def test_triton_has_no_such_model(triton):
    with pytest.raises(ValueError, match="levle"):
        load(addresses(triton)["grpc"].replace("level", "levle"))


class Camera(Source):
    """Pictures of many levels, live: one every 20 ms until it is interrupted."""

    stop: threading.Event = state(threading.Event)
    count: int = state(int)

    def read(self):
        yield StreamStart("a", Caps(FRAMES, width=32, height=32), live=True)
        while not self.stop.wait(0.02):
            pixels = np.full((32, 32, 3), self.count % 200, np.uint8)
            yield Frame("a", self.count, self.count * 20_000_000, Image("BGR", [pixels], 32, 32))
            self.count += 1

    def interrupt(self):
        self.stop.set()


class Pass(Element):
    """What goes on as it comes, to all that are linked."""


class Collect(Element):
    what: list = setting(factory=list)

    def process(self, frame):
        self.what.append((frame.index, [tuple(o.box) for o in frame.objects]))
        yield from ()


@pytest.mark.parametrize("way", ["grpc", "http"])
def test_killed_in_mid_run_the_pipeline_waits_and_goes_on(triton, way):
    """The branch with the remote model reports, waits and goes on; the other one never stops."""
    remote, other, told = Collect(), Collect(), []
    camera = Camera()
    infer = Infer(model=addresses(triton)[way], parser="end2end", options={"retry": 30.0})
    graph = Graph()
    graph.add("tee", Pass())
    graph.add("infer", infer)
    graph.add("remote", remote)
    graph.add("other", other)
    graph.link("tee", "infer", policy="drop_oldest")
    graph.link("infer", "remote")
    graph.link("tee", "other")
    pipeline = Pipeline(graph)
    pipeline.add_source("a", camera, "tee")
    pipeline.bus.subscribe(lambda message: told.append(f"{message.kind}: {message.text}"))
    pipeline.start()
    try:
        until(lambda: len(remote.what) > 10)
        triton.kill()
        until(lambda: any("does not answer" in text for text in told))
        going = len(other.what)
        until(lambda: len(other.what) > going + 10)  # the other branch runs on meanwhile
        triton.start()
        before = len(remote.what)
        until(lambda: len(remote.what) > before + 10)
        until(lambda: any("answers again" in text for text in told))
    finally:
        pipeline.stop()
    assert not [text for text in told if text.startswith("error")]
    for index, boxes in remote.what:  # and every answer is that of its own picture
        assert boxes[0][0] == pytest.approx(16 * (index % 200) / 255, abs=0.2)
    indices = [index for index, _ in remote.what]
    assert indices == sorted(set(indices))


def test_a_pipeline_that_waits_for_a_server_can_be_stopped(server):
    """At once, and stopped: not failed, and not after `retry` seconds."""
    told = []
    element = Waits(url=server.url)
    graph = Graph()
    graph.add("ask", element)
    pipeline = Pipeline(graph)
    pipeline.bus.subscribe(lambda message: told.append(message))
    pipeline.add_source("a", Camera(), "ask")
    server.trouble = [(503, {"error": "busy"})] * 999
    pipeline.start()
    try:
        until(lambda: element.asked)
        began = time.monotonic()
    finally:
        pipeline.stop()
    assert time.monotonic() - began < 5
    assert pipeline.failure is None, pipeline.failure
    assert not [message for message in told if message.kind == "error"]


class Waits(Element):
    """Asks a server for every frame and waits for the answer."""

    threaded = True

    url: str = setting()
    asked: int = state(int)
    runtime: object = state(lambda: None)

    def open(self, context):
        self.runtime = load(self.url, retry=25.0)

    def process(self, frame):
        future = self.runtime.submit({"x": X})
        self.asked += 1
        future.result()
        yield frame

    def cancel(self):
        self.runtime.cancel()

    def close(self):
        self.runtime.close()


def until(condition, timeout=40):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_a_card_names_a_remote_model(triton, tmp_path):
    card = tmp_path / "far.yaml"
    card.write_text(f"model: {addresses(triton)['grpc']}\noptions: {{parallel: 1}}\nparser: end2end\nlabels: [thing]\n")
    from millrace.elements._model import check_files, load_model

    check_files(str(card))
    loaded = load_model(str(card))
    try:
        assert loaded.runtime.inputs[0].name == "images"
        assert loaded.runtime.parallel == 1
    finally:
        loaded.runtime.close()
    card.write_text("model: http://127.0.0.1:1/v2/models/x\n")
    with pytest.raises(ConfigError, match="no answer"):
        load_model(str(card))


@pytest.mark.parametrize("way", ["grpc", "http"])
def test_a_real_detector_on_triton_finds_what_it_finds_here(corpus, tmp_path, way):
    """Every frame of a real clip, every box and score as with local inference: so mAP is equal too."""
    import millrace

    pytest.importorskip("tritonclient", reason="needs millrace[triton]")
    path = corpus / "models/detect/yolox_nano_384x640_dynbatch.onnx"
    server = Triton(tmp_path)
    add_model(server, "yolox", path)
    server.start()
    try:
        address = {
            "grpc": f"triton://127.0.0.1:{server.grpc}/yolox",
            "http": f"http://127.0.0.1:{server.http}/v2/models/yolox",
        }[way]
        clip = str(corpus / "videos/pedestrians_626x360_vfr.mp4")
        runs = []
        for model in (str(path), address):
            flow = millrace.open(clip).infer(model, confidence=0.3).limit(count=40)
            runs.append([[(o.class_id, o.confidence, *o.box) for o in frame.objects] for frame in flow])
    finally:
        server.kill()
    assert len(runs[0]) == len(runs[1]) == 40
    assert sum(map(len, runs[0])) > 20
    for ours, theirs in zip(*runs, strict=True):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert a == pytest.approx(b, abs=1e-3)
