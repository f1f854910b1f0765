"""Files of the MOTChallenge form, and what of them is judged.

A line is `frame, id, left, top, width, height, confidence, …` (https://motchallenge.net/instructions); frames and
pixels count from 1. In truth files of MOT16, MOT17 and MOT20 the seventh column is 1 where a box counts and the
eighth a class; in those of MOT15 there are no classes (Dendorfer et al., "MOTChallenge: A Benchmark for Single-Camera
Multiple Target Tracking", IJCV 2021).
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError
from ..media.geometry import iou
from ..trackers.matching import assign

Rows = NDArray[np.float64]

PEDESTRIAN = 1
DISTRACTORS = {  # found or not found, they count neither way: people on vehicles, at rest, reflections, …
    "mot15": (),
    "mot16": (2, 7, 8, 12),
    "mot17": (2, 7, 8, 12),
    "mot20": (2, 6, 7, 8, 12),
    "all": (),  # every class counts, nothing is a distractor
}
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(slots=True)
class Pairs:
    """One frame, ready to be judged: identities numbered from 0 over the sequence, and every pair's IoU."""

    truth: NDArray[np.intp]  # [n]
    found: NDArray[np.intp]  # [m]
    overlap: NDArray[np.float64]  # [n, m]


@dataclass(slots=True)
class Judged:
    """A sequence, ready to be judged."""

    name: str
    frames: list[Pairs]
    truth: int  # how many identities there are
    found: int


def read_rows(path: str | Path, columns: int = 6) -> Rows:
    """The numbers of a file [n, columns or more], -1 where a line is shorter. Raises ConfigError with file and line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        rows = np.loadtxt(lines, delimiter=",", ndmin=2) if lines else np.zeros((0, columns))
    except ValueError:
        rows = _one_by_one(path, text)
    if rows.shape[1] < columns:
        raise ConfigError(f"{path}:1: {rows.shape[1]} columns; a MOT file has at least {columns}: frame, id, left, …")
    if not np.isfinite(rows[:, :columns]).all() or (len(rows) and rows[:, 0].min() < 1):
        raise ConfigError(f"{path}: frames count from 1, and numbers must be finite")
    return rows


def _one_by_one(path: str | Path, text: str) -> Rows:
    """Lines of different lengths, or one that is wrong."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append([float(value) for value in line.replace(",", " ").split()])
            except ValueError:
                raise ConfigError(f"{path}:{number}: not numbers with commas between them: {line[:60]!r}") from None
    rows = np.full((len(found), max(map(len, found))), -1.0)
    for row, values in zip(rows, found, strict=True):
        row[: len(values)] = values
    return rows


def corners(rows: Rows) -> Rows:
    """Boxes x1 y1 x2 y2 [n, 4], in pixels that count from 0."""
    out = rows[:, 2:6].copy()
    out[:, :2] -= 1
    out[:, 2:] += out[:, :2]
    return out


def frame_rate(folder: Path) -> float | None:
    """What `seqinfo.ini` says, None where there is none."""
    parser = configparser.ConfigParser()
    try:
        parser.read(folder / "seqinfo.ini", encoding="utf-8")
        return parser.getfloat("Sequence", "frameRate", fallback=None)
    except (configparser.Error, ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / 'seqinfo.ini'}: {error}") from error


def year(truth: Rows) -> str:
    """By which challenge's rules a truth file is meant: those with classes are MOT17's."""
    classed = truth.shape[1] == 9 and bool(len(truth)) and bool((truth[:, 7] >= 1).all())
    return "mot17" if classed else "mot15"


def judge(name: str, truth: Rows, found: Rows, rules: str | None = None) -> Judged:
    """Pair the rows of a truth file and of a result, by the rules of one year (None: as the file looks).

    Of MOT16 and later only pedestrians count; a result's box that fits a distractor (IoU ≥ 0.5, best assignment) is
    left out. Raises ConfigError for an identity that stands twice in a frame.
    """
    rules = rules or year(truth)
    if rules not in DISTRACTORS:
        raise ConfigError(f"rules {rules!r} are not known; there are: {', '.join(DISTRACTORS)}")
    frames = []
    for number, real, ours in _by_frame(truth, found):
        for rows, whose in ((real, "truth"), (ours, "result")):
            if len(np.unique(rows[:, 1])) < len(rows):
                raise ConfigError(f"{name}: an identity stands twice in frame {number} of the {whose}")
        overlap = iou(corners(real), corners(ours))
        if DISTRACTORS[rules] and len(real) and len(ours):
            stay = _no_distractors(real, overlap, DISTRACTORS[rules])
            ours, overlap = ours[stay], overlap[:, stay]
        counts = real[:, 6] != 0 if real.shape[1] > 6 else np.ones(len(real), bool)
        if rules not in ("mot15", "all"):
            counts &= real[:, 7] == PEDESTRIAN
        frames.append((real[counts, 1], ours[:, 1], overlap[counts]))
    identities = [np.unique(np.concatenate([frame[k] for frame in frames] or [[]])) for k in (0, 1)]
    pairs = [
        Pairs(np.searchsorted(identities[0], real), np.searchsorted(identities[1], ours), overlap)
        for real, ours, overlap in frames
    ]
    return Judged(name, pairs, len(identities[0]), len(identities[1]))


def _by_frame(truth: Rows, found: Rows) -> Iterator[tuple[int, Rows, Rows]]:
    last = int(max(truth[:, 0].max(initial=0), found[:, 0].max(initial=0)))
    sides = []
    for rows in (truth, found):
        ordered = rows[np.argsort(rows[:, 0], kind="stable")]
        sides.append((ordered, np.searchsorted(ordered[:, 0], np.arange(1, last + 2)).tolist()))
    (real, a), (ours, b) = sides
    for n in range(last):
        yield n + 1, real[a[n] : a[n + 1]], ours[b[n] : b[n + 1]]


def _no_distractors(real: Rows, overlap: NDArray[np.float64], classes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which columns stay."""
    stay = np.ones(overlap.shape[1], bool)
    rows, columns = assign(np.where(overlap >= 0.5 - EPSILON, -overlap, 0.0), 0.0)
    unwanted = np.isin(real[rows, 7].astype(int), classes)
    stay[np.array(columns, dtype=int)[unwanted]] = False
    return stay
