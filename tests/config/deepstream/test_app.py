"""A whole file of deepstream-app: what it finds, in which order, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from config.deepstream.conftest import BOX, FRAMES, MODELS, SOURCES

from millrace.config.deepstream import load_app
from millrace.config.plan import Step, Tee
from millrace.core.errors import ConfigError
from millrace.summary import Run

FILE = """
[tiled-display]
enable=1
rows=1
columns=2
width=256
height=128
[osd]
enable=1
border-width=2
text-size=12
text-color=1;1;1;1
[sink0]
enable=1
type=1
[sink1]
enable=1
type=3
container=1
codec=1
enc-type=1
bitrate=200000
output-file=out.mp4
"""


def names(line) -> list:
    return [each.element if isinstance(each, Step) else sorted(each.branches) for each in line]


def test_a_whole_application_runs_to_its_end(write, folder):
    import av

    path = write(SOURCES, MODELS, FILE, "[tests]\nfile-loop=0\n")
    app = load_app(path)
    assert app.missing == [] and app.perf == 1 and app.report.warnings() == []
    assert names(app.plan.line) == ["resize", "infer", "track", "infer", ["tiles"]]
    app.plan.line.insert(4, Step("json", {"path": "found.jsonl"}))
    summary = Run(app.plan).run()
    assert {name: summary.streams[name].frames_out for name in ("source0", "source1")} == {
        "source0": FRAMES, "source1": FRAMES,
    }  # fmt: skip
    files = sorted(Path().glob("found*.jsonl"))
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    found = [each for line in lines for each in line["objects"]]
    assert len(found) == 2 * FRAMES
    assert {each["label"] for each in found} == {"car"}
    assert {label["value"] for each in found for label in each["labels"]} == {"light"}
    assert {each["id"] is not None for each in found[4:]} == {True}
    with av.open("out.mp4") as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 256, 128)
        assert sum(1 for _ in video.decode(stream)) == FRAMES


def test_kitti_dumps(write, folder):
    (folder / "out").mkdir()
    dumps = (
        "[application]\ngie-kitti-output-dir=out/found\nkitti-track-output-dir=out/tracks\n[sink0]\nenable=1\ntype=1"
    )
    app = load_app(write(SOURCES, MODELS, dumps))
    assert names(app.plan.line) == ["resize", "infer", "dump", "track", "infer", "dump"]
    Run(app.plan).run()
    files = sorted(path.name for path in (folder / "out" / "found").iterdir())
    assert len(files) == 2 * FRAMES and files[0] == "00_000_000000.txt" and files[-1] == "00_001_000011.txt"
    words = (folder / "out" / "found" / files[0]).read_text().split()
    assert words[0] == "car" and [round(float(word)) for word in words[4:8]] == list(BOX)
    tracked = (folder / "out" / "tracks" / files[-1]).read_text().split()
    assert tracked[0] == "car" and tracked[1].isdigit()


def test_dumps_of_tracks_that_are_hidden_or_over(write, folder):
    (folder / "out").mkdir()
    dumps = "".join(f"{kind}-track-output-dir=out/{kind}\n" for kind in ("reid", "terminated", "shadow"))
    app = load_app(write(SOURCES, MODELS, f"[application]\n{dumps}[sink0]\nenable=1\ntype=1"))
    assert names(app.plan.line) == ["resize", "infer", "track", "infer", "dump", "dump", "dump"]
    assert app.plan.line[2].settings["report"] == ["shadows", "terminated"]
    assert not Run(app.plan).run().errors
    assert app.report.warnings() == []


def test_without_tiles_each_sink_has_its_stream(write):
    sinks = "".join(
        f"[sink{n}]\nenable=1\ntype=3\noutput-file=out{n}.mp4\nsource-id={n}\n[osd]\nenable=1\n" for n in (0, 1, 7)
    )
    app = load_app(write(SOURCES, MODELS, "[tiled-display]\nenable=0", sinks))
    tee = app.plan.line[-1]
    assert isinstance(tee, Tee) and sorted(tee.branches) == ["source0", "source1"]
    why = next(f for f in app.report.findings() if (f.group, f.key) == ("sink7", "source-id")).why
    assert "there is no stream 7" in why
    Run(app.plan).run()
    assert Path("out0.mp4").stat().st_size > 0 and Path("out1.mp4").stat().st_size > 0
    assert not Path("out7.mp4").exists()


def test_tiles_and_a_single_stream(write):
    sinks = "[sink0]\nenable=1\ntype=3\noutput-file=a.mp4\n[sink1]\nenable=1\ntype=3\noutput-file=b.mp4\nsource-id=1\n"
    app = load_app(write(SOURCES, "[tiled-display]\nenable=2\nrows=1\ncolumns=2", sinks, "link-to-demux=1"))
    tee = app.plan.line[-1]
    assert isinstance(tee, Tee) and sorted(tee.branches) == ["source1", "tiles"]


def test_loop_reads_files_for_ever(write):
    app = load_app(write(SOURCES, "[tests]\nfile-loop=1"))
    assert [stream.options["loop"] for stream in app.plan.streams] == [0, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[source0]\nenable=1\ntype=12\nuri=file://street.mp4", "app.txt:4: [source0] type: 12 is not one of"),
        ("[source0]\nenable=1\ntype=3", "app.txt:2: [source0] uri: is missing"),
        ("[source0]\nenable=1\ntype=6", "app.txt:4: [source0] type: a sound file"),
        ("[primary-gie]\nenable=1", "app.txt:2: [primary-gie] config-file: is missing"),
        ("[sink0]\nenable=1\ntype=3", "app.txt:2: [sink0] output-file: is missing"),
        ("[sink0]\nenable=yes\ntype=3", "app.txt:3: [sink0] enable: 'yes' is not a whole number"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write, text, said):
    with pytest.raises(ConfigError) as caught:
        load_app(write("[application]", text))
    assert said in str(caught.value)


def test_two_models_of_one_number(write):
    with pytest.raises(ConfigError, match=r"\[secondary-gie0\] gie-unique-id: 1 is that of \[primary-gie\], too"):
        load_app(write(SOURCES, MODELS.replace("gie-unique-id=2", "gie-unique-id=1")))


def test_a_model_that_nothing_feeds_is_left_out(write):
    app = load_app(write(SOURCES, MODELS.replace("operate-on-gie-id=1", "operate-on-gie-id=5")))
    assert names(app.plan.line) == ["resize", "infer", "track"]
    assert "no model that is on has the gie-unique-id 5" in app.remarks[0]


def test_wrong_endings():
    with pytest.raises(ConfigError, match=r"ends in \.txt, \.yml, \.yaml"):
        load_app("app.ini")


KINDS = {  # categories of the corpus → how many files there are, and of which kind they are
    "deepstream_app": (44, "deepstream-app"),
    "dewarper": (4, "nvdewarper"),
    "metamux": (3, "nvdsmetamux"),
    "streammux_new": (1, "nvstreammux"),
    "tracker_wrapper": (4, "tracker"),
    "analytics": (6, "nvdsanalytics"),
}


@pytest.mark.parametrize("category", KINDS)
def test_every_file_of_the_corpus_is_explained(deepstream_corpus, category):
    import csv

    from millrace.cli.check_deepstream import CHECKS
    from millrace.deepstream.kinds import kind_of

    with open(deepstream_corpus / "INDEX.csv", newline="", encoding="utf-8") as index:
        paths = [deepstream_corpus / row["path"] for row in csv.DictReader(index) if row["category"] == category]
    count, kind = KINDS[category]
    assert {kind_of(path) for path in paths} == {kind} and len(paths) == count
    reports = [report for path in paths for report in CHECKS[kind](path).reports]
    assert reports and [line for report in reports for line in report.warnings()] == []
