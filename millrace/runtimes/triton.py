"""A model on a KServe v2 server (Triton, MLServer, KServe, OpenVINO Model Server), over gRPC or HTTP.

The server may go away: calls wait for it and are made again, and the element is told. On the same machine tensors go
through shared memory, and only their names over the wire.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np

from ..core.errors import Cancelled, MissingExtraError, redact
from ..media import TensorInfo
from .base import choose, refuse
from .pool import PooledRuntime, check_feed
from .triton_base import MEMORY, Placed, Region, Remote, Unreachable

_KNOWN = ("parallel", "timeout", "retry", "shared_memory")
_LOCAL = ("localhost", "127.", "[::1]")
_SHORTEST, _LONGEST = 0.1, 2.0  # seconds between two tries


class Transport(Protocol):
    """How one call is made; see triton_grpc and triton_http."""

    def describe(self) -> Remote: ...
    def infer(self, feed: Mapping[str, Any], outputs: Mapping[str, Placed | None]) -> dict[str, Any]: ...
    def register(self, name: str, key: str, size: int) -> None: ...
    def unregister(self, name: str) -> None: ...
    def close(self) -> None: ...


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    parallel: int | None = None,
    timeout: float = 5.0,
    retry: float = 60.0,
    shared_memory: str = "auto",
    **options: Any,
) -> TritonRuntime:
    """A model by its address: triton://host:8001/model[/version] (gRPC; grpcs:// with TLS), or
    http(s)://host:8000/v2/models/model[/versions/version].

    `parallel` calls (default 4) are under way at the same time, for the server to batch. A call has `timeout` seconds;
    one that fails because the server is away is made again, after 0.1 s and then twice as long each time up to 2 s,
    until `retry` seconds have passed (0: never). `shared_memory`: auto (where the server is on this machine and takes
    it), on, off. Raises ValueError when the server does not answer, or has no such model.
    """
    refuse("triton", options, _KNOWN)
    choose("shared_memory", str(shared_memory), ("auto", "on", "off"))
    address = os.fspath(path)
    make = _transports(address, timeout)
    shared = shared_memory == "on" or (shared_memory == "auto" and _is_local(address) and MEMORY.is_dir())
    first = make()
    try:
        remote = first.describe()
        memory = _Memory(first) if shared and _takes_memory(first, shared_memory) else None
    except (Unreachable, ValueError) as error:
        first.close()
        raise ValueError(f"{redact(address)}: {'no answer: ' * isinstance(error, Unreachable)}{error}") from error
    slots = [_Slot(first, memory)]
    for _ in range((parallel or 4) - 1):
        transport = make()
        slots.append(_Slot(transport, _Memory(transport) if memory else None))
    return TritonRuntime(redact(address), remote, slots, device, retry)


class TritonRuntime(PooledRuntime):
    """Calls of a remote model. `report` is told when the server goes away and when it is back."""

    def __init__(self, address: str, remote: Remote, slots: Sequence[_Slot], device: str, retry: float) -> None:
        super().__init__("triton", remote.inputs, remote.outputs, len(slots), device, remote.metadata)
        self.batches = all(info.shape[:1] == (None,) for info in remote.inputs)
        self.most = remote.most
        self._address, self._retry = address, retry
        self._slots = list(slots)
        self._idle: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for slot in slots:
            self._idle.put(slot)
        self._closed = threading.Event()
        self._away = threading.Lock()  # held by the call that told that the server is away

    def call(self, feed: dict[str, Any]) -> dict[str, Any]:
        check_feed(self.inputs, feed)
        count = next(iter(feed.values())).shape[0] if self.batches else 1
        size = self.most or count
        if count <= size:
            return self._with_retries(feed)
        parts = [self._with_retries({k: v[at : at + size] for k, v in feed.items()}) for at in range(0, count, size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def cancel(self) -> None:
        self._closed.set()

    def close(self) -> None:
        """End the calls that wait for the server, and give back shared memory. May be called twice."""
        self._closed.set()
        super().close()
        there = True  # else its answers are not waited for once for each slot
        for slot in self._slots:
            there = slot.close(there)
        self._slots.clear()

    def _with_retries(self, feed: Mapping[str, Any]) -> dict[str, Any]:
        slot = self._idle.get()
        telling = False
        began, wait = time.monotonic(), _SHORTEST
        try:
            while True:
                try:
                    results = slot.infer(feed, self.outputs)
                    if telling:
                        self.report(f"{self._address} answers again, after {time.monotonic() - began:.1f} s")
                    return results
                except Unreachable as error:
                    gone = time.monotonic() - began
                    if gone + wait > self._retry:
                        raise ValueError(f"{self._address} has not answered for {gone:.1f} s: {error}") from error
                    if not telling and not self._closed.is_set() and self._away.acquire(blocking=False):
                        telling = True
                        self.report(f"{self._address} does not answer, trying for {self._retry:g} s: {error}")
                except ValueError as error:
                    raise ValueError(f"{self._address} refused the call: {error}") from error
                if self._closed.wait(wait):
                    raise Cancelled(f"{self._address} was given up: the pipeline stops")
                wait = min(2 * wait, _LONGEST)
        finally:
            if telling:
                self._away.release()
            self._idle.put(slot)


class _Slot:
    """What one call at a time needs: a connection, and perhaps shared memory."""

    def __init__(self, transport: Transport, memory: _Memory | None) -> None:
        self._transport, self._memory = transport, memory

    def infer(self, feed: Mapping[str, Any], outputs: Sequence[TensorInfo]) -> dict[str, Any]:
        wanted: dict[str, Placed | None] = {info.name: None for info in outputs}
        if self._memory is None:
            return self._transport.infer(feed, wanted)
        try:
            placed, wanted = self._memory.place(feed, outputs)
            results = self._transport.infer(placed, wanted)
        except Unreachable:
            self._memory.forget()  # a server that starts anew knows no regions
            raise
        except ValueError as error:
            if "shared memory region" not in str(error):
                raise
            self._memory.forget()
            raise Unreachable(str(error)) from error
        for name, place in wanted.items():
            if place is not None:
                results[name] = place.array.reshape(results[name]).copy()
        return results

    def close(self, there: bool) -> bool:
        """`there`: whether the server answers, as far as is known; returns it."""
        if self._memory is not None:
            if there:
                there = self._memory.close()
            self._memory.forget()
        self._transport.close()
        return there


class _Memory:
    """The shared memory of one slot: its inputs, then its outputs; a larger region when they need it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._region: Region | None = None

    def place(
        self, feed: Mapping[str, Any], outputs: Sequence[TensorInfo]
    ) -> tuple[dict[str, Placed], dict[str, Placed | None]]:
        """The inputs, copied into shared memory, and room for those outputs whose size is known."""
        count = next(iter(feed.values())).shape[0]
        shapes = {info.name: _known(info, count) for info in outputs}
        layout: dict[tuple[str, str], tuple[int, tuple[int, ...], str]] = {}
        at = 0
        rooms = [("in", name, value.shape, value.dtype.name) for name, value in feed.items()]
        rooms += [("out", info.name, shapes[info.name], info.dtype) for info in outputs if shapes[info.name]]
        for kind, name, shape, dtype in rooms:
            layout[kind, name] = (at, shape, dtype)
            at += -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // 64) * 64
        region = self._of_size(at)
        places = {
            key: Placed(region.name, offset, region.array(offset, shape, dtype))
            for key, (offset, shape, dtype) in layout.items()
        }
        inputs = {name: places["in", name] for name in feed}
        for name, value in feed.items():
            inputs[name].array[...] = value
        return inputs, {info.name: places.get(("out", info.name)) for info in outputs}

    def _of_size(self, size: int) -> Region:
        if self._region is not None and self._region.size >= size:
            return self._region
        self.close()
        region = Region(size)
        try:
            self._transport.register(region.name, region.key, region.size)
        except (Unreachable, ValueError):
            region.close()
            raise
        region.hide()
        self._region = region
        return region

    def forget(self) -> None:
        """The server knows the region no more."""
        if self._region is not None:
            self._region.close()
            self._region = None

    def close(self) -> bool:
        """Give the region back; False where the server does not answer: it may be gone, and its regions with it."""
        region, there = self._region, True
        self.forget()
        if region is not None:
            try:
                self._transport.unregister(region.name)
            except Unreachable:
                there = False
            except ValueError:  # it knows none of that name
                pass
        return there


