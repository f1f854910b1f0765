"""`millrace convert MODEL`: ONNX of a model of another framework, checked against that framework, with its card."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import typer

from .. import converters, runtimes
from ..converters.base import Conversion, Difference, compare
from ..core.errors import ConfigError
from ..media import TensorInfo
from ..models.card import find_card
from ..runtimes.base import parse_info
from ..runtimes.files import format_of

SEEDS = (1, 2, 3)


def convert(
    path: Path,
    output: Path | None,
    tolerance: float,
    size: str | None = None,
    model: str | None = None,
    inputs: list[str] | None = None,
) -> None:
    """Convert, check, write model and card, and say how far the two are apart. Raises ConfigError."""
    output = output or Path(f"{path.with_suffix('') if not path.is_dir() else path}.onnx")
    kind = format_of(path)
    if not path.exists():
        raise ConfigError(f"there is no file {path}")
    try:
        options = _options(path, kind, size, model, inputs)
        made = converters.convert(path, kind, **options)
        differences = write(made, output, tolerance)
    except ValueError as error:
        raise error if isinstance(error, ConfigError) else ConfigError(str(error)) from error
    for line in _report(made, output, differences):
        typer.echo(line)
    typer.echo(_card(path, output))


def write(made: Conversion, output: Path, tolerance: float) -> list[Difference]:
    """Write the model, when it does what its source does on random inputs, for one picture and for several.

    Where it does so for one picture only, its batch is fixed. Raises ValueError beyond the tolerance (relative to
    the largest number of an output, at least 1).
    """
    import onnx

    output.parent.mkdir(parents=True, exist_ok=True)
    trial = output.with_name(f".{output.stem}.{os.getpid()}.onnx")
    try:
        onnx.save(made.model, trial)
        differences = check(made, trial, 1)
        worst = max(differences, key=lambda difference: difference.relative)
        if worst.relative > tolerance:
            raise ValueError(
                f"{made.source}: the ONNX model does not do what {made.judge} does: output {worst.output} differs by"
                f" {worst.largest:.3g} at most, {worst.mean:.3g} in the mean, of numbers up to {worst.scale:.3g}"
                f" (--tolerance {tolerance:g}); nothing was written"
            )
        if _is_free(made.model):
            try:
                several = max(difference.relative for difference in check(made, trial, 2)) <= tolerance
            except ValueError:
                several = False
            if not several:
                _fix_batch(made.model)
                onnx.save(made.model, trial)
        trial.replace(output)
    finally:
        trial.unlink(missing_ok=True)
    return differences


def check(made: Conversion, path: Path, count: int) -> list[Difference]:
    """How far each output is from the reference's at worst, over some random inputs of `count` pictures."""
    from ..runtimes.onnx import load

    runtime = load(path, parallel=1, threads=runtimes.base.usable_cores())
    try:
        worst: dict[str, Difference] = {}
        for seed in SEEDS:
            feed = {info.name: _random(info, count, seed) for info in runtime.inputs}
            got, want = runtime.run(feed), _by_output(made.reference(feed), runtime.outputs)
            for name, value in want.items():
                found = compare(name, got[name], value)
                if name not in worst or found.relative > worst[name].relative:
                    worst[name] = found
        return list(worst.values())
    finally:
        runtime.close()


def _by_output(want: Mapping[str, Any], outputs: list[TensorInfo]) -> Mapping[str, Any]:
    """The reference's results under the names of the model: the same, or with TensorFlow's `:0`, or in order."""
    names = {info.name for info in outputs}
    if want.keys() == names:
        return want
    plain = {name.partition(":")[0]: name for name in names}
    if {name.partition(":")[0] for name in want} == plain.keys():
        return {plain[name.partition(":")[0]]: value for name, value in want.items()}
    return dict(zip((info.name for info in outputs), want.values(), strict=True))


