"""Average precision and recall of detections, as COCO defines them: the arithmetic is pycocotools'.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError, MissingExtraError

NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def coco_figures(truth: Path, results: Path) -> dict[str, Any]:
    """{"AP", "AP50", …, "classes": {name: {"AP", "AP50"}}}: shares 0..1, None where there is nothing to judge.

    `truth` is a COCO annotation file, `results` a list of {"image_id", "category_id", "bbox": [x, y, w, h], "score"}.
    Raises ConfigError for files that are not so, MissingExtraError without pycocotools.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise MissingExtraError("millrace eval detect", "pycocotools", "eval") from error
    real, found = _read(truth), _read(results)
    _check(truth, real, results, found)
    with contextlib.redirect_stdout(io.StringIO()):  # it says what it does
        known = COCO()
        known.dataset = real
        known.createIndex()
        if not found:  # it cannot load none
            return dict.fromkeys(NAMES, 0.0) | {"classes": {}}
        work = COCOeval(known, known.loadRes(found), "bbox")
        work.evaluate()
        work.accumulate()
        work.summarize()
    figures: dict[str, Any] = {name: _share(value) for name, value in zip(NAMES, work.stats.tolist(), strict=True)}
    figures["classes"] = _classes(work, {each["id"]: each["name"] for each in real["categories"]})
    return figures


def _classes(work: Any, names: dict[int, str]) -> dict[str, dict[str, float | None]]:
    precision = work.eval["precision"]  # [IoU, recall, class, area, most]
    out = {}
    for n, key in enumerate(work.params.catIds):
        every, half = precision[:, :, n, 0, -1], precision[0, :, n, 0, -1]
        out[names[key]] = {
            name: _share(float(values[values > -1].mean()) if (values > -1).any() else -1.0)
            for name, values in (("AP", every), ("AP50", half))
        }
    return out


def _share(value: float) -> float | None:
    return None if value < 0 else round(value, 4)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: is not JSON: {error.msg}") from error


def _check(truth: Path, real: Any, results: Path, found: Any) -> None:
    if not isinstance(real, dict) or not {"images", "annotations", "categories"} <= set(real):
        raise ConfigError(f"{truth}: a COCO file of truth has images, annotations and categories")
    if isinstance(found, dict) and "annotations" in found:
        raise ConfigError(f"{results}: this is a file of truth; results are a list of boxes with a score")
    wanted = {"image_id", "category_id", "bbox", "score"}
    if not isinstance(found, list) or any(not isinstance(each, dict) or not wanted <= set(each) for each in found):
        raise ConfigError(f"{results}: it is a list of {{image_id, category_id, bbox: [x, y, w, h], score}}")
    images = {each["id"] for each in real["images"]}
    strange = {each["image_id"] for each in found} - images
    if strange:
        first = sorted(map(str, strange))[0]
        raise ConfigError(f"{results}: {len(strange)} image ids are not in {truth.name}, the first is {first}")
