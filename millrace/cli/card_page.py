"""`millrace inspect --card`: every key of a model card, as a page of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

from ..models.card import INNER, ModelCard

_TYPES = {
    "Share": "0..1", "Count": "int ≥ 0", "AtLeastOne": "int ≥ 1", "Pixels": "float ≥ 0",
    "Shade": "[r, g, b, a] of 0..1", "Colour": "RGB, BGR, GRAY", "Layout": "NCHW, NHWC",
    "Fit": "stretch, letterbox, letterbox-top-left", "Clustering": "nms, groups, dbscan, hybrid, none",
    "Kind": "detector, classifier, segmentation, instances, keypoints, oriented, embedding, text, depth, raw",
    "InputCard": "see below", "ObjectsCard": "see below", "ClassCard": "see below",
}  # fmt: skip
_ABOUT = {
    "input": "The `input` of a card",
    "objects": "The `objects` of a card",
    "every_class": "`every_class`, and each class of `by_class`",
}
_TOP = """# Model cards

<!-- Made from the source by `millrace inspect --card`. -->

A card is a YAML file beside a model, with the model's name: `person.yaml` beside `person.onnx`. It says what the
model's file cannot. All keys may be left out; what is not said is recognised from the tensors. An element's settings
override the card; `millrace check person.yaml` says how both are understood. DeepStream's nvinfer and nvinferserver
files are read as cards: `Infer(model="config_infer_primary.txt")`.

```yaml
model: person.onnx
input: {colour: RGB, fit: letterbox, scale: 0.00392}
labels: [person, bag]
confidence: 0.4
by_class:
  bag: {confidence: 0.6, min_width: 20}
```
"""


def page() -> str:
    """The whole page."""
    lines = [_TOP, *_table(ModelCard)]
    for name, title in _ABOUT.items():
        lines += ["", f"## {title}", "", (INNER[name].__doc__ or "").partition("\n\n")[0], "", *_table(INNER[name])]
    return "\n".join(lines) + "\n"


def _table(card: type[Any]) -> Iterator[str]:
    yield "| key | type | default | what it is |"
    yield "| --- | --- | --- | --- |"
    for one in fields(card):
        if "help" in one.metadata:
            cells = (f"`{one.name}`", _type(str(one.type)), _default(one), one.metadata["help"])
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(text: str) -> str:
    text = text.removesuffix(" | None")
    if numbers := re.search(r"Interval\(ge=(\d+), le=(\d+)\)", text):
        return f"{numbers[1]}..{numbers[2]}"
    if above := re.search(r"Gt\((\d+)\)", text):
        return f"float > {above[1]}"
    if words := re.fullmatch(r"Literal\[(.*)\]", text):
        return re.sub("[\"']", "", words[1])
    return re.sub(r"\w+", lambda word: _TYPES.get(word[0], word[0]), text)


def _default(one: Field[Any]) -> str:
    if one.default is MISSING or one.default is None or one.default == "":
        return ""
    return f"`{str(one.default).lower() if isinstance(one.default, bool) else one.default}`"
