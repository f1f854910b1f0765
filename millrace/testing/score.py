"""How right a run was: precision, recall, IDF1 and line counts against a scene's truth.

The rule of judgement. A true object counts when at least `visible` (0.3) of it is seen and its box is at least
10 pixels high (in larger pictures: 1/36 of the picture's height). One that does not count is neither missed when not
found nor wrong when found: a detection that fits no counted object, but overlaps another by IoU ≥ 0.5, is left out.
Detections are matched frame by frame, the most confident first, each to the free object of its class with the
highest IoU ≥ 0.5 (Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010, with the best
free object instead of the best object).

IDF1 (Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016): one
assignment of run identities to true identities for the whole sequence that matches most boxes (IoU ≥ 0.5, whatever
the class); IDF1 = 2 matched / (true boxes + run boxes with an identity).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media.geometry import iou
from ..trackers.matching import assign
from .truth import Truth, TruthObject, line_crossings

Record = Mapping[str, Any]  # one JSON line of a run


@dataclass(frozen=True, slots=True)
class Score:
    """A run's figures. Shares are 0..1; a share of nothing is 1."""

    frames: int
    right: int  # detections that fit a counted object
    wrong: int
    missed: int
    precision: float
    recall: float
    by_class: dict[str, tuple[float, float]]  # precision and recall
    idf1: float
    identities: int  # in the run
    true_identities: int  # that were counted in at least one frame
    crossings: dict[str, int]  # "in" and "out", of the run
    true_crossings: dict[str, int]
    count_error: int  # sum over both directions of the difference


