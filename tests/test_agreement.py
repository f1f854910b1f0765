"""A whole run on real clips finds what the published steps find; benchmarks/reference_check.py in small."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from reference.detectors import Reference, Row, frames, overlap

import millrace

LOW, HIGH = 0.3, 0.35  # a sure box of one side must have a partner among all of the other's


def partners(rows: list[Row], among: list[Row]) -> tuple[int, int]:
    """How many sure boxes there are, and how many of them have a partner of their class at IoU 0.9."""
    sure = [row for row in rows if row[4] >= HIGH]
    return len(sure), sum(any(row[5] == other[5] and overlap(row, other) >= 0.9 for other in among) for row in sure)


@pytest.mark.parametrize(("name", "every"), [("night_street_1080p_3fps.mp4", 1), ("udacity_dashcam_720p.mp4", 4)])
def test_boxes_are_those_of_the_published_steps(corpus: Path, name: str, every: int) -> None:
    clip, model = corpus / "videos" / name, corpus / "models/detect/yolox_nano_416.onnx"
    reference = Reference(model, confidence=LOW)
    ours = [
        [(*map(float, found.box), found.confidence, found.class_id) for found in frame.objects]
        for frame in islice(millrace.open(str(clip)).infer(str(model), confidence=LOW), 0, None, every)
    ]
    theirs = [reference(picture) for picture, _ in frames(clip, every)]
    assert len(ours) == len(theirs)
    for one, other in ((ours, theirs), (theirs, ours)):
        counts = [partners(rows, among) for rows, among in zip(one, other, strict=True)]
        boxes, found = (sum(column) for column in zip(*counts, strict=True))
        assert boxes > 15 and found / boxes >= 0.99, f"{found} of {boxes}"
