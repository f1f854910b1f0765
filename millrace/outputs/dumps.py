"""Objects of frames as the text that others read: MOTChallenge, KITTI as DeepStream writes it, CSV.

* MOT: https://motchallenge.net/instructions: frame, id, left, top, width, height, confidence, x, y, z; "all frame
  numbers, target IDs and bounding boxes are 1-based"; what is not known is -1.
* KITTI: the object development kit's 15 columns and the score (type, truncated, occluded, alpha, left, top, right,
  bottom, 3 dimensions, 3 of location, rotation, score), a file for each frame, in the form of deepstream-app's
  `gie-kitti-output-dir`; with an identity behind the type that of its `kitti-track-output-dir`. Its further folders:
  tracks that ended (terminated-track-output-dir), that are hidden (shadow-), embeddings (reid-track-output-dir).
* CSV: RFC 4180, with a header; coordinates are source pixels, times ns.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence

from ..core.errors import OutputError
from ..media import Frame

ACTIVE, HIDDEN = 1, 2  # of DeepStream's TrackerState
REMEMBERED = 1 << 14  # frames whose numbers are known when a track ends

CSV_COLUMNS = (
    "stream", "frame", "pts", "id", "class_id", "label", "confidence", "x1", "y1", "x2", "y2", "stage",
)  # fmt: skip


def mot_lines(frame: Frame) -> str:
    """A line for each object; one without an identity has -1."""
    lines = []
    for found in frame.objects:
        x1, y1, x2, y2 = found.box.tolist()
        identity = -1 if found.id is None else found.id
        lines.append(
            f"{frame.index + 1},{identity},{x1 + 1:.2f},{y1 + 1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},"
            f"{found.confidence:.4f},-1,-1,-1\n"
        )
    return "".join(lines)


def kitti_lines(frame: Frame, identities: bool) -> str:
    """A line for each object; with `identities` for those that have one, and with the tracker's confidence."""
    lines = []
    for found in frame.objects:
        label = "_".join(found.label.split()) or "object"  # columns are parted by spaces
        corners = " ".join(f"{value:f}" for value in found.box.tolist())
        score = found.confidence
        if identities:
            if found.id is None:
                continue
            label = f"{label} {found.id}"
            score = found.track_confidence if found.track_confidence is not None else score
        lines.append(f"{label} 0.0 0 0.0 {corners} 0.0 0.0 0.0 0.0 0.0 0.0 0.0 {score:f}\n")
    return "".join(lines)


def reid_lines(frame: Frame) -> str:
    """A line for each object that has an identity and an embedding: the identity, the numbers."""
    return "".join(
        f"{found.id} {' '.join(f'{value:f}' for value in found.embedding.tolist())}\n"
        for found in frame.objects
        if found.id is not None and found.embedding is not None
    )


def shadow_lines(frame: Frame) -> str:
    """A line for each identity that this frame does not show, where it should be (`track` with report: [shadows])."""
    reports = frame.extras.get("tracks")
    return "".join(
        _track_line(frame.index, found.id, found.class_id, found.box.tolist(), found.track_confidence or 0.0, HIDDEN)
        for found in (reports.shadows if reports else ())
    )


def terminated_lines(frame: Frame, indices: Mapping[int, int]) -> str:
    """Identities that ended in this frame, each with where it was (`track` with report: [terminated]).

    `indices`: pts → the number of the frame.
    """
    reports, lines = frame.extras.get("tracks"), []
    for past in reports.terminated if reports else ():
        places = past.trajectory or ()
        lines.append(f"Target: {past.id},{past.class_id},{len(places)}\n")
        lines += [
            _track_line(indices.get(place.pts, 0), past.id, past.class_id, place[1:5], place.confidence, ACTIVE)
            for place in places
        ]
    return "".join(lines)


def _track_line(index: int, identity: int, class_id: int, box: Sequence[float], confidence: float, state: int) -> str:
    corners = " ".join(f"{value:f}" for value in box)
    return f"{index} {identity} {class_id} 0 0.0 {corners}{' 0.0' * 7} {confidence:f} {state} 0.000000\n"


def csv_header() -> str:
    return ",".join(CSV_COLUMNS) + "\r\n"


def csv_rows(frame: Frame) -> str:
    """A row for each object; an identity or stage that is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    for found in frame.objects:
        corners = [f"{value:.2f}" for value in found.box.tolist()]
        identity = "" if found.id is None else found.id
        writer.writerow(
            [frame.stream, frame.index, frame.pts, identity, found.class_id, found.label, f"{found.confidence:.4f}",
             *corners, found.stage or ""]
        )  # fmt: skip
    return text.getvalue()


class KittiFolder:
    """A file for each frame in a folder: `00_003_000041.txt` is frame 41 (from 0) of the stream with number 3.

    `kind`: kitti (all objects), kitti-track (those with identities); kitti-reid, kitti-shadow, kitti-terminated, whose
    files are there for frames that have something to tell.
    """

    def __init__(self, path: str, number: int, kind: str) -> None:
        self.path = path
        self.number = number
        self.kind = kind
        self.indices: dict[int, int] = {}  # pts → number of the frame
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise OutputError(path, error) from error

    def close(self) -> None: ...

    def write(self, frame: Frame) -> None:
        """Raises OutputError."""
        text = self._text(frame)
        if not text and self.kind not in ("kitti", "kitti-track"):
            return
        path = os.path.join(self.path, f"00_{self.number:03d}_{frame.index:06d}.txt")
        try:
            with open(path, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError as error:
            raise OutputError(path, error) from error

    def _text(self, frame: Frame) -> str:
        if self.kind == "kitti-reid":
            return reid_lines(frame)
        if self.kind == "kitti-shadow":
            return shadow_lines(frame)
        if self.kind == "kitti-terminated":
            self.indices[frame.pts] = frame.index
            if len(self.indices) > REMEMBERED:
                del self.indices[next(iter(self.indices))]
            return terminated_lines(frame, self.indices)
        return kitti_lines(frame, self.kind == "kitti-track")
