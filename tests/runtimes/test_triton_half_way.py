"""A server of models that lets its answers drip, answers something else, or falls silent."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from peers import Peer, drip, hurry

from millrace.runtimes import load
from millrace.runtimes.triton_base import MEMORY

MODEL = json.dumps({
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
}).encode()  # fmt: skip
SLOW = b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 60
X = {"x": np.zeros((1, 4), np.float32)}
Answer = Callable[[socket.socket, str], None]


def ok(line: socket.socket, body: bytes = b"{}") -> None:
    line.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def serve(answer: Answer) -> Callable[[socket.socket], None]:
    """`answer(line, path)` for each request."""

    def play(line: socket.socket) -> None:
        data = b""
        while chunk := line.recv(1 << 16):
            data += chunk
            while (head := data.find(b"\r\n\r\n")) >= 0:
                found = re.search(rb"(?i)content-length: (\d+)", data[:head])
                end = head + 4 + (int(found[1]) if found else 0)
                if len(data) < end:
                    break
                path, data = data.split(b" ", 2)[1].decode(), data[end:]
                answer(line, path)

    return play


def infers(answer: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """A model whose calls are answered so."""
    return serve(
        lambda line, path: answer(line) if path.endswith("/infer") else ok(line, b"{}" if "/config" in path else MODEL)
    )


def url(peer: Peer) -> str:
    return f"http://me:secret@127.0.0.1:{peer.port}/v2/models/plus"


def test_answers_that_drip_are_given_up_in_time() -> None:
    with Peer(lambda line: drip(line, SLOW)) as peer:
        begun = time.monotonic()
        with pytest.raises(ValueError, match="no answer: TimeoutError: timed out"):
            load(url(peer), timeout=0.5)
        assert time.monotonic() - begun < 6 and peer.all_closed()  # all of it takes 9 s
    with Peer(infers(lambda line: drip(line, SLOW))) as peer:
        runtime = load(url(peer), parallel=1, retry=0.0, shared_memory="off")
        hurry(runtime._slots[0]._transport._connection, 0.5)
        begun = time.monotonic()
        with pytest.raises(ValueError, match=r"has not answered for \d\.\d s: TimeoutError"):
            runtime.run(X)
        assert time.monotonic() - begun < 6
        runtime.close()
        assert peer.all_closed()


@pytest.mark.parametrize("said", ["[]", '"x"', '{"inputs": [{"name": "x"}], "outputs": [{"name": "y"}]}', "<html>"])
def test_a_description_that_is_none_is_one_error_and_the_connection_is_closed(said: str) -> None:
    with Peer(serve(lambda line, path: ok(line, said.encode()))) as peer:
        with pytest.raises(ValueError, match=r"plus: its (description|answer) .*(understood|not JSON)") as caught:
            load(url(peer))
        assert "secret" not in str(caught.value)
        assert peer.all_closed()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "cannot be understood: KeyError"),
        ([], "cannot be understood: TypeError"),
        ({"outputs": [{"name": "y", "datatype": "none", "shape": [1, 4], "data": []}]}, "cannot be understood"),
        (
            {"outputs": [{"name": "z", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]},
            "lacks the outputs y",
        ),
    ],
)
def test_an_answer_that_is_none_is_one_error(said: object, why: str) -> None:
    with Peer(infers(lambda line: ok(line, json.dumps(said).encode()))) as peer:
        runtime = load(url(peer), shared_memory="off")
        with pytest.raises(ValueError, match=rf"plus refused the call: its answer {why}"):
            runtime.run(X)
        runtime.close()


@pytest.mark.parametrize("named", ["", "z"])
def test_an_answer_over_grpc_that_lacks_an_output_is_one_error(named: str) -> None:
    grpc = pytest.importorskip("grpc")
    messages = pytest.importorskip("tritonclient.grpc.service_pb2")
    services = pytest.importorskip("tritonclient.grpc.service_pb2_grpc")

    class Service(services.GRPCInferenceServiceServicer):  # type: ignore[misc, name-defined]
        def ModelMetadata(self, request: Any, context: Any) -> Any:
            tensors = [{"name": name, "datatype": "FP32", "shape": [-1, 4]} for name in "xy"]
            return messages.ModelMetadataResponse(inputs=tensors[:1], outputs=tensors[1:])

        def ModelConfig(self, request: Any, context: Any) -> Any:
            return messages.ModelConfigResponse()

        def ModelInfer(self, request: Any, context: Any) -> Any:
            outputs = [{"name": named, "datatype": "FP32", "shape": [1, 4]}] if named else []
            return messages.ModelInferResponse(outputs=outputs, raw_output_contents=[bytes(16)] * len(outputs))

    with ThreadPoolExecutor(4) as threads:
        server = grpc.server(threads)
        services.add_GRPCInferenceServiceServicer_to_server(Service(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            runtime = load(f"triton://127.0.0.1:{port}/plus", shared_memory="off")
            with pytest.raises(ValueError, match="refused the call: its answer lacks the outputs y"):
                runtime.run(X)
            runtime.close()
        finally:
            server.stop(None).wait(10)


@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no /dev/shm")
def test_a_server_that_is_silent_at_the_end_is_waited_for_once() -> None:
    placed = json.dumps({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 4]}]}).encode()
    asked = 0

    def answer(line: socket.socket, path: str) -> None:
        nonlocal asked
        asked += path.endswith("/unregister")
        if asked < 2:  # the first belongs to the question whether it takes shared memory
            ok(line, placed if path.endswith("/infer") else MODEL if path.endswith("/plus") else b"{}")

    with Peer(serve(answer)) as peer:
        runtime = load(url(peer), parallel=5)
        for slot in runtime._slots:
            slot.infer(X, runtime.outputs)
            hurry(slot._transport._connection, 1.0)
        begun = time.monotonic()
        runtime.close()
        assert time.monotonic() - begun < 4  # 5 s if each were waited for
        assert peer.all_closed() and peer.came == 5
