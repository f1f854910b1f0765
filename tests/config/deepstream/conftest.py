"""A folder with two clips, a detector of cars, a classifier of shades, and files of deepstream-app around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from millrace.testing.clips import write_video
from millrace.testing.models import make_detector, make_shade_model

FRAMES = 12
BOX = (8, 8, 40, 40)  # of the one car, in a picture of 64 x 64

PRIMARY = """[property]
onnx-file=cars.onnx
labelfile-path=labels.txt
net-scale-factor=0.00392156862745098
network-type=0
cluster-mode=2
gie-unique-id=1
"""
SECONDARY = """[property]
onnx-file=shades.onnx
labelfile-path=shades.txt
net-scale-factor=0.00392156862745098
network-type=1
process-mode=2
classifier-threshold=0.3
operate-on-gie-id=1
gie-unique-id=2
"""
TRACKER = """BaseConfig:
  minDetectorConfidence: 0.1
TargetManagement:
  probationAge: 1
  maxShadowTrackingAge: 5
DataAssociator:
  minMatchingScore4Overall: 0.1
"""
SOURCES = """
[application]
enable-perf-measurement=1
perf-measurement-interval-sec=1
[source0]
enable=1
type=3
uri=file://street.mp4
num-sources=2
[source1]
enable=0
type=4
uri=rtsp://10.0.0.7/main
[streammux]
batch-size=2
width=64
height=64
"""
MODELS = """
[primary-gie]
enable=1
config-file=primary.txt
gie-unique-id=1
bbox-border-color0=1;0;0;1
[secondary-gie0]
enable=1
config-file=secondary.txt
operate-on-gie-id=1
operate-on-class-ids=0;
gie-unique-id=2
[tracker]
enable=1
tracker-width=640
tracker-height=384
ll-lib-file=/opt/nvidia/deepstream/deepstream/lib/libnvds_nvmultiobjecttracker.so
ll-config-file=tracker.yml
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds everything but the file of deepstream-app."""
    grey = [np.full((64, 64, 3), 200, np.uint8) for _ in range(FRAMES)]
    write_video(tmp_path / "street.mp4", grey)
    make_detector(tmp_path / "cars.onnx", [(*BOX, 0.9, 0)], classes=2)
    make_shade_model(tmp_path / "shades.onnx", {"shade": [0.1, 0.8]})
    (tmp_path / "labels.txt").write_text("car\nvan\n")
    (tmp_path / "shades.txt").write_text("dark;light\n")
    (tmp_path / "primary.txt").write_text(PRIMARY)
    (tmp_path / "secondary.txt").write_text(SECONDARY)
    (tmp_path / "tracker.yml").write_text(TRACKER)
    return tmp_path


@pytest.fixture
def write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the file from its parts; the folder is the current one."""
    monkeypatch.chdir(folder)

    def made(*parts: str, name: str = "app.txt") -> Path:
        path = folder / name
        path.write_text("\n".join(parts))
        return path

    return made
