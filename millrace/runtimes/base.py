"""What runs a model: tensors → tensors."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from ..core.errors import did_you_mean
from ..media import TensorInfo

_INFO = re.compile(r"(bool|u?int(?:8|16|32|64)|float(?:16|32|64))\[([\d\s,?]*)\]")
Tensors = Mapping[str, Any]
Inputs = Tensors | Callable[[], Tensors]


class Runtime(Protocol):
    """A loaded model. Made by `load(path, device)`; raises ValueError with a plain sentence for a bad file.

    `submit` starts a call and returns at once; calls complete in any order, `done` is called from any thread when
    one has. No more than `parallel` calls run at the same time; more are queued. Arrays given to `submit` must not
    be changed until it has completed. Inputs may be a function that makes the tensors: it is called in the thread
    that runs the call, so that preparing one picture overlaps with the inference of another. Results are NumPy
    arrays on the CPU. An error raised by that function or by the call is raised by `Future.result()`.
    """

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    metadata: Mapping[str, str]  # what the exporter wrote into the file
    parallel: int  # calls that run at the same time
    batches: bool  # several pictures in one call take less time than as many calls
    device: str
    report: Callable[[str], None]  # assign it: told, in any thread, of trouble that the runtime may get over

    def run(self, inputs: Inputs) -> dict[str, Any]: ...

    def submit(self, inputs: Inputs, done: Callable[[], None] | None = None) -> Future[dict[str, Any]]: ...

    def close(self) -> None: ...


def parse_info(name: str, text: str) -> TensorInfo:
    """`float32[?, 3, 384, 640]` as the description of a tensor. Raises ValueError."""
    match = _INFO.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"inputs: {name}: {text!r} is not of the form float32[?, 3, 384, 640]")
    dims = [dim.strip() for dim in match[2].split(",") if dim.strip()]
    return TensorInfo(name, tuple(None if dim == "?" else int(dim) for dim in dims), match[1])


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def refuse(runtime: str, options: Iterable[str], known: Iterable[str]) -> None:
    """Raises ValueError for the first of `options`, which are those that nobody took."""
    for option in options:
        hint = did_you_mean(option, known)
        raise ValueError(f"the {runtime} runtime has no option {option!r}.{hint} There are: {', '.join(known)}")


def counted(name: str, value: object) -> None:
    """Raises ValueError for what is neither None nor a whole number from 1 on."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name}={value!r} is not allowed: a whole number from 1 on")


def choose(name: str, value: str, allowed: Iterable[str]) -> str:
    """The value, when it is allowed. Raises ValueError."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not allowed: {', '.join(allowed)}")
    return value
