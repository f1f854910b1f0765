"""Model cards: a YAML file beside a model that says what its file cannot."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from ..core.errors import ConfigError, did_you_mean
from ..media.tensor import Colour, Fit, Layout
from .labels import Labels, read_labels

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputCard:
    """How the model wants its input; see media.InputSpec. What is None is left to recognition."""

    width: int | None = None
    height: int | None = None
    colour: Colour | None = None
    layout: Layout | None = None
    fit: Fit | None = None
    pad: int | None = None
    scale: float | None = None
    mean: tuple[float, ...] | float | None = None
    std: tuple[float, ...] | float | None = None
    dtype: Literal["float32", "float16", "uint8"] | None = None
    antialias: bool | None = None

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def known(self) -> dict[str, Any]:
        """The fields that the card sets; one number for mean or std stands for all channels."""
        fields = {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) is not None}
        for name in ("mean", "std"):
            if isinstance(fields.get(name), (int, float)):
                fields[name] = (float(fields[name]),) * (1 if self.colour == "GRAY" else 3)
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of a model. It overrides what recognition finds; an element's settings override it.

    `model`: the file, relative to the card, or the address of a model on a server. `runtime`: what runs it (auto, onnx,
    openvino, torch, tensorrt, tflite, triton), with `options` of its own. `labels`: names by class id (a list or a
    mapping), or a text file with one name a line. `thresholds`: confidence by label or class id, above `confidence`.
    `extras`: keys for the parser. `source`: the card's own path.
    """

    model: str | None = None
    description: str = ""
    licence: str = ""
    runtime: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    parser: str | None = None
    input: InputCard = field(default_factory=InputCard)
    labels: list[str] | dict[int, str] | str | None = None
    confidence: float | None = None
    iou: float | None = None
    top_k: int | None = None
    classes: list[str | int] | None = None
    class_agnostic: bool | None = None
    background: int | None = None
    thresholds: dict[str | int, float] = field(default_factory=dict)
    extras: dict[str, Any] = field(default_factory=dict)
    source: str | None = None

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def names(self) -> Labels | None:
        """The class names that the card gives, None when it gives none."""
        if isinstance(self.labels, str):
            return read_labels(self.near(self.labels))
        if isinstance(self.labels, list):
            return dict(enumerate(self.labels))
        return self.labels

    def near(self, name: str) -> Path:
        """A path that the card names, relative to the card."""
        return Path(self.source or ".").parent / name


def find_card(model: str | os.PathLike[str]) -> Path | None:
    """The card beside a model: the same name with .yaml or .yml."""
    return next((card for suffix in SUFFIXES if (card := Path(model).with_suffix(suffix)).is_file()), None)


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """Read and check a card. Raises ConfigError with file and line for what is not understood."""
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the model card {path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: a model card is a mapping of keys, such as `parser: yolox`")
    return _checked({**values, "source": os.fspath(path)}, tree, path)


def _checked(values: dict[str, Any], tree: Any, path: str | os.PathLike[str]) -> ModelCard:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(ModelCard).validate_python(values)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False):
            keys = [key for key in problem["loc"] if not _branch(key)]
            where = f"{path}:{_line(tree, keys)}: {'.'.join(map(str, keys))}"
            problems.append(f"{where}: {_sentence(problem['type'], problem['msg'], keys)}")
        raise ConfigError("\n".join(dict.fromkeys(problems))) from None


def _branch(key: int | str) -> bool:
    """Whether a step of pydantic's path names a branch of a union, not a key of ours."""
    return isinstance(key, str) and (key in ("str", "int", "float") or "[" in key)


def _sentence(kind: str, message: str, keys: Sequence[int | str]) -> str:
    if kind not in ("unexpected_keyword_argument", "extra_forbidden"):
        return message
    known = [name for name in (InputCard if len(keys) > 1 else ModelCard).__slots__ if name != "source"]
    return "unknown key." + (did_you_mean(str(keys[-1]), known) or f" There are: {', '.join(known)}")


def _line(tree: Any, keys: Sequence[int | str]) -> int:
    """The line of a key in the parsed tree, or of the last one on the way that is there."""
    line = 1
    for key in keys:
        pairs = getattr(tree, "value", None)
        if isinstance(key, int) and isinstance(pairs, list) and key < len(pairs) and not isinstance(pairs[key], tuple):
            tree = pairs[key]
            line = tree.start_mark.line + 1
            continue
        pair = next((p for p in pairs or () if isinstance(p, tuple) and p[0].value == str(key)), None)
        if pair is None:
            break
        line, tree = pair[0].start_mark.line + 1, pair[1]
    return line
