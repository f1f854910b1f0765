"""Classifiers: one or more heads, each a row of scores (colour and type of a vehicle; attributes of a person)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..media import Label, Reading, TensorInfo
from .base import Guess, Head, Model, Outputs, ParserSettings
from .common import Floats, image_input, sigmoid, softmax

EMBEDDINGS = (64, 128, 256, 384, 512, 768, 1024, 1280, 1536, 2048)  # lengths that a vector of features often has
_SAYS = ("prob", "softmax", "logit", "class", "cls", "predictions", "type", "color", "colour", "label", "score")


def parse(outputs: Outputs, count: int, settings: ParserSettings) -> Sequence[Reading]:
    """Each head [N, C], [N, C, 1, 1] or [N, 1, C]: the class with the highest score, if that is above `confidence`.

    Extras: `activation` (none: scores are probabilities; softmax; sigmoid; by default it is seen from the numbers
    whether they are probabilities already), `multilabel` (every class above `confidence` counts, not the best alone),
    `points` (outputs [N, 2] that are no heads but points, x and y as fractions of the input).
    """
    points = [str(name) for name in settings.extras.get("points", ())]
    heads = settings.heads or [Head(name, "", settings.names) for name in outputs if name not in points]
    rest = iter([name for name in outputs if name not in points and name not in {head.output for head in heads}])
    named = [(head, outputs[head.output or next(rest)].reshape(count, -1)) for head in heads]
    heads_of = [_labels(scores, head, settings) for head, scores in named]
    return [
        Reading([label for labels in heads_of for label in labels[n]], keypoints=_points(outputs, points, n, settings))
        for n in range(count)
    ]


def _labels(scores: NDArray[np.float32], head: Head, settings: ParserSettings) -> list[list[Label]]:
    """What a head [N, C] says of each picture."""
    many = bool(settings.extras.get("multilabel", False))
    values = probabilities(scores, str(settings.extras.get("activation", "auto")), many)
    places: Iterable[tuple[int, int]]
    if many:
        places = zip(*(each.tolist() for each in np.nonzero(values > settings.confidence)), strict=True)
    else:
        places = enumerate(values.argmax(axis=1).tolist())
    found: list[list[Label]] = [[] for _ in range(len(values))]
    for picture, n in places:
        value = float(values[picture, n])
        if value > settings.rule(n, "confidence") and (settings.classes is None or n in settings.classes):
            found[picture].append(Label(head.name, head.labels.get(n) or str(n), value, n))
    return found


def probabilities(scores: NDArray[np.float32], activation: str, independent: bool = False) -> Floats:
    """Scores [N, C] as probabilities; `auto` leaves pictures alone that have some already."""
    scores = np.asarray(scores, np.float32)
    done = [activation == "none"] * len(scores)
    if activation == "auto":
        activation = "sigmoid" if independent or scores.shape[1] == 1 else "softmax"
        reach = zip(scores.min(axis=1).tolist(), scores.max(axis=1).tolist(), strict=True)
        done = [low >= -1e-4 and high <= 1 + 1e-4 for low, high in reach]
        if any(done) and not independent:
            totals = scores.sum(axis=1).tolist()
            done = [each and abs(total - 1.0) < 1e-2 for each, total in zip(done, totals, strict=True)]
    if all(done):
        return scores
    made = sigmoid(scores) if activation == "sigmoid" else softmax(scores)
    if any(done):
        made[done] = scores[done]
    return made


def _points(outputs: Outputs, names: list[str], picture: int, settings: ParserSettings) -> Floats | None:
    if not names:
        return None
    rows = np.array([outputs[name][picture].reshape(-1)[:2] for name in names], np.float32)
    rows *= (settings.width, settings.height)
    return np.column_stack([rows, np.ones(len(rows), np.float32)])


def flat(output: TensorInfo) -> int | None:
    """The numbers of a picture's row in an output [N, C] with perhaps dimensions of 1; None for other shapes."""
    if not 2 <= len(output.shape) <= 4 or None in output.shape[1:]:
        return None
    sizes = [size for size in output.shape[1:] if size is not None and size != 1]
    return sizes[0] if len(sizes) == 1 else None


def guess(model: Model) -> Guess | None:
    if image_input(model) is None or len(model.inputs) != 1 or model.metadata.get("task") not in (None, "classify"):
        return None
    sizes = [flat(output) for output in model.outputs]
    if not sizes or not all(size and size > 1 for size in sizes):
        return None
    telling = all(any(word in output.name.lower() for word in _SAYS) for output in model.outputs)
    if len(sizes) > 1 and not telling:
        return None  # heads, points, features: nobody can tell
    if sizes[0] in EMBEDDINGS and not telling and "names" not in model.metadata:
        return None
    why = ", ".join(f"{output.name} has {size} class scores" for output, size in zip(model.outputs, sizes, strict=True))
    yolo = "Ultralytics" in model.metadata.get("author", "")
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    wants = {"colour": "RGB", "scale": 1 / 255, "fit": "stretch", **({} if yolo else imagenet)}
    count = sizes[0] if len(sizes) == 1 else None
    return Guess("classifier", 0.6 if telling else 0.4, why, input=wants, confidence=0.0, class_count=count)
