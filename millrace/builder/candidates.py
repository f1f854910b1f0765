"""The engines that are worth a trial on this machine, runtime by runtime, and why others are not.

A file is the registration of a runtime's candidates here: add a function to CANDIDATES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from ..engines import Engine
from ..engines.machine import cpu
from ..runtimes.base import usable_cores
from .subject import Subject
from .wishes import Wishes

BATCHES = (2, 4, 8)
DEFAULT = "the default"
OPENVINO = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}  # what its runtime calls them


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What was not tried, and why."""

    what: str
    why: str


def default(subject: Subject) -> Engine:
    """What `run` takes when nothing was built: the yardstick."""
    if subject.device.startswith("cuda"):
        return Engine("torch", {}, note=DEFAULT)
    return Engine("onnx", {"parallel": usable_cores(), "threads": 1}, note=DEFAULT)


def candidates(subject: Subject, wishes: Wishes) -> Iterator[Engine | LeftOut]:
    """Engines in FP32 and those that need no file of their own, the default first; INT8 and FP16 files come later."""
    yield default(subject)
    for runtime, make in CANDIDATES.items():
        if wishes.runtimes is not None and runtime not in wishes.runtimes:
            yield LeftOut(runtime, "not asked for")
        else:
            yield from make(subject, wishes)


def splits() -> list[tuple[int, int]]:
    """(calls at a time, threads of each) that take all cores."""
    count = usable_cores()
    return [(calls, count // calls) for calls in range(count, 0, -1) if count % calls == 0]


def onnx(subject: Subject, wishes: Wishes) -> Iterator[Engine | LeftOut]:
    """ONNX Runtime: how cores are shared, spinning, the graph's level, batches."""
    if subject.device != "cpu" or subject.path.suffix != ".onnx":
        yield LeftOut("onnx", f"it runs .onnx files on the CPU; this is {subject.path.suffix} on {subject.device}")
        return
    every = Engine("onnx", {"parallel": usable_cores(), "threads": 1})
    for calls, threads in splits():
        if (calls, threads) != (usable_cores(), 1):
            yield every.with_options(parallel=calls, threads=threads)
    if usable_cores() > 1:
        spinning = Engine("onnx", {"parallel": 1, "threads": usable_cores(), "session.intra_op.allow_spinning": "1"})
        yield _noted(spinning, "spinning")
    yield _noted(every.with_options(optimization="extended"), "layout NCHW")
    yield _noted(every.with_options(**{"session.set_denormal_as_zero": "1"}), "denormals are zero")
    if subject.batch is None:
        for size in BATCHES:
            yield Engine("onnx", dict(every.options), batch=size)
    else:
        yield LeftOut("onnx, batches", f"the model takes {subject.batch} picture a call")
    if "bf16" in wishes.precisions:
        yield LeftOut("onnx bf16", "ONNX Runtime has no BF16 on processors of this kind")


def openvino(subject: Subject, wishes: Wishes) -> Iterator[Engine | LeftOut]:
    """OpenVINO: as many calls at a time, in FP32 and in BF16 or FP16 where the processor has it."""
    if find_spec("openvino") is None:
        yield LeftOut("openvino", "not installed: pip install 'millrace[openvino]'")
        return
    flags = cpu()[1].split()
    for precision, name in OPENVINO.items():
        if precision not in wishes.precisions:
            continue
        if precision == "bf16" and not {"avx512_bf16", "amx_bf16", "bf16"} & set(flags):
            yield LeftOut("openvino bf16", "the processor has no BF16 arithmetic")
            continue
        if precision == "fp16" and not {"avx512_fp16", "amx_fp16", "asimdhp"} & set(flags):
            yield LeftOut("openvino fp16", "the processor has no FP16 arithmetic")
            continue
        for calls, threads in splits():
            options = {"parallel": calls, "threads": threads, "precision": name}
            yield Engine("openvino", options, precision=precision)


def torch(subject: Subject, wishes: Wishes) -> Iterator[Engine | LeftOut]:
    """PyTorch: on a GPU it is the default; on a CPU it was two to four times slower than ONNX Runtime."""
    if subject.device.startswith("cuda"):
        return
    yield LeftOut("torch", "it runs .onnx files on GPUs only; on a CPU it was slower than ONNX Runtime by far")


def _noted(engine: Engine, note: str) -> Engine:
    return Engine(engine.runtime, engine.options, engine.precision, engine.batch, engine.file, note)


CANDIDATES: dict[str, Callable[[Subject, Wishes], Iterator[Engine | LeftOut]]] = {
    "onnx": onnx,
    "openvino": openvino,
    "torch": torch,
}
