"""PyTorch's own files: TorchScript, torch.export programs, weights with a user's class, packages of AOTInductor."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..core.errors import ConfigError
from ..core.named import find_named
from ..media import TensorInfo
from .base import parse_info

_FACTS = ("metadata.json", "config.txt")  # JSON that exporters put into the archive; the second is Ultralytics' name
_NESTED = ("state_dict", "model_state_dict", "model")  # where checkpoints keep the weights


@dataclass(frozen=True, slots=True)
class Program:
    """A network: `module` is called with the inputs in order."""

    module: Any
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def call(self, *tensors: Any) -> list[Any]:
        """The outputs in order."""
        return [value for _, value in flat(self.module(*tensors))]


class InOrder(torch.nn.Module):  # type: ignore[misc]
    """A program as a module that gives a tuple of its outputs in order."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.module = program.module

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        return tuple(value for _, value in flat(self.module(*tensors)))


def read(
    path: str | os.PathLike[str],
    kind: str,
    device: str,
    size: tuple[int, int] | None = None,
    inputs: Mapping[str, str] | None = None,
    model: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    parallel: int = 1,
) -> Program:
    """Read a file of PyTorch's; see runtimes.torch.load. Raises ValueError naming the file and what is wrong."""
    facts: dict[str, str] = {}
    names = ["images"]
    try:
        if kind == "export":
            return _exported(path, device)
        if kind == "weights":
            module = _with_weights(path, model, arguments or {})
        elif kind == "aoti":
            module = _package(path, parallel)
        else:
            module, facts = _script(path)
            names = [_plain(value.debugName()) for value in list(module.graph.inputs())[1:]]
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, KeyError) as error:
        raise ValueError(f"{path} is not a model that PyTorch can read: {_first_line(error)}") from error
    wanted = _inputs(path, names, size, inputs, facts)
    module = module if kind == "aoti" else module.to(device).eval()
    return _probed(path, module, wanted, facts, device)


def flat(result: Any, name: str = "") -> list[tuple[str, Any]]:
    """The tensors of a network's result, which may be a tensor, a tuple, a dictionary, or nested; with names."""
    if isinstance(result, torch.Tensor):
        return [(name, result)]
    pairs = result.items() if isinstance(result, Mapping) else enumerate(result) if _is_row(result) else ()
    return [item for key, value in pairs for item in flat(value, f"{name}_{key}" if name else str(key))]


def release(module: Any) -> None:
    """Free the memory of a network's weights, which is not called again.

    Modules of torch.export hold themselves in a cycle: the collector would free them late, or, where what was loaded
    is kept from it (torch_cuda), never.
    """
    if isinstance(module, torch.nn.Module):
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data = tensor.data.new_empty(0)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of PyTorch about PyTorch: that TorchScript is old, that one part of it calls another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _is_row(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def as_float16(program: Program) -> Program:
    """The same in half precision, inputs too."""
    inputs = [replace(info, dtype="float16") if info.dtype == "float32" else info for info in program.inputs]
    return replace(program, module=program.module.half(), inputs=inputs)


def compiled_package(program: Program, path: str | os.PathLike[str], folder: str | None, parallel: int) -> Program:
    """The same, compiled ahead of time for this machine: from the folder, or made now and put there."""
    name = f"{Path(path).stem}-{_digest(path)}-torch{torch.__version__.partition('+')[0]}.pt2"
    package = Path(folder or tempfile.mkdtemp(prefix="millrace-aoti-")) / name
    try:
        if not package.is_file():
            package.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=package.parent) as own:
                exported, made = Path(own) / "exported.pt2", Path(own) / "compiled.pt2"
                torch.export.save(_exportable(program), str(exported))
                _compile_aside(exported, made)
                made.replace(package)
        module = _package(package, parallel)
    except (RuntimeError, OSError) as error:
        raise ValueError(f"{path} cannot be compiled ahead of time: {_first_line(error)}") from error
    return replace(program, module=module)


def _package(path: str | os.PathLike[str], runners: int) -> Any:
    """The compiled network of a package; so many calls of it may run at the same time."""
    try:
        from torch.export.pt2_archive._package import load_pt2
    except ImportError:  # before PyTorch 2.8: one after the other
        return torch._inductor.aoti_load_package(os.fspath(path))
    found = load_pt2(os.fspath(path), num_runners=runners).aoti_runners
    if len(found) != 1:
        raise ValueError(f"{path} holds {len(found)} networks ({', '.join(found)}), not one")
    return next(iter(found.values()))


