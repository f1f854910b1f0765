"""What both ways of talking to a KServe v2 server share: types, descriptions, memory that both sides see."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..media import TensorInfo

DTYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "INT8": "int8",
    "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
_NAMES = {numpy: name for name, numpy in DTYPES.items()}
MEMORY = Path("/dev/shm")


class Unreachable(Exception):
    """The server cannot be talked to at the moment, or its model is not ready: try again."""


class Remote(NamedTuple):
    """A model as its server describes it. `most` pictures go into one call; None: it does not say."""

    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    most: int | None
    metadata: Mapping[str, str]


def named_dtype(dtype: Any) -> str:
    """KServe's name of a NumPy type."""
    return _NAMES[np.dtype(dtype).name]


def remote(facts: Mapping[str, Any], config: Mapping[str, Any]) -> Remote:
    """From the answers of a server: metadata, and Triton's configuration where there is one. Raises ValueError."""
    try:
        return _remote(facts, config)
    except (AttributeError, KeyError, TypeError) as error:  # it is none of this protocol
        raise ValueError(f"its description of the model cannot be understood: {error!r}") from error


def _remote(facts: Mapping[str, Any], config: Mapping[str, Any]) -> Remote:
    config = config.get("config", config)
    most = int(config.get("max_batch_size", 0) or 0) or None
    inputs, outputs = ([_info(item) for item in facts.get(key, ())] for key in ("inputs", "outputs"))
    if not inputs or not outputs:
        raise ValueError("the server does not say what the model takes and gives")
    given = config.get("parameters", {})
    metadata = {key: str(value.get("string_value", "")) for key, value in given.items() if isinstance(value, Mapping)}
    return Remote(inputs, outputs, most, metadata)


def _info(item: Mapping[str, Any]) -> TensorInfo:
    shape = tuple(None if int(dim) < 0 else int(dim) for dim in item["shape"])
    return TensorInfo(item["name"], shape, DTYPES.get(item["datatype"], item["datatype"].lower()))


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor in shared memory: an array over the bytes at `offset` of a region that the server knows by name."""

    region: str
    offset: int
    array: Any

    @property
    def size(self) -> int:
        return int(self.array.nbytes)


class Region:
    """Memory that a server on this machine can open by its key, until it is `hidden`; those who have it open keep it.

    Hidden as soon as the server has opened it, it goes with the two processes, however they end.
    """

    def __init__(self, size: int) -> None:
        self.name = f"millrace_{os.getpid()}_{secrets.token_hex(6)}"
        self.key = f"/{self.name}"
        self.size = size
        self._path = MEMORY / self.name
        handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            os.ftruncate(handle, size)
            self._memory = mmap.mmap(handle, size)
        finally:
            os.close(handle)

    def array(self, offset: int, shape: tuple[int, ...], dtype: Any) -> Any:
        count = int(np.prod(shape))
        return np.frombuffer(self._memory, dtype, count, offset).reshape(shape)

    def hide(self) -> None:
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        self.hide()
        with suppress(BufferError):  # an array still looks at it: it goes with the last of them
            self._memory.close()
