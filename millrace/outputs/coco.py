"""COCO: one JSON for a run, with a table of images, of annotations and of categories.

https://cocodataset.org/#format-data (object detection): boxes are left, top, width, height in pixels from 0; ids are
whole numbers from 1. `score` and `track_id` are further keys that readers skip.

Such a file is whole at its end only. While a run goes on each stream has a journal of lines beside it, from which
the file is made at the end; after a crash `finish_coco(path)` makes it from what the journals hold.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..core.errors import OutputError
from ..media import Frame
from .jsonl import LineFile, safe_name

_NUMBER = re.compile(r"\.(\d+)\.part$")


class Journal:
    """What one stream adds to a COCO file; `number` is its place among the streams."""

    def __init__(self, path: str, number: int, live: bool = False) -> None:
        self._lines = LineFile(f"{path}.{number}.part", append=os.path.exists(f"{path}.{number}.part"), eager=live)

    def write(self, frame: Frame) -> None:
        """Raises OutputError."""
        objects = []
        for found in frame.objects:
            x1, y1, x2, y2 = found.box.tolist()
            box = [round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2)]
            objects.append([found.class_id, found.label, box, round(found.confidence, 4), found.id])
        image = frame.image
        fields = [frame.stream, frame.index, frame.pts, image.width, image.height, objects]
        self._lines.write(json.dumps(fields, separators=(",", ":"), allow_nan=False) + "\n")

    def close(self) -> None:
        self._lines.close()


def journals(path: str) -> list[str]:
    """The journals of a COCO file, in the order of their streams."""
    found = [
        (int(match[1]), name) for name in glob.glob(f"{glob.escape(path)}.*.part") if (match := _NUMBER.search(name))
    ]
    return [name for _, name in sorted(found)]


def finish_coco(path: str) -> int:
    """Make the COCO file `path` from the journals beside it and remove them; returns the number of images.

    For a run that was killed call it yourself. A last line that is cut off is left out. Raises OutputError.
    """
    parts = journals(path)
    unfinished = f"{path}.unfinished"
    try:
        with open(unfinished, "w", encoding="utf-8", newline="\n") as out:
            count = _write(out, parts)
        os.replace(unfinished, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)
        raise OutputError(path, error) from error
    for part in parts:
        os.unlink(part)
    return count


def _write(out: TextIO, parts: Sequence[str]) -> int:
    categories = sorted({(found[0], found[1]) for line in _lines(parts) for found in line[5]})
    ids = {label: number for number, label in enumerate(dict.fromkeys(label for _, label in categories), 1)}
    out.write('{"info":{"description":"millrace"},"licenses":[],\n"categories":')
    out.write(json.dumps([{"id": number, "name": label, "supercategory": ""} for label, number in ids.items()]))
    out.write(',\n"images":[')
    count = 0
    for stream, frame, pts, width, height, _ in _lines(parts):
        count += 1
        name = f"frame-{safe_name(stream)}-{frame:06d}.jpg"  # as the element `images` writes them
        fields = {"id": count, "file_name": name, "width": width, "height": height, "stream": stream,
                  "frame": frame, "pts": pts}  # fmt: skip
        out.write(("," if count > 1 else "") + "\n" + json.dumps(fields))
    out.write('],\n"annotations":[')
    number = 0
    for image, line in enumerate(_lines(parts), 1):
        for _, label, box, score, identity in line[5]:
            number += 1
            fields = {"id": number, "image_id": image, "category_id": ids[label], "bbox": box,
                      "area": round(box[2] * box[3], 2), "iscrowd": 0, "score": score}  # fmt: skip
            if identity is not None:
                fields["track_id"] = identity
            out.write(("," if number > 1 else "") + "\n" + json.dumps(fields))
    out.write("]}\n")
    return count


def _lines(parts: Sequence[str]) -> Iterator[list[Any]]:
    for part in parts:
        with Path(part).open(encoding="utf-8") as file:
            for line in file:
                if line.endswith("]\n"):
                    yield json.loads(line)
