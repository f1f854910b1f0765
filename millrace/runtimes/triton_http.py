"""The KServe v2 inference protocol over HTTP, with tensors as bytes after the JSON (the binary data extension).

Protocol: https://github.com/kserve/open-inference-protocol; extensions (binary data, system shared memory):
https://github.com/triton-inference-server/server/tree/main/docs/protocol. Written on http.client: the client library's
HTTP part runs on gevent, whose connections cannot be used from several threads.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import numpy as np

from ..core.timed_http import TimedResponse
from .triton_base import DTYPES, Placed, Remote, Unreachable, named_dtype, remote

_RETRY = {408, 429, 502, 503, 504}


class HttpTransport:
    """One connection, used by one call at a time."""

    def __init__(self, address: str, model: str, version: str, secure: bool, timeout: float) -> None:
        credentials, _, place = address.rpartition("@")
        host, _, port = place.partition(":")
        number = int(port or (443 if secure else 80))
        if secure:
            context = ssl.create_default_context()
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, number, context=context)
        else:
            self._connection = http.client.HTTPConnection(host, number)
        self._connection.timeout = timeout
        self._connection.response_class = TimedResponse
        self._headers = {}
        self._used = False  # whether the connection has carried an answer
        if credentials:
            self._headers["Authorization"] = f"Basic {base64.b64encode(unquote(credentials).encode()).decode()}"
        self._path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "")

    def describe(self) -> Remote:
        """What the model takes and gives. Raises Unreachable, ValueError."""
        facts = self._json("GET", self._path)
        try:
            config = self._json("GET", f"{self._path}/config")
        except ValueError:  # of Triton; other servers have none
            config = {}
        return remote(facts, config)

    def infer(self, feed: Mapping[str, Any], outputs: Mapping[str, Placed | None]) -> dict[str, Any]:
        """Run the model. Inputs are arrays or Placed; outputs without a place come back as arrays."""
        body: dict[str, Any] = {"inputs": [], "outputs": []}
        chunks = []
        for name, value in feed.items():
            array = value.array if isinstance(value, Placed) else np.ascontiguousarray(value)
            item: dict[str, Any] = {"name": name, "datatype": named_dtype(array.dtype), "shape": list(array.shape)}
            if isinstance(value, Placed):
                item["parameters"] = _place(value)
            else:
                item["parameters"] = {"binary_data_size": array.nbytes}
                chunks.append(array.tobytes())
            body["inputs"].append(item)
        for name, place in outputs.items():
            body["outputs"].append({"name": name, "parameters": _place(place) if place else {"binary_data": True}})
        head = json.dumps(body).encode()
        headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
        reply, size = self._request("POST", f"{self._path}/infer", b"".join([head, *chunks]), headers)
        try:
            results = _outputs(reply, size)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"its answer cannot be understood: {error!r}") from error
        if lacking := [name for name in outputs if name not in results]:
            raise ValueError(f"its answer lacks the outputs {', '.join(lacking)}")
        return results

    def register(self, name: str, key: str, size: int) -> None:
        body = json.dumps({"key": key, "offset": 0, "byte_size": size}).encode()
        self._request("POST", f"/v2/systemsharedmemory/region/{name}/register", body, {})

    def unregister(self, name: str) -> None:
        self._request("POST", f"/v2/systemsharedmemory/region/{name}/unregister", b"{}", {})

    def close(self) -> None:
        self._connection.close()

    def _json(self, method: str, path: str) -> Any:
        reply, _ = self._request(method, path, None, {})
        try:
            return json.loads(reply or b"{}")
        except ValueError as error:
            raise ValueError(f"its answer is not JSON: {reply[:80]!r}") from error

    def _request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[bytes, int]:
        """(the reply, the bytes of its JSON part)."""
        try:
            try:
                response, reply = self._exchange(method, path, body, headers)
            except (ConnectionError, http.client.RemoteDisconnected):
                if not self._used:
                    raise
                self._connection.close()  # a server may close a connection that rests: once more, on a new one
                response, reply = self._exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._used = False
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        self._used = True
        if response.status == 200:
            return reply, int(response.getheader("Inference-Header-Content-Length") or len(reply))
        message = _message(reply) or f"{response.status} {response.reason}"
        if response.status in _RETRY or "not ready" in message or "no available version" in message:
            raise Unreachable(message)
        raise ValueError(message)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request(method, path, body, self._headers | headers)
        response = self._connection.getresponse()
        return response, response.read()


def _place(place: Placed) -> dict[str, Any]:
    return {
        "shared_memory_region": place.region,
        "shared_memory_byte_size": place.size,
        "shared_memory_offset": place.offset,
    }


def _outputs(reply: bytes, size: int) -> dict[str, Any]:
    results: dict[str, Any] = {}
    at = size
    for item in json.loads(reply[:size])["outputs"]:
        dtype = np.dtype(DTYPES[item["datatype"]])
        parameters = item.get("parameters", {})
        if "binary_data_size" in parameters:
            count = parameters["binary_data_size"]
            values = np.frombuffer(reply, dtype, count // dtype.itemsize, at).reshape(item["shape"])
            results[item["name"]] = values.copy()
            at += count
        elif "data" in item:
            results[item["name"]] = np.array(item["data"], dtype).reshape(item["shape"])
        else:
            results[item["name"]] = tuple(item["shape"])  # it lies in the memory where we asked for it
    return results


def _message(reply: bytes) -> str:
    try:
        return str(json.loads(reply).get("error", ""))
    except (ValueError, AttributeError):
        return reply[:200].decode(errors="replace").strip()
