"""What DeepStream's tracker files say of looking."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.media import Image, Object, box
from millrace.trackers import open_tracker
from millrace.trackers.dcf import DcfTracker
from millrace.trackers.nvtracker import read_nvtracker

BASE = """%YAML:1.0
TargetManagement:
  minTrackerConfidence: 0.3
  searchRegionPaddingScale: 2
DataAssociator:
  associationMatcherType: 1
  minMatchingScore4Overall: 0.5
  minMatchingScore4ReidSimilarity: 0.6
  minMatchingScore4VisualSimilarity: 0.4
  matchingScoreWeight4Iou: 0.4
  matchingScoreWeight4ReidSimilarity: 0.6
  matchingScoreWeight4VisualSimilarity: 0.2
StateEstimator:
  stateEstimatorType: 1
  measurementNoiseVar4Detector: 4
  measurementNoiseVar4Tracker: 9
TrajectoryManagement:
  enableReAssoc: 1
  reidExtractionInterval: 15
  minMatchingScore4Overall: 0.7
  matchingScoreWeight4TrackletSimilarity: 0.6
  matchingScoreWeight4ReidSimilarity: 0.4
"""
REID = """ReID:
  reidType: {kind}
  batchSize: 12
  reidFeatureSize: 256
  reidHistorySize: 40
  inferDims: [3, 256, 128]
  networkMode: 1
  inputOrder: 0
  colorFormat: 1
  offsets: [100.0, 50.0, 0.0]
  netScaleFactor: 0.02
  keepAspc: 0
  addFeatureNormalization: 1
  minVisibility4GalleryUpdate: 0.6
  outputReidTensor: 1
  onnxFile: reid.onnx
"""
VISUAL = """VisualTracker:
  visualTrackerType: 2
  useColorNames: 0
  useHog: 1
  featureImgSizeLevel: 3
  featureFocusOffsetFactor_y: -0.2
  filterLr: 0.1
  filterChannelWeightsLr: 0.05
  gaussianSigma: 0.75
"""


def read(folder: Path, text: str, **settings: bool):  # type: ignore[no-untyped-def]
    file = folder / "tracker.yml"
    file.write_text(text)
    return read_nvtracker(file, **settings)


def test_the_network_and_how_it_wants_its_input(tmp_path: Path) -> None:
    network = read(tmp_path, BASE + REID.format(kind=1)).network
    assert network.files == (str(tmp_path / "reid.onnx"),)
    assert (network.batch, network.shown) == (12, True)
    card = network.card
    assert (card["width"], card["height"], card["layout"], card["colour"], card["fit"]) == (
        128, 256, "NCHW", "BGR", "stretch",
    )  # fmt: skip
    assert card["scale"] == 0.02 and card["mean"] == pytest.approx((2.0, 1.0, 0.0))  # scale * (pixel - offset)


@pytest.mark.parametrize(("kind", "associates", "again"), [(1, True, False), (2, False, True), (3, True, True)])
def test_the_type_says_what_embeddings_are_for(tmp_path: Path, kind: int, associates: bool, again: bool) -> None:
    file = read(tmp_path, BASE + REID.format(kind=kind))
    looks = file.appearance
    assert (looks.associate, looks.reassociate, looks.history) == (associates, again, 40)
    assert looks.least_visible == 0.6
    assert looks.interval == pytest.approx(0.0 if associates else 0.5)
    joint = file.stages[0]
    if associates:
        assert (joint.extra[0], joint.min_extra[0]) == (0.6, 0.6)
    else:
        assert (joint.extra[0], joint.min_extra[0]) == (0.0, -np.inf)
    assert joint.min_score == pytest.approx(0.5 * (0.4 + 0.6 * associates) / 1.2)
    assert (file.again.terms.motion, file.again.terms.look, file.again.terms.least) == (0.6, 0.4, 0.7)


def test_without_it_the_file_runs_on_motion(tmp_path: Path) -> None:
    off = read(tmp_path, BASE + REID.format(kind=0))
    assert off.appearance is None and off.report.counts()["unknown"] == 0
    assert {f.status for f in off.report.findings() if f.group == "ReID"} == {"ignored"}
    assert read(tmp_path, BASE + REID.format(kind=3), looks=False).appearance is None
    assert read(tmp_path, BASE).appearance is None
    with pytest.raises(ConfigError, match="inferDims"):
        read(tmp_path, BASE + "ReID:\n  reidType: 1\n  inferDims: [3, 256]\n")


def test_the_filters(tmp_path: Path) -> None:
    file = read(tmp_path, BASE + VISUAL)
    visual = file.visual
    assert (visual.size, visual.padding, visual.sigma, visual.learning) == (24, 2.0, 0.75, 0.1)
    assert (visual.channel_learning, visual.colour, visual.gradients, visual.focus) == (0.05, False, True, -0.2)
    assert (visual.height, visual.noise_abs) == (0.3, 9.0)
    assert (file.stages[0].extra[1], file.stages[0].min_extra[1]) == (0.2, 0.4)
    assert read(tmp_path, BASE + VISUAL, pixels=False).visual is None
    assert read(tmp_path, BASE + VISUAL.replace("Type: 2", "Type: 0")).visual is None
    assert read(tmp_path, BASE).visual is None


def test_a_file_with_filters_looks_at_pictures(tmp_path: Path) -> None:
    (tmp_path / "dcf.yml").write_text(BASE + VISUAL)
    tracker = open_tracker("nvtracker", config=str(tmp_path / "dcf.yml"))
    assert isinstance(tracker, DcfTracker)
    rng = np.random.default_rng(1)
    ground, look = rng.integers(90, 130, (240, 320, 3)), rng.integers(0, 255, (60, 40, 3))
    shown = []
    for n in range(24):
        pixels = ground.astype(np.uint8)
        x = 60 + 3 * n
        pixels[80:140, x : x + 40] = look
        objects = [Object(box((x, 80, x + 40, 140)), 0, "person", 0.9)] if n % 4 == 0 else []
        out = tracker.update(objects, n * 40_000_000, n % 4 == 0, Image("RGB", [pixels], 320, 240))
        shown += [(n, each) for each in out if each.id is not None and n % 4]
    assert len(shown) >= 9
    for n, each in shown:
        assert abs(each.box[0] - 60 - 3 * n) < 3
        assert each.track_confidence is not None and 0.3 <= each.track_confidence <= 1