def read_run(path: str | Path, stream: str | None = None) -> Iterator[Record]:
    """The JSON lines of a run, of one stream when `stream` is given."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            if stream is None or record["stream"] == stream:
                yield record


def score(
    run: str | Path | Iterable[Record],
    truth: Truth,
    *,
    stream: str | None = None,
    overlap: float = 0.5,
    visible: float = 0.3,
    counts: Mapping[str, int] | None = None,
) -> Score:
    """Judge the JSON lines of a run (a file or their dicts) by the truth; frames pair by their `frame` number.

    `counts` are the line counts {"in", "out"} of the run; without them they are taken from its tracks, by the middle
    of the lower edge of each box and the truth's line. Raises ValueError when the run and the truth differ in size,
    or a frame is missing, unknown or double.
    """
    given = read_run(run, stream) if isinstance(run, str | Path) else run
    records = [record for record in given if not record.get("end")]  # a last line that tells what is over is no frame
    by_frame = _by_frame(records, truth)
    tally: Counter[tuple[str, str]] = Counter()  # (what, label)
    pairs: Counter[tuple[int, int]] = Counter()  # (run identity, true identity): boxes that fit
    run_boxes: Counter[int] = Counter()
    true_boxes: Counter[int] = Counter()
    for index, objects in enumerate(truth.frames):
        found = by_frame[index]["objects"]
        counted = np.array([is_counted(o, truth.height, visible) for o in objects], dtype=bool)
        overlaps = iou(_boxes([f["box"] for f in found]), _boxes([o.box for o in objects]))
        verdicts = _match(found, objects, counted, overlaps, overlap)
        tally.update(_tally(found, objects, counted, verdicts))
        kept = [k for k, verdict in enumerate(verdicts) if verdict != IGNORED and found[k].get("id") is not None]
        run_boxes.update(found[k]["id"] for k in kept)
        true_boxes.update(o.id for o, wanted in zip(objects, counted, strict=True) if wanted)
        for k in kept:
            hits = np.flatnonzero((overlaps[k] >= overlap) & counted)
            pairs.update((found[k]["id"], objects[hit].id) for hit in hits)
    right, wrong, missed = (
        sum(n for (what, _), n in tally.items() if what == name) for name in ("right", "wrong", "missed")
    )
    crossings = dict(counts) if counts is not None else _crossings(by_frame, truth)
    true_crossings = _both(c.direction for c in truth.crossings)
    return Score(
        frames=len(truth.frames),
        right=right,
        wrong=wrong,
        missed=missed,
        precision=_share(right, right + wrong),
        recall=_share(right, right + missed),
        by_class={name: _class_figures(tally, name) for name in truth.labels},
        idf1=_share(2 * _matched(pairs), sum(true_boxes.values()) + sum(run_boxes.values())),
        identities=len(run_boxes),
        true_identities=len(true_boxes),
        crossings=crossings,
        true_crossings=true_crossings,
        count_error=sum(abs(crossings.get(way, 0) - true_crossings[way]) for way in ("in", "out")),
    )


def is_counted(o: TruthObject, height: int, visible: float = 0.3) -> bool:
    """Whether an object counts: enough of it is seen, and it is not tiny."""
    return o.visible >= visible and o.box[3] - o.box[1] >= max(10.0, height / 36)


IGNORED, WRONG = -2, -1


def _by_frame(records: list[Record], truth: Truth) -> dict[int, Record]:
    by_frame: dict[int, Record] = {}
    for record in records:
        if (record["width"], record["height"]) != (truth.width, truth.height):
            size = f"{record['width']}x{record['height']}"
            raise ValueError(f"score: the run's pictures are {size}, the truth's {truth.width}x{truth.height}")
        if record["frame"] in by_frame:
            raise ValueError(f"score: frame {record['frame']} comes twice; name the stream if there are several")
        by_frame[record["frame"]] = record
    if by_frame.keys() != set(range(len(truth.frames))):
        differ = sorted(by_frame.keys() ^ set(range(len(truth.frames))))
        counts = f"the run has {len(by_frame)} frames, the truth {len(truth.frames)}"
        raise ValueError(f"score: {counts}; first difference: frame {differ[0]}")
    return by_frame


def _match(
    found: list[dict[str, Any]],
    objects: list[TruthObject],
    counted: NDArray[np.bool_],
    overlaps: NDArray[Any],
    least: float,
) -> list[int]:
    """For every detection the object it fits, WRONG or IGNORED."""
    verdicts = [WRONG] * len(found)
    free = counted.copy()
    classes = np.array([o.class_id for o in objects], dtype=int)
    for k in sorted(range(len(found)), key=lambda k: -found[k]["confidence"]):
        fits = np.where(free & (classes == found[k]["class_id"]), overlaps[k], 0.0)
        if len(fits) and fits.max() >= least:
            verdicts[k] = int(fits.argmax())
            free[verdicts[k]] = False
        elif np.any((overlaps[k] >= least) & ~counted):
            verdicts[k] = IGNORED
    return verdicts


def _tally(
    found: list[dict[str, Any]], objects: list[TruthObject], counted: NDArray[np.bool_], verdicts: list[int]
) -> Iterator[tuple[str, str]]:
    """What happened in one frame, as (what, label)."""
    hit = {verdict for verdict in verdicts if verdict >= 0}
    for index in hit:
        yield "right", objects[index].label
    for k, verdict in enumerate(verdicts):
        if verdict == WRONG:
            yield "wrong", found[k]["label"]
    for index, o in enumerate(objects):
        if counted[index] and index not in hit:
            yield "missed", o.label


def _matched(pairs: Counter[tuple[int, int]]) -> int:
    """The most boxes that a one-to-one assignment of identities matches."""
    run_ids, true_ids = sorted({a for a, _ in pairs}), sorted({b for _, b in pairs})
    cost = np.zeros((len(run_ids), len(true_ids)))
    for (a, b), number in pairs.items():
        cost[run_ids.index(a), true_ids.index(b)] = -number
    rows, columns = assign(cost, 0.0)
    return round(-float(cost[rows, columns].sum()))


def _crossings(by_frame: Mapping[int, Record], truth: Truth) -> dict[str, int]:
    frames = [
        [
            TruthObject(o["id"], o["class_id"], o["label"], tuple(o["box"]), 1.0)
            for o in by_frame[index]["objects"]
            if o.get("id") is not None
        ]
        for index in range(len(truth.frames))
    ]
    return _both(c.direction for c in line_crossings(frames, truth.line))


def _both(directions: Iterable[str]) -> dict[str, int]:
    counted = Counter(directions)
    return {"in": counted["in"], "out": counted["out"]}


def _class_figures(tally: Counter[tuple[str, str]], name: str) -> tuple[float, float]:
    right, wrong, missed = (tally[what, name] for what in ("right", "wrong", "missed"))
    return _share(right, right + wrong), _share(right, right + missed)


def _labels(tally: Counter[tuple[str, str]]) -> set[str]:
    return {label for _, label in tally}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _boxes(boxes: list[Any]) -> NDArray[np.float64]:
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)