def _compile_aside(exported: Path, made: Path) -> None:
    """Compile in a process of its own: the compiler keeps threads and processes for the life of the one it runs in."""
    code = (
        "import sys, torch\n"
        "with torch.no_grad():\n"
        "    torch._inductor.aoti_compile_and_package(torch.export.load(sys.argv[1]), package_path=sys.argv[2])"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(exported), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not made.is_file():
        raise RuntimeError((done.stderr.strip().splitlines() or ["the compiler gave no package"])[-1])


def _exportable(program: Program) -> Any:
    """An exported program of a network, with the free batch that its inputs have."""
    kept = getattr(program.module, "exported", None)
    if kept is not None:
        return kept
    batch = torch.export.Dim("batch", min=1, max=256)
    free = tuple({0: batch} if info.shape and info.shape[0] is None else None for info in program.inputs)
    with torch.no_grad():
        return torch.export.export(program.module, tuple(_zeros(program.inputs, 2, "cpu")), dynamic_shapes=(free,))


def _digest(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _script(path: str | os.PathLike[str]) -> tuple[Any, dict[str, str]]:
    extra = dict.fromkeys(_FACTS, "")
    with quiet():
        module = torch.jit.load(os.fspath(path), map_location="cpu", _extra_files=extra)
    return module, _facts(extra)


def _exported(path: str | os.PathLike[str], device: str) -> Program:
    extra = dict.fromkeys(_FACTS, "")
    with quiet():  # about buffers that nobody writes
        exported = torch.export.load(os.fspath(path), extra_files=extra)
    if device != "cpu":
        from torch.export.passes import move_to_device_pass

        exported = move_to_device_pass(exported, device)
    signature = exported.graph_signature
    values = {node.name: node.meta["val"] for node in exported.graph.nodes if "val" in node.meta}
    inputs = [_symbolic(name, values[name]) for name in signature.user_inputs if name in values]
    names = signature.user_outputs
    outputs = [_symbolic(f"output{n}", values[name]) for n, name in enumerate(names)]
    module = exported.module()
    module.exported = exported  # what compiled_package starts from
    return Program(module, inputs, outputs, _facts(extra))


def _symbolic(name: str, value: Any) -> TensorInfo:
    shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape)
    return TensorInfo(name, shape, _dtype(value))


def _with_weights(path: str | os.PathLike[str], model: str | None, arguments: Mapping[str, Any]) -> Any:
    """The user's network with the weights of the file; nothing but tensors and plain values is unpickled."""
    if model is None:
        raise ValueError(
            f"{path} holds weights alone: name the network's class, `options: {{model: module:Class}}`"
            " (or save it with torch.export or torch.jit)"
        )
    try:
        state = torch.load(os.fspath(path), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than weights, which could run code when it is read: save the network's state_dict()"
        ) from error
    for key in _NESTED:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    module = _class(model)(**arguments)
    missing, unknown = module.load_state_dict(state, strict=False)
    if missing or unknown:
        lacks = f"lacks {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}" if missing else ""
        adds = f"has {', '.join(unknown[:3])}{' …' if len(unknown) > 3 else ''} too many" if unknown else ""
        raise ValueError(f"{path} is not the state of {model}: it {' and '.join(filter(None, (lacks, adds)))}")
    return module


def _class(name: str) -> Any:
    """`package.module:Class` or `file.py:Class`. Raises ValueError."""
    try:
        return find_named(name)
    except ConfigError as error:
        raise ValueError(f"model={name!r} is not a class (module:Class or file.py:Class): {error}") from error


def _facts(extra: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in extra.values():
        try:
            values = json.loads(text) if text else {}
        except (ValueError, UnicodeDecodeError):
            continue
        if isinstance(values, dict):
            found |= {str(key): value if isinstance(value, str) else repr(value) for key, value in values.items()}
    return found


def _inputs(
    path: str | os.PathLike[str],
    names: Sequence[str],
    size: tuple[int, int] | None,
    inputs: Mapping[str, str] | None,
    facts: Mapping[str, str],
) -> list[TensorInfo]:
    """The inputs: as the user says, else pictures of the size that is known."""
    if inputs:
        return [parse_info(name, text) for name, text in inputs.items()]
    numbers = [int(number) for number in re.findall(r"\d+", facts.get("imgsz", ""))]
    size = size or ((numbers[0], numbers[-1]) if numbers else None)
    if size is None or len(names) != 1:
        example = ", ".join(f'{name}: "float32[?, 3, 384, 640]"' for name in names)
        raise ValueError(
            f"{path} does not say what shape its inputs have: give the picture's size in a model card"
            f" (`input: {{width: …, height: …}}`) or `options: {{inputs: {{{example}}}}}`"
        )
    return [TensorInfo(names[0], (None, 3, *size), "float32")]


def _probed(
    path: str | os.PathLike[str], module: Any, inputs: list[TensorInfo], facts: Mapping[str, str], device: str
) -> Program:
    """The program with the outputs that it gives for one picture, and whether it takes two."""
    with torch.inference_mode():
        try:
            one = flat(module(*_zeros(inputs, 1, device)))
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            shapes = ", ".join(map(str, inputs))
            raise ValueError(f"{path} does not run on {shapes}: {_first_line(error)}") from error
        try:
            two = [value.shape for _, value in flat(module(*_zeros(inputs, 2, device)))]
        except (RuntimeError, ValueError, TypeError, AssertionError):
            two = []
    free = len(two) == len(one) and all(
        len(v.shape) and s[0] == 2 * v.shape[0] for (_, v), s in zip(one, two, strict=True)
    )
    if not free:
        inputs = [replace(info, shape=(1, *info.shape[1:])) if info.shape[:1] == (None,) else info for info in inputs]
    outputs = []
    for number, (name, value) in enumerate(one):
        own = name if name and not name[0].isdigit() else f"output{number}"
        shape = tuple(value.shape)
        dims = (None, *shape[1:]) if free and shape[0] == 1 else shape
        outputs.append(TensorInfo(own, dims, _dtype(value)))
    return Program(module, inputs, outputs, facts)


def _zeros(inputs: Sequence[TensorInfo], batch: int, device: str) -> list[Any]:
    return [
        torch.zeros([batch if dim is None else dim for dim in info.shape], dtype=getattr(torch, info.dtype)).to(device)
        for info in inputs
    ]


def _dtype(value: Any) -> str:
    name = str(value.dtype).removeprefix("torch.")
    return "float32" if name in ("float16", "bfloat16") else name  # as results are given


def _plain(name: str) -> str:
    """TorchScript numbers its names: x.1 is x."""
    return re.sub(r"\.\d+$", "", name)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
