"""Files are recognised by what they say."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.core.errors import ConfigError
from millrace.deepstream.kinds import kind_of


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.txt", "[property]\nonnx-file=m.onnx\n", "nvinfer"),
        ("a.yml", "property:\n  network-mode: 1\n", "nvinfer"),
        ("a.yml", "property:\n  network-type: 4\n", "nvdspostprocess"),
        ("a.txt", "# x\ninfer_config {\n}\n", "nvinferserver"),
        ("a.txt", "[property]\ntarget-unique-ids=1\n", "nvdspreprocess"),
        ("a.txt", "[application]\n[source0]\n", "deepstream-app"),
        ("a.yml", "BaseConfig:\n  x: 1\n", "nvtracker"),
        ("a.txt", "[property]\nconfig-width=1\n", "nvdsanalytics"),
        ("a.txt", "[action-recognition]\nuri-list=a.mp4\n", "deepstream-app"),
        ("a.txt", "[property]\n[surface0]\nprojection-type=1\n", "nvdewarper"),
        ("a.txt", "[property]\nactive-pad=sink_0\n", "nvdsmetamux"),
        ("a.txt", "[property]\nmax-same-source-frames=1\n", "nvstreammux"),
        ("a.txt", "[tracker]\ntracker-width=640\n", "tracker"),
        ("a.yaml", "%YAML 1.2\n---\nsource-list:\n  - 0: a/0.bin\n  - 50: a/1.bin\n", "lidar"),
        ("a.yaml", "# x\ndeepstream:\n  nodes:\n  - type: filesrc\n", "service-maker"),
        ("a.yaml", 'source-list:\n- uri: "rtsp://host/one"\n  sensor-id: a\n', "deepstream-app"),
        ("a.yaml", "source:\n  framerate: 10/1\nvideo_template:\n  customlib_name: a.so\n", "video-template"),
        ("a.yml", "projectionMatrix_3x4:\n  - 1.0\n", "camera-model"),
        ("a.yml", "VisualTracker:\n  x: 1\nMultiViewAssociator:\n  y: 1\n", "tracker-overrides"),
        ("a.yml", "BaseConfig:\n  x: 1\nMultiViewAssociator:\n  y: 1\n", "nvtracker"),
        ("a.yaml", "pipeline:\n  - infer: {model: m.onnx}\n", None),
        ("a.yaml", "model: m.onnx\n", None),
        ("a.yaml", "a: [\n", None),
        ("a.txt", "cat\ndog\n", None),
        ("a.bin", "\x00\x01", None),
    ],
)
def test_kinds(tmp_path: Path, name: str, text: str, kind: str | None):
    path = tmp_path / name
    path.write_text(text)
    assert kind_of(path) == kind


def test_what_is_no_text_is_none(tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"\xff\xd8\xff")
    assert kind_of(tmp_path / "a.mp4") is None and kind_of(tmp_path / "gone") is None


def test_a_broken_file_of_theirs_is_an_error(tmp_path: Path):
    (tmp_path / "a.txt").write_text("[property]\nonnx-file\n")
    (tmp_path / "a.yml").write_text("property:\n  a: [\n")
    for name in ("a.txt", "a.yml"):
        with pytest.raises(ConfigError, match=name):
            kind_of(tmp_path / name)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(text=st.text(alphabet="[]property=:\n -a1{}infer_config", max_size=40), suffix=st.sampled_from([".txt", ".yml"]))
def test_any_text_has_a_kind_or_is_refused(tmp_path: Path, text: str, suffix: str):
    (tmp_path / f"a{suffix}").write_text(text)
    try:
        assert kind_of(tmp_path / f"a{suffix}") is None or text
    except ConfigError as error:
        assert f"a{suffix}" in str(error)


def test_corpus(deepstream_corpus: Path):
    names = {
        "nvinfer": "nvinfer", "nvinferserver": "nvinferserver", "preprocess": "nvdspreprocess",
        "postprocess": "nvdspostprocess", "analytics": "nvdsanalytics", "deepstream_app": "deepstream-app",
    }  # fmt: skip
    with open(deepstream_corpus / "INDEX.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["category"] in names]
    assert len(rows) > 250
    for row in rows:
        assert kind_of(deepstream_corpus / row["path"]) == names[row["category"]], row["path"]
