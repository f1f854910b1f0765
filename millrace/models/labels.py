"""Class names: from a file, from the exporter's metadata, or those of COCO."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path

from ..core.errors import ConfigError

Labels = Mapping[int, str]

# The 80 classes of COCO detection, in their usual order (Lin et al., Microsoft COCO, arXiv 1405.0312).
COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow",
    "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple",
    "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch",
    "potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear",
    "hair drier", "toothbrush",
)  # fmt: skip


def read_labels(path: str | os.PathLike[str]) -> Labels:
    """One name a line; the first is class 0."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the labels {path}: {error}") from error
    while lines and not lines[-1].strip():
        lines.pop()
    return {number: line.strip() for number, line in enumerate(lines)}


def read_characters(path: str | os.PathLike[str]) -> Labels:
    """One character a line, as they stand there: a line may be a space."""
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the characters {path}: {error}") from error
    lines = lines[:-1] if lines and not lines[-1] else lines
    return {number: line.removesuffix("\r") for number, line in enumerate(lines)}


def read_heads(path: str | os.PathLike[str]) -> list[list[str]]:
    """The class names of each head of a classifier: a line `a;b;c` is a head; without a `;` all lines are one head."""
    lines = [name for name in read_labels(path).values() if name]
    if not any(";" in line for line in lines):
        return [lines] if lines else []
    return [[name.strip() for name in line.removesuffix(";").split(";")] for line in lines]


def from_metadata(metadata: Mapping[str, str]) -> Labels | None:
    """The names that an exporter wrote into the model: `names`, a dict or a list in Python's notation."""
    try:
        names = ast.literal_eval(metadata.get("names", ""))
    except (SyntaxError, ValueError):
        return None
    if isinstance(names, (list, tuple)):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(isinstance(key, int) for key in names):
        return None
    return {key: str(value) for key, value in names.items()}


def known_names(count: int | None, model: str | os.PathLike[str] = "") -> Labels:
    """The best there is when neither card nor metadata give names: COCO's for 80 classes.

    Where the shapes do not tell how many classes there are, a file with "coco" in its name counts as COCO. Empty
    when nothing is known: class ids then stand for names.
    """
    if count == len(COCO) or (count is None and "coco" in Path(model).stem.lower()):
        return dict(enumerate(COCO))
    return {}
