"""`millrace eval detect` and `millrace eval events`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.cli import invoke

TRUTH: dict[str, Any] = {
    "images": [{"id": 1, "width": 100, "height": 100}, {"id": 2, "width": 100, "height": 100}],
    "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "van"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0},
        {"id": 3, "image_id": 2, "category_id": 2, "bbox": [60, 60, 20, 20], "area": 400, "iscrowd": 0},
    ],
}
FOUND = [
    {"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40], "score": 0.9},
    {"image_id": 2, "category_id": 2, "bbox": [60, 60, 20, 20], "score": 0.9},
]


def write(folder: Path, truth: Any, found: Any) -> tuple[str, str]:
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "dets.json").write_text(json.dumps(found))
    return str(folder / "gt.json"), str(folder / "dets.json")


def test_average_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pycocotools")
    assert invoke(["eval", "detect", *write(tmp_path, TRUTH, FOUND), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    half = pytest.approx(51 / 101, abs=1e-4)  # one of two cars, no false one: precision 1 up to recall 0.5
    assert figures["classes"] == {"car": {"AP": half, "AP50": half}, "van": {"AP": 1.0, "AP50": 1.0}}
    assert figures["AP"] == pytest.approx((51 / 101 + 1) / 2, abs=1e-4)
    assert figures["APl"] is None
    assert invoke(["eval", "detect", *write(tmp_path, TRUTH, FOUND)]) == 0
    assert "AP50   0.7525" in capsys.readouterr().out
    assert invoke(["eval", "detect", *write(tmp_path, TRUTH, [])]) == 0


@pytest.mark.parametrize(
    ("truth", "found", "words"),
    [
        (TRUTH, [{**FOUND[0], "image_id": 7}], "1 image ids are not in gt.json, the first is 7"),
        (TRUTH, TRUTH, "this is a file of truth"),
        (TRUTH, [{"image_id": 1}], "a list of {image_id"),
        ([], FOUND, "has images, annotations and categories"),
    ],
)
def test_files_that_are_wrong(
    tmp_path: Path, truth: Any, found: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycocotools")
    assert invoke(["eval", "detect", *write(tmp_path, truth, found)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["yolox_nano_416", "deimv2_atto_coco_320"])
def test_the_figures_of_pycocotools(name: str, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pycocotools")
    folder = corpus / "detgt" / "vehicles_openimages"
    assert invoke(["eval", "detect", str(folder / "gt_coco.json"), str(folder / f"dets_{name}.json"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    expected = json.loads((corpus / "detgt" / "EXPECTED_pycocotools.json").read_text())["vehicles_openimages"][name]
    assert {key: figures[key] for key in expected} == expected


def line(pts: float, *events: dict[str, Any]) -> str:
    fields = {"stream": "gate", "frame": 0, "pts": round(pts * 1e9), "width": 1, "height": 1, "objects": []}
    return json.dumps({**fields, "events": list(events)}) + "\n"


def event(kind: str, direction: str | None = None, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": "door", "direction": direction, "id": 1, "label": "car", **more}


def test_events_by_kind_time_and_direction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, truth = tmp_path / "out.jsonl", tmp_path / "truth.json"
    run.write_text(
        line(1.1, event("line", "in"))
        + line(2.0, event("line", "in"), event("zone", "enter"))
        + line(5.0, event("line", "out"))
        + line(9.0, event("crowd", phase="new", facts={"seconds": 2.0}))
        + line(9.5, event("crowd", phase="update"), event("crowd", phase="end"))
    )
    truth.write_text(
        json.dumps(
            {
                "events": [
                    {"kind": "line", "time": 1.0, "direction": "in"},
                    {"kind": "line", "time": 5.2, "direction": "out", "name": "door"},
                    {"kind": "line", "time": 8.0, "direction": "out"},
                    {"kind": "crowd", "time": 7.0},
                ]
            }
        )
    )
    assert invoke(["eval", "events", str(truth), str(run), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["line in"] == {
        "true": 1, "found": 2, "right": 1, "precision": 0.5, "recall": 1.0, "count_error": 1, "late": 0.1,
    }  # fmt: skip
    assert figures["line door out"]["late"] == -0.2
    assert figures["line out"]["recall"] == 0.0
    assert figures["crowd"]["late"] == 0.0
    assert (figures["together"]["true"], figures["together"]["found"], figures["together"]["right"]) == (4, 4, 3)
    assert invoke(["eval", "events", str(truth), str(run), "--tolerance", "0.05"]) == 0
    assert "together" in capsys.readouterr().out


def test_a_truth_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, truth = tmp_path / "out.jsonl", tmp_path / "truth.json"
    run.write_text(line(1.0))
    for text, words in (
        ('{"events": [{"kind": "line"}]}', "events\\[0\\]: kind and time"),
        ('{"events": [{"kind": "line", "time": 1, "way": "in"}]}', "events[0].way is not known"),
        ("[]", "it is {"),
        ("{", "is not JSON"),
    ):
        truth.write_text(text)
        assert invoke(["eval", "events", str(truth), str(run)]) == 2
        assert words.replace("\\", "") in capsys.readouterr().err
    truth.write_text('{"events": []}')
    run.write_text("x\n")
    assert invoke(["eval", "events", str(truth), str(run)]) == 2
