"""Files of DeepStream's nvdsanalytics: every key applied or reported, and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from millrace.analytics.nvdsanalytics import read_nvdsanalytics
from millrace.core.caps import Caps
from millrace.core.element import Context
from millrace.core.errors import ConfigError
from millrace.core.item import StreamStart
from millrace.elements.analyze import Analyze
from millrace.media import Frame, Image, Object, box

FILE = """\
[property]
enable=1
config-width=1920
config-height=1080
osd-mode=2
display-font-size=12
obj-cnt-win-in-ms=200
display-obj-cnt=1

[roi-filtering-stream-0]
enable=1
roi-RF=0;0;960;0;960;1080;0;1080
inverse-roi=0
class-id=-1

[overcrowding-stream-0]
enable=1
roi-RF=0;0;960;0;960;1080;0;1080
object-threshold=2
time-threshold=1
class-id=0;1

[line-crossing-stream-0]
enable=1
line-crossing-Exit=960;400;960;700;200;540;1700;540;
class-id=0
extended=0
mode=loose

[direction-detection-stream-0]
enable=1
direction-South=500;300;500;700;
class-id=0

[roi-filtering-stream-1]
enable=0
roi-X=0;0;1;0;1;1
"""
PICTURE = Image("GRAY8", [np.zeros((540, 960), np.uint8)], 960, 540)


def written(folder: Path, text: str = FILE) -> str:
    (folder / "analytics.txt").write_text(text)
    return str(folder / "analytics.txt")


def run(analyze: Analyze, frames: int = 60, streams: tuple[str, ...] = ("a", "b")) -> list[Frame]:
    """Two of class 0 walk down on the left half, one of class 2 without an identity stands there."""
    analyze.open(Context("analyze", warn=lambda message, stream: None))
    analyze.expect(list(streams))
    out = []
    for stream in streams:
        analyze.start_stream(StreamStart(stream, Caps("frames", width=960, height=540)))
    for n in range(frames):
        for stream in streams:
            objects = []
            for key, label, class_id, x, y in (
                (1, "person", 0, 200, 100 + 5 * n), (2, "person", 0, 400, 120 + 5 * n), (None, "bag", 2, 300, 500),
            ):  # fmt: skip
                found = Object(box((x - 15, y - 60, x + 15, y)), class_id, label, 0.9, key)
                found.detected_box = found.box
                objects.append(found)
            shown = Frame(stream, n, n * 33_000_000, PICTURE, objects=objects)
            analyze.process_frame(shown)
            out.append(shown)
    return out


def by_name(frame: Frame) -> dict[str, Any]:
    return {rule["name"]: rule for rule in frame.extras["analytics"]}


def test_a_file_is_read_unchanged(tmp_path: Path) -> None:
    made = read_nvdsanalytics(written(tmp_path))
    assert [(each.kind, each.name) for each in made.described] == [
        ("zone", "RF"), ("zone", "RF-crowd"), ("line", "Exit"), ("direction", "South"),
    ]  # fmt: skip
    assert made.described[1].given["classes"] == [0, 1]
    assert made.described[1].given["crowd_for"] == 0.0
    assert made.described[2].given["direction"] == [[960, 400], [960, 700]]
    assert (made.window, made.shown) == (200_000_000, True)
    assert made.report is not None
    assert made.report.counts()["unknown"] == 0
    text = made.report.text()
    assert "DeepStream does not use it either" in text
    assert "off: the group is read and not used" in text
    timed = read_nvdsanalytics(written(tmp_path), time_threshold=True)
    assert timed.described[1].given["crowd_for"] == 1.0


def test_it_runs_on_pictures_of_another_size(tmp_path: Path) -> None:
    frames = run(Analyze(config=written(tmp_path)))
    first = by_name(frames[0])
    assert first["RF"]["points"] == [(0, 0), (480, 0), (480, 540), (0, 540)]
    assert first["RF"]["values"]["count"] == 3  # tracked or not
    assert first["RF-crowd"]["values"] == {"count": 2, "classes": {"person": 2}, "crowded": True}
    assert first["RF"]["colour"] == (255, 255, 0)
    assert frames[0].objects[2].extras["analytics"] == {"zones": ["RF"]}
    last = by_name(frames[-2])
    assert last["Exit"]["values"] == {"in": 2, "out": 0}
    assert last["South"]["values"] == {"count": 2, "identities": 2}
    assert last["objects"]["values"] == {"person": 2, "bag": 1}
    assert "directions" in frames[-2].objects[0].extras["analytics"]
    events = [(e.kind, e.name, e.direction) for each in frames if each.stream == "a" for e in each.events]
    assert events.count(("line", "Exit", "in")) == 2
    assert [rule["name"] for rule in frames[1].extras.get("analytics", ())] == []  # nothing is for stream 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[property]", "[properties]"), r"\[property\] enable: is missing"),
        (("object-threshold=2\n", ""), r"\[overcrowding-stream-0\] object-threshold: is missing"),
        (("roi-RF=0;0;960;0;960;1080;0;1080", "roi-RF=0;0;960;0;960"), "holds 5 numbers"),
        (("line-crossing-Exit=960;400;", "line-crossing-Exit="), "holds 6 numbers; it is .* of 4 points"),
        (("direction-South=500;300;500;700;\n", ""), "direction-<label>: is missing"),
        (("osd-mode=2", "osd-mode=7"), "'7' is not one of 0 .none., 1"),
        (("object-threshold=2", "object-threshold=two"), "analytics.txt:19: .*object-threshold: 'two'"),
    ],
)
def test_what_is_wrong_names_line_and_key(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    assert change[0] in FILE
    with pytest.raises(ConfigError, match=words):
        read_nvdsanalytics(written(tmp_path, FILE.replace(*change)))


def test_switched_off_and_misspelt(tmp_path: Path) -> None:
    off = read_nvdsanalytics(written(tmp_path, FILE.replace("[property]\nenable=1", "[property]\nenable=0")))
    assert off.described == []
    odd = read_nvdsanalytics(written(tmp_path, FILE.replace("mode=loose", "mode=losse\nextend=1")))
    assert odd.described[2].given["mode"] == "loose"
    assert odd.report is not None
    assert [warning.partition(": ")[2] for warning in odd.report.warnings()] == [
        "[line-crossing-stream-0] extend: unknown: Did you mean 'extended'?"
    ]


def test_its_yaml_twin(tmp_path: Path) -> None:
    path = tmp_path / "analytics.yml"
    path.write_text(
        "property: {enable: 1, config-width: 1920, config-height: 1080}\n"
        "roi-filtering-stream-0: {enable: 1, roi-RF: 0;0;960;0;960;1080, class-id: -1}\n"
    )
    (described,) = read_nvdsanalytics(str(path)).described
    assert described.given["size"] == [1920, 1080]
    assert by_name(run(Analyze(config=str(path)))[0])["RF"]["values"]["count"] == 2


def test_every_file_of_the_corpus_loads_and_runs(deepstream_corpus: Path) -> None:
    files = [
        path for path in sorted(deepstream_corpus.rglob("*.txt"))
        if any(word in path.read_text(errors="replace") for word in ("[roi-filtering-stream", "[line-crossing-stream"))
    ]  # fmt: skip
    assert len(files) >= 6
    for path in files:
        made = read_nvdsanalytics(str(path))
        assert made.report is not None
        assert made.report.counts()["unknown"] == 0, path
        frames = run(Analyze(config=str(path)), 20, ("a", "b", "c"))
        if made.described:
            assert any(frame.extras.get("analytics") for frame in frames), path
