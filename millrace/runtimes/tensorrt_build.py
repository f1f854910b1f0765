"""ONNX → TensorRT engine: precision, profile of sizes, INT8 calibration, and the file in which the engine is kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorrt as trt

from .tensorrt_memory import Slot

PRECISIONS = {"float32": None, "float16": "FP16", "bfloat16": "BF16", "int8": "INT8"}  # → the builder's flag
_GIB = 1 << 30
Calibration = Sequence[Mapping[str, Any]] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an engine shall be like; see runtimes.tensorrt.load."""

    precision: str
    batch: int
    gpu: str
    optimum: int | None = None
    workspace: float = 4.0
    calibration: Calibration | None = None
    calibration_cache: str | None = None


def build(path: Path, wish: Wish, cache: Path, logger: Any, slot: Slot) -> bytes:
    """The engine for a model: from the cache, or built now and put there. Raises ValueError."""
    kept = cache / f"{path.stem}-{_digest(path, wish)}.engine"
    if kept.is_file():
        return kept.read_bytes()
    plan = _build(path, wish, logger, slot)
    cache.mkdir(parents=True, exist_ok=True)
    trial = kept.with_suffix(f".{os.getpid()}")
    trial.write_bytes(plan)
    trial.replace(kept)
    return plan


def _digest(path: Path, wish: Wish) -> str:
    """By content: the model, this GPU, this TensorRT, and what was wished for."""
    digest = hashlib.sha256(path.read_bytes())
    facts = [trt.__version__, wish.gpu, wish.precision, wish.batch, wish.optimum]
    if wish.precision == "int8":
        for feed in _feeds(wish.calibration):
            for name, value in feed.items():
                digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
    digest.update(repr(facts).encode())
    return digest.hexdigest()[:20]


def _build(path: Path, wish: Wish, logger: Any, slot: Slot) -> bytes:
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        reasons = "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
        raise ValueError(f"{path} cannot be read by TensorRT: {reasons[:300] or logger.last()}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(wish.workspace * _GIB))
    profile = _profile(builder, network, wish)
    if profile is not None:
        config.add_optimization_profile(profile)
    calibrator = _precision(config, wish, profile, path, slot)
    plan = builder.build_serialized_network(network, config)
    del calibrator  # TensorRT keeps no reference to it: it must live until here
    if plan is None:
        raise ValueError(f"{path} cannot be built by TensorRT: {logger.last()}")
    return bytes(plan)


def _profile(builder: Any, network: Any, wish: Wish) -> Any:
    """One profile: 1 to `batch` pictures. Raises ValueError where more than the batch is free."""
    profile = None
    for number in range(network.num_inputs):
        tensor = network.get_input(number)
        shape = tuple(tensor.shape)
        if -1 not in shape:
            continue
        if -1 in shape[1:]:
            raise ValueError(f"input {tensor.name} {list(shape)} leaves more open than the number of pictures")
        profile = profile or builder.create_optimization_profile()
        sizes = (1, wish.optimum or wish.batch, wish.batch)
        profile.set_shape(tensor.name, *((size, *shape[1:]) for size in sizes))
    return profile


def _precision(config: Any, wish: Wish, profile: Any, path: Path, slot: Slot) -> Any:
    """Set the flags; returns the calibrator of an INT8 engine, else None."""
    flag = PRECISIONS[wish.precision]
    if flag is None:
        if hasattr(trt.BuilderFlag, "TF32"):
            config.clear_flag(trt.BuilderFlag.TF32)  # float32 means float32
        return None
    if not hasattr(trt.BuilderFlag, flag):
        raise ValueError(
            f"TensorRT {trt.__version__} takes the precision from the model: give a model whose weights are"
            f" {wish.precision} (int8: with QuantizeLinear and DequantizeLinear), and precision=float32"
        )
    config.set_flag(getattr(trt.BuilderFlag, flag))
    if wish.precision != "int8" or _is_quantised(path):
        return None
    config.set_flag(trt.BuilderFlag.FP16)  # layers that INT8 does not have, or not as fast
    feeds = list(_feeds(wish.calibration))
    if not feeds and not (wish.calibration_cache and Path(wish.calibration_cache).is_file()):
        raise ValueError("precision=int8 needs `calibration`, inputs that are like the real ones, or its cache")
    calibrator = _calibrator(feeds, wish.calibration_cache, slot)
    config.int8_calibrator = calibrator
    if profile is not None:
        config.set_calibration_profile(profile)
    return calibrator


def _is_quantised(path: Path) -> bool:
    """Whether the model says itself how it is quantised: an operator's name stands in the file as it is."""
    return b"QuantizeLinear" in path.read_bytes()


def _feeds(calibration: Calibration | None) -> Iterator[Mapping[str, Any]]:
    """Inputs of one picture each."""
    if calibration is None:
        return
    if not isinstance(calibration, str):
        yield from calibration
        return
    try:
        with np.load(calibration) as arrays:
            names = arrays.files
            stacked = [arrays[name] for name in names]
    except (OSError, ValueError) as error:
        raise ValueError(f"calibration: {calibration} cannot be read: {error}") from error
    for row in zip(*stacked, strict=True):
        yield {name: value[None] for name, value in zip(names, row, strict=True)}


def _calibrator(feeds: list[Mapping[str, Any]], cache: str | None, slot: Slot) -> Any:
    class Calibrator(trt.IInt8EntropyCalibrator2):  # type: ignore[misc]
        """Gives TensorRT one picture after the other, and keeps what it finds."""

        def __init__(self) -> None:
            trt.IInt8EntropyCalibrator2.__init__(self)
            self._left = iter(feeds)

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: Sequence[str]) -> list[int] | None:
            feed = next(self._left, None)
            if feed is None:
                return None
            pointers = [slot.upload(f"calibration/{name}", feed[name]) for name in names]
            slot.wait()
            return pointers

        def read_calibration_cache(self) -> bytes | None:
            return Path(cache).read_bytes() if cache and Path(cache).is_file() else None

        def write_calibration_cache(self, data: Any) -> None:
            if cache:
                Path(cache).parent.mkdir(parents=True, exist_ok=True)
                Path(cache).write_bytes(bytes(data))

    return Calibrator()
