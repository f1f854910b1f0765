"""`millrace replay` and `millrace explain`: a recorded run is repeated exactly, changed, and explained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import millrace
from millrace.cli import invoke
from millrace.media import Frame, Object, box
from millrace.testing.models import make_shade_model

FPS = 25


def detect(frame: Frame) -> None:
    """A walker down through the line, one who turns back on it, one beside it, and one who is missed for a moment."""
    n = frame.index
    places = [(60 + n % 3, 40 + 2 * n), (150, 60 + n if n <= 41 else 101 - (n - 41)), (300, 30 + 2 * n)]
    if not 30 <= n <= 33:
        places.append((220, 150 - n))
    for k, (x, y) in enumerate(places):
        found = Object(box((x - 10, y - 40, x + 10, y)), k % 2, "ab"[k % 2], 0.5 + k / 10 + n / 1000)
        frame.objects.append(found)
    frame.inferred.append("made")


def recorded(folder: Path, trace: bool = False) -> Path:
    """A run of two streams with all its outputs; its recorded run."""
    addresses = [f"pattern:?frames=70&width=320&height=180&fps={FPS}"] * 2
    flow = millrace.open(*addresses, name=["gate", "yard"]).map(detect).record(path=str(folder / "run.jsonl"))
    flow = flow.track(trace=trace).analyze(
        lines={"door": {"points": [[20, 100], [250, 100]]}},
        zones={"dock": {"points": [[0, 0], [320, 0], [320, 90], [0, 90]], "crowd": 3, "loiter": "1s"}},
        rules={"busy": {"when": "zone.dock.count >= 3 for 200ms and stream.name == 'yard'"}},
        trace=trace,
    )
    flow.json(path=str(folder / "out-{stream}.jsonl")).run()
    return folder / "run.jsonl"


def test_unchanged_settings_give_the_same_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded(tmp_path)
    assert invoke(["replay", str(run), "--json", str(tmp_path / "again-{stream}.jsonl")]) == 0
    for stream in ("gate", "yard"):
        first, again = ((tmp_path / f"{name}-{stream}.jsonl").read_bytes() for name in ("out", "again"))
        assert first == again
        assert b'"events"' in first
    out = capsys.readouterr().out
    assert "140 frames in" in out
    assert "line door in" in out
    assert "as recorded" not in out


@pytest.mark.parametrize("again", [False, True], ids=["recorded last", "recorded before the tracker"])
def test_what_classifiers_said_is_in_the_same_lines(tmp_path: Path, again: bool) -> None:
    """Labels of objects and of whole frames, with a tracker before the classifier or after the record."""
    model = make_shade_model(tmp_path / "shade.onnx", {"shade": (0.1, 0.5, 0.9)})
    (tmp_path / "shade.yaml").write_text(
        "parser: classifier\nlabels: [dark, middle, light]\ninput: {scale: 0.0039215686, mean: 0, std: 1}\n"
    )
    record = {"path": str(tmp_path / "run.jsonl")}
    flow = millrace.open(f"pattern:?frames=60&width=320&height=180&fps={FPS}", name="gate").map(detect)
    flow = flow if again else flow.track()
    flow = flow.infer(model, name="objects", on={}).infer(model, name="whole").record(**record)
    flow = flow.track() if again else flow
    flow.json(path=str(tmp_path / "out.jsonl")).run()
    assert invoke(["replay", record["path"], "--json", str(tmp_path / "again.jsonl")]) == 0
    first, second = ((tmp_path / f"{name}.jsonl").read_bytes() for name in ("out", "again"))
    assert first == second
    assert b'"labels"' in first
    assert b'"readings"' in first
    assert b'"id":1' in first


def test_other_settings_show_what_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded(tmp_path)
    zones = tmp_path / "zones.yaml"
    zones.write_text("lines: {door: {points: [[20, 170], [250, 170]]}, out: {points: [[0, 90], [320, 90]]}}\n")
    assert invoke(["replay", str(run), "--zones", str(zones), "--option", "max_age=0.05"]) == 0
    out = capsys.readouterr().out
    assert "as recorded" in out
    assert re.search(r"gate +line out in +0 +3 +\+3\n", out)
    assert re.search(r"gate +line door in +1 +1 *\n", out)
    assert "gate: only as recorded: frame" in out
    assert "gate: only now: frame" in out
    tracker = tmp_path / "tracker.yaml"
    tracker.write_text("track: {tracker: sort, min_hits: 20}\n")
    assert invoke(["replay", str(run), "--tracker", str(tracker)]) == 0
    assert invoke(["replay", str(run), "--tracker", "nobody"]) == 2
    assert "tracker 'nobody' is not known" in capsys.readouterr().err


def test_what_cannot_be_replayed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"millrace":"0","kind":"header"}\n')
    assert invoke(["replay", str(bare)]) == 2
    assert "give --tracker, --zones or --json" in capsys.readouterr().err
    assert invoke(["replay", str(tmp_path / "none.jsonl")]) == 2
    other = tmp_path / "other.jsonl"
    other.write_text('{"millrace":"0","kind":"header","line":[{"convert":{}},{"track":{}}]}\n')
    assert invoke(["replay", str(other)]) == 0
    assert "convert cannot be repeated" in capsys.readouterr().err


def test_recorded_embeddings_give_the_same_identities(tmp_path: Path) -> None:
    """Looks decide here: two change places while they are missed, and one comes back."""

    def look(frame: Frame) -> None:
        n = frame.index
        places = [(60 + 2 * n, 0), (200 - 2 * n, 1)] if not 30 <= n <= 40 else []
        if n < 10 or n > 55:
            places.append((290, 2))
        for x, who in places:
            found = Object(box((x - 10, 60, x + 10, 100)), 0, "a", 0.9)
            noise = np.random.default_rng([n, who]).normal(0, 0.1, 8)
            vector = np.eye(8)[who] + noise
            found.embedding = (vector / np.linalg.norm(vector)).astype(np.float32)
            frame.objects.append(found)
        frame.inferred.append("made")

    flow = millrace.open(f"pattern:?frames=70&width=320&height=180&fps={FPS}", name="gate").map(look)
    flow = flow.record(path=str(tmp_path / "run.jsonl")).track(tracker="deepsort", max_age=1.0)
    flow.json(path=str(tmp_path / "out.jsonl")).run()
    assert invoke(["replay", str(tmp_path / "run.jsonl"), "--json", str(tmp_path / "again.jsonl")]) == 0
    first, again = ((tmp_path / f"{name}.jsonl").read_bytes() for name in ("out", "again"))
    assert first == again
    last = json.loads(first.splitlines()[-1])["objects"]
    assert [found["id"] for found in last[:3]] == [1, 2, 3]


def test_a_tracker_that_looks_at_pixels_wants_the_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded(tmp_path)
    assert invoke(["replay", str(run), "--tracker", "dcf"]) == 2
    assert "looks at pixels, which a recorded run does not hold: give --video" in capsys.readouterr().err


def test_a_crossing_and_one_that_did_not_count_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = recorded(tmp_path, trace=True)
    for file in (run, tmp_path / "out-gate.jsonl"):  # repeated with tracing, or from the facts that were kept
        assert invoke(["explain", str(file), "--stream", "gate"]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if "of gate" in line]
        crossing = next(line for line in lines if "line door in" in line)
        turned = next(line for line in lines if "turned back" in line)
        beyond = next(line for line in lines if "passed beyond an end" in line)
        lost = next(line for line in lines if line.startswith("t"))
        picture = tmp_path / f"{file.stem}.png"
        number = crossing.split()[1]
        assert invoke(["explain", str(file), number, "--stream", "gate", "--out", str(picture)]) == 0
        out = capsys.readouterr().out
        assert "the line goes (20.0, 100.0) → (250.0, 100.0)" in out
        assert "so it is counted" in out
        shown = cv2.imread(str(picture))
        assert shown.shape[1] == 640
        assert ((shown[..., 2] > 180) & (shown[..., 0] < 90)).sum() > 200  # the line, red
        assert invoke(["explain", str(file), turned.split()[0], "--stream", "gate"]) == 0
        out = capsys.readouterr().out
        assert re.search(r"it came 1\.\d px past the line, and went back", out)
        assert "it must be past the line by 2.0 px" in out
        assert invoke(["explain", str(file), beyond.split()[0], "--stream", "gate"]) == 0
        assert "of its length: from 0 to 1 is between the ends" in capsys.readouterr().out
        assert invoke(["explain", str(file), lost.split()[0], "--stream", "gate"]) == 0
        out = capsys.readouterr().out
        assert "it was expected at" in out
        assert "overlap 0.00, needed > 0.2" in out


def test_explain_says_what_it_has_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded(tmp_path)
    assert invoke(["explain", str(run), "999"]) == 2
    assert "there is no event '999'" in capsys.readouterr().err
    assert invoke(["explain", str(run), "1"]) == 2
    assert "gate, yard have an event 1: give --stream" in capsys.readouterr().err
    assert invoke(["explain", str(run), "1", "--stream", "roof"]) == 2
    assert "there are streams gate, yard" in capsys.readouterr().err
    assert invoke(["explain", str(run), "1", "--out", "a.txt"]) == 2
    assert ".png or a .jpg" in capsys.readouterr().err
    (tmp_path / "x.jsonl").write_text("nothing\n")
    assert invoke(["explain", str(tmp_path / "x.jsonl")]) == 2
    assert "neither a recorded run nor JSON lines" in capsys.readouterr().err


def test_the_header_tells_the_steps_that_followed(tmp_path: Path) -> None:
    header = json.loads(recorded(tmp_path).read_text().partition("\n")[0])
    assert [next(iter(step)) for step in header["line"]] == ["track", "analyze"]
    assert header["line"][1]["analyze"]["zones"]["dock"]["crowd"] == 3
