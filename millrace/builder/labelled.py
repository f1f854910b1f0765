"""Average precision of an engine on pictures whose objects are known (a COCO file of truth)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..metrics.detection import coco_figures
from ..runtimes.base import Runtime
from .calibration import pictures
from .subject import Subject

LEAST = 0.01  # confidence: average precision wants the unsure ones too


@dataclass(frozen=True, slots=True)
class Picture:
    """One labelled picture, as the model's input."""

    number: Any  # image_id
    call: dict[str, Any]
    placement: Any


class Labelled:
    """The labelled pictures of a file of truth, its images beside it or in `images/`."""

    def __init__(self, truth: Path, subject: Subject) -> None:
        """Raises ConfigError for a file that is not so, and for a model that finds no boxes or names other classes."""
        if subject.loaded is None or subject.kind != "detections":
            raise ConfigError(f"--labels {truth}: {subject.path.name} finds no boxes that could be judged")
        try:
            values = json.loads(truth.read_text(encoding="utf-8"))
            named = {each["name"]: each["id"] for each in values["categories"]}
            images = [(each["id"], each["file_name"]) for each in values["images"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"--labels {truth}: not a COCO file of truth: {error}") from error
        self._truth, self._subject, self._loaded = truth, subject, subject.loaded
        self._categories = {
            number: named[name] for number, name in subject.loaded.reader.names.items() if name in named
        }
        if not self._categories:
            raise ConfigError(f"--labels {truth}: its classes {', '.join(named)} are none that the model names")
        self._settings = replace(subject.loaded.reader.settings, confidence=LEAST, thresholds={}, rules={})
        self._pictures = [self._prepare(number, name) for number, name in images]

    def ap(self, runtime: Runtime, folder: Path) -> float:
        """AP over IoU 0.5 to 0.95, by pycocotools. Raises MissingExtraError without it."""
        futures = [runtime.submit(picture.call) for picture in self._pictures]
        results = [
            row
            for picture, future in zip(self._pictures, futures, strict=True)
            for row in self._rows(picture, future.result())
        ]
        file = folder / "labelled.json"
        file.write_text(json.dumps(results), encoding="utf-8")
        return float(coco_figures(self._truth, file)["AP"] or 0.0)

    def _prepare(self, number: Any, name: str) -> Picture:
        places = [self._truth.parent / name, self._truth.parent / "images" / name]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise ConfigError(f"--labels {self._truth}: there is no picture {places[0]}, nor {places[1]}")
        taken = pictures([str(path)], self._subject.spec, 1)
        return Picture(number, self._subject.feed(taken.tensors[0]), taken.placements[0])

    def _rows(self, picture: Picture, outputs: Any) -> Iterator[dict[str, Any]]:
        found: Any = self._loaded.reader.parser(outputs, 1, self._settings)[0]
        boxes = picture.placement.to_source(found.boxes)
        for box, score, number in zip(boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True):
            if number in self._categories:
                x1, y1, x2, y2 = box
                yield {
                    "image_id": picture.number, "category_id": self._categories[number],
                    "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score,
                }  # fmt: skip