def _random(info: TensorInfo, count: int, seed: int) -> Any:
    """Numbers as pictures have them: 0..255 where they are whole; else 0..1, -1..1 or 0..255, by the seed."""
    shape = [count if axis == 0 and dim is None else dim or 0 for axis, dim in enumerate(info.shape)]
    if 0 in shape:
        raise ValueError(f"the input {info} leaves more open than the number of pictures: it cannot be checked")
    rng = np.random.default_rng(seed)
    if not info.dtype.startswith("float"):
        return rng.integers(0, 256, shape).astype(info.dtype)
    low, high = {1: (0.0, 1.0), 2: (-1.0, 1.0), 3: (0.0, 255.0)}[seed]
    return rng.uniform(low, high, shape).astype(info.dtype)


def _is_free(model: Any) -> bool:
    dims = [list(value.type.tensor_type.shape.dim) for value in model.graph.input]
    return any(dim and not dim[0].HasField("dim_value") for dim in dims)


def _fix_batch(model: Any) -> None:
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = 1


def _options(path: Path, kind: str, size: str | None, model: str | None, inputs: list[str] | None) -> dict[str, Any]:
    """What the converter of this format is told besides the file."""
    if kind in ("torchscript", "export", "weights"):
        return _torch(path, kind, size, model, inputs)
    if kind == "frozen" and inputs:
        infos = [parse_info(*item.split("=", 1)) for item in inputs if "=" in item]
        return {"shapes": {info.name: info.shape for info in infos}}
    return {}


def _torch(path: Path, kind: str, size: str | None, model: str | None, inputs: list[str] | None) -> dict[str, Any]:
    """The network as the converter wants it: what the file does not say comes from the options."""
    from ..core.errors import MissingExtraError

    try:
        from ..runtimes.torch_program import InOrder, read
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"converting {path}", str(error.name), "torch,convert") from None
    given = dict(item.split("=", 1) for item in inputs or ())
    width, _, height = (size or "").partition("x")
    pixels = (int(height), int(width)) if width.isdigit() and height.isdigit() else None
    if size and pixels is None:
        raise ConfigError(f"--size {size!r} is not of the form 640x384 (width x height)")
    program = read(path, kind, "cpu", size=pixels, inputs=given or None, model=model)
    return {
        "module": InOrder(program), "inputs": program.inputs, "outputs": program.outputs,
        "metadata": dict(program.metadata),
    }  # fmt: skip


def _report(made: Conversion, output: Path, differences: list[Difference]) -> Iterator[str]:
    yield f"model   {output}"
    yield f"checked against {made.judge}, {len(SEEDS)} random inputs:"
    for found in differences:
        shape = ", ".join(map(str, found.shape))
        yield (
            f"output  {found.output} [{shape}]: largest difference {found.largest:.3g}, mean {found.mean:.3g}"
            f" (numbers up to {found.scale:.3g})"
        )
    yield from (f"note    {note}" for note in made.notes)


def _card(path: Path, output: Path) -> str:
    """Write a card beside the model, unless one is there; what it says is what recognition finds."""
    import yaml

    from ..elements._model import load_model

    there = find_card(output)
    if there is not None:
        return f"card    {there} is there, and stays as it is"
    card: dict[str, Any] = {"model": output.name, "description": f"Converted from {path.name} by millrace convert"}
    note = ""
    try:
        loaded = load_model(str(output))
    except ConfigError as error:
        note = f"# Not recognised: add `parser` and `input`. {' '.join(str(error).split())}\n"
    else:
        spec = loaded.spec
        loaded.runtime.close()
        card["parser"] = loaded.reader.guess.parser
        card["input"] = {
            "width": spec.width, "height": spec.height, "colour": spec.colour, "layout": spec.layout, "fit": spec.fit,
            "pad": spec.pad, "scale": spec.scale, "mean": list(spec.mean), "std": list(spec.std),
        }  # fmt: skip
        if loaded.reader.names:
            card["labels"] = dict(loaded.reader.names)
        note = "# What was recognised; set right what is not: colour and scale cannot be seen in a model.\n"
    written = output.with_suffix(".yaml")
    written.write_text(note + yaml.safe_dump(card, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return f"card    {written}" + (" (the outputs were not recognised: add a parser)" if "parser" not in card else "")
