"""Each key is applied, ignored or unknown, with its line; wrong values are raised together."""

from __future__ import annotations

import pytest

from millrace.core.errors import ConfigError
from millrace.deepstream import Report
from millrace.deepstream.keyfile import parse_keyfile

TEXT = """[property]
batch-size=4
gpu-id=0
net-scale-factor=0.5
net-scale-factor=0.25
network-typ=1
onnx-file=../model.onnx
network-type=1 ## classifier
operate-on-class-ids=0;2
[class-attrs-all]
topk=20
[class-attrs-1]
topk=5
[clas-attrs-2]
topk=1
[empty]
"""


def taken() -> tuple[Report, dict[str, object]]:
    report = Report(parse_keyfile(TEXT, "/configs/infer.txt"))
    section = report.section("property")
    found = {
        "batch": section.integer("batch-size", 1, least=1),
        "scale": section.number("net-scale-factor", 1.0),
        "model": section.path("onnx-file", None),
        "kind": section.choice("network-type", "detector", {0: "detector", 1: "classifier"}),
        "classes": section.integers("operate-on-class-ids", None),
        "absent": section.integer("interval", None),
    }
    section.ignore("one card is used", "gpu-id")
    found["top"] = {int(m[1]): s.integer("topk", 0) for m, s in report.sections(r"class-attrs-(\d+)")}
    report.section("class-attrs-all").integer("topk", 0)
    return report, found


def test_values_come_with_their_types():
    report, found = taken()
    report.finish()
    assert found == {
        "batch": 4, "scale": 0.25, "model": found["model"], "kind": "classifier", "classes": (0, 2), "absent": None,
        "top": {1: 5},
    }  # fmt: skip
    assert str(found["model"]) == "/model.onnx"


def test_each_key_has_its_finding():
    report, _ = taken()
    by_line = {finding.line: (finding.key, finding.status, finding.why) for finding in report.findings()}
    assert by_line[2] == ("batch-size", "applied", "")
    assert by_line[3] == ("gpu-id", "ignored", "one card is used")
    assert by_line[4] == ("net-scale-factor", "ignored", "line 5 counts")
    assert by_line[5] == ("net-scale-factor", "applied", "")
    assert by_line[6] == ("network-typ", "unknown", "Did you mean 'network-type'?")
    assert by_line[15] == ("topk", "unknown", "there is no such group. Did you mean 'class-attrs-1'?")
    assert by_line[16][:2] == ("", "unknown")
    assert report.counts() == {"applied": 7, "ignored": 2, "unknown": 3}
    assert [line.split(": ")[0] for line in report.warnings()] == [f"/configs/infer.txt:{n}" for n in (6, 15, 16)]
    lines = report.text().splitlines()
    assert lines[0] == "/configs/infer.txt"
    assert lines[2] == "    3  [property] gpu-id: ignored: one card is used"
    assert lines[-1] == "12 keys: 7 applied, 3 unknown, 2 ignored"


def test_wrong_values_are_raised_together():
    report = Report(parse_keyfile("[p]\na=x\nb=0\nc=0.5 # half\nd=7\ne=1;x\n", "f"))
    section = report.section("p")
    assert section.integer("a", 9) == 9
    section.integer("b", 9, least=1, most=4)
    section.number("c", 1.0)
    section.choice("d", None, {0: "RGB", 1: "BGR"})
    section.integers("e", ())
    section.need("a", "g")
    section.reject("b", "is not wanted here")
    with pytest.raises(ConfigError) as error:
        report.finish()
    assert str(error.value).splitlines() == [
        "f:1: [p] g: is missing",
        "f:2: [p] a: 'x' is not a whole number",
        "f:3: [p] b: is not wanted here",
        "f:4: [p] c: '0.5 # half' is not a number: a comment needs a line of its own",
        "f:5: [p] d: '7' is not one of 0 (RGB), 1 (BGR)",
        "f:6: [p] e: '1;x' is not a whole number",
    ]


def test_what_is_wrong_is_not_ignored():
    report = Report(parse_keyfile("[p]\nb=x\nc=y\n", "f"))
    report.section("p").integer("b", 9)
    report.section("p").ignore("not used", "b", "c")
    assert [finding.status for finding in report.findings()] == ["wrong", "ignored"]


def test_a_range_is_told():
    report = Report(parse_keyfile("[p]\nb=0\n", "f"))
    report.section("p").integer("b", 9, least=1, most=4)
    with pytest.raises(ConfigError, match="'0' is out of range: at least 1 and at most 4"):
        report.finish()


def test_whole_groups_are_ignored():
    report = Report(parse_keyfile("[tests]\na=1\n[user-configs]\nb=1\n"))
    report.ignore("free keys", "user-.*")
    assert [finding.status for finding in report.findings()] == ["unknown", "ignored"]


def test_relative_paths_follow_the_file(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/c.txt").write_text("[p]\n")
    (tmp_path / "link.txt").symlink_to("real/c.txt")
    from millrace.deepstream import resolve

    assert resolve("m.onnx", tmp_path / "link.txt") == (tmp_path / "real").resolve() / "m.onnx"
    name = "/opt/nvidia/deepstream/deepstream-9.1/samples/models/m.onnx"
    assert str(resolve(name, tmp_path / "link.txt")) == name
    monkeypatch.setenv("MILLRACE_DEEPSTREAM_ROOT", "/ds")
    assert str(resolve(name, tmp_path / "link.txt")) == "/ds/samples/models/m.onnx"