def _known(info: TensorInfo, count: int) -> tuple[int, ...]:
    """The shape of an output of so many pictures; empty where it is not known beforehand."""
    if None in info.shape[1:] or not info.shape:
        return ()
    return tuple(count if dim is None else dim for dim in info.shape)


def _takes_memory(transport: Transport, wanted: str) -> bool:
    """Whether the server opens our shared memory: it may be in a container of its own."""
    region = Region(64)
    try:
        transport.register(region.name, region.key, region.size)
        transport.unregister(region.name)
        return True
    except ValueError:
        if wanted == "on":
            raise
        return False
    finally:
        region.close()


def _is_local(address: str) -> bool:
    return urlsplit(address).netloc.rpartition("@")[2].startswith(_LOCAL)


def _transports(address: str, timeout: float) -> Callable[[], Transport]:
    """What makes a connection to this address. Raises ValueError, MissingExtraError."""
    parts = urlsplit(address)
    steps = [step for step in parts.path.split("/") if step]
    if parts.scheme in ("http", "https"):
        if steps[:2] != ["v2", "models"] or len(steps) not in (3, 5) or (len(steps) == 5 and steps[3] != "versions"):
            raise ValueError(f"{redact(address)} is not the address of a model: http://host:8000/v2/models/NAME")
        name, version = steps[2], steps[4] if len(steps) == 5 else ""
        from .triton_http import HttpTransport

        return lambda: HttpTransport(parts.netloc, name, version, parts.scheme == "https", timeout)
    if len(steps) not in (1, 2) or not parts.netloc:
        raise ValueError(f"{redact(address)} is not the address of a model: triton://host:8001/NAME")
    try:
        from .triton_grpc import GrpcTransport
    except ImportError as error:
        raise MissingExtraError(f"running {redact(address)}", str(error.name), "triton") from None
    version = steps[1] if len(steps) == 2 else ""
    return lambda: GrpcTransport(parts.netloc, steps[0], version, parts.scheme == "grpcs", timeout)
