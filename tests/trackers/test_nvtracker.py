"""DeepStream's tracker files as rules of ours: keys one by one, then every file of the corpus."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.media import Image, Object, box
from millrace.trackers import open_tracker
from millrace.trackers.nvtracker import read_nvtracker
from millrace.trackers.rules import BOX, CONFIRMED, FULL, NO_VELOCITY_OF_SIDES

CASCADE = """%YAML:1.0
BaseConfig:
  minDetectorConfidence: 0.1
TargetManagement:
  maxTargetsPerStream: 30
  minIouDiff4NewTarget: 0.6
  probationAge: 3
  maxShadowTrackingAge: 60
  earlyTerminationAge: 2
  minTrackerConfidence: 0.8
  outputShadowTracks: 1
  maxTrajectoryBufferLength: 12
TrajectoryManagement:
  enableReAssoc: 1
  maxTrackletMatchingTimeSearchRange: 45
DataAssociator:
  associationMatcherType: 1
  checkClassMatch: 0
  usePrediction4Assoc: 1
  minMatchingScore4Overall: 0.4
  minMatchingScore4SizeSimilarity: 0.3
  minMatchingScore4Iou: 0.2
  matchingScoreWeight4SizeSimilarity: 0.3
  matchingScoreWeight4Iou: 0.4
  matchingScoreWeight4VisualSimilarity: 0.3
  tentativeDetectorConfidence: 0.25
  minMatchingScore4TentativeIou: 0.35
  thresholdMahalanobis: 12.5
StateEstimator:
  stateEstimatorType: 1
  processNoiseVar4Loc: 2
  processNoiseVar4Size: 1
  processNoiseVar4Vel: 0.1
  measurementNoiseVar4Detector: 4
VisualTracker:
  visualTrackerType: 1
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "tracker.yml"
    file.write_text(text)
    return file


def test_keys_become_rules(tmp_path: Path) -> None:
    file = read_nvtracker(written(tmp_path, CASCADE), pixels=False)
    joint, weak, young = file.stages
    assert (joint.states, joint.low, joint.iou, joint.size) == (CONFIRMED, 0.25, 0.4, 0.3)
    assert (joint.min_iou, joint.min_size, joint.mahalanobis) == (0.2, 0.3, 12.5)
    assert (joint.class_penalty, joint.last, joint.greedy) == (0.0, 0, 0)
    assert joint.min_score == pytest.approx(0.4 * 0.7)  # what likeness of pictures would have added is taken off
    assert (weak.low, weak.high, weak.min_iou) == (0.1, 0.25, 0.35)
    assert young.min_iou == 0.2
    life = file.life
    assert (life.filter, life.place_abs, life.size_abs, life.measured_abs) == (NO_VELOCITY_OF_SIDES, 2, 1, 4)
    assert life.velocity_abs == pytest.approx(0.1 * 900)
    assert (life.most, life.new_iou, life.early, life.new_confidence) == (30, 0.6, 2, 0.1)
    assert (life.probation, life.max_age) == pytest.approx((0.1, 2.0))
    assert file.settings == {"report": ["shadows"], "trajectory": 12, "reassociate": 1.5}
    counts = file.report.counts()
    assert counts["unknown"] == counts["wrong"] == 0
    why = {finding.key: finding for finding in file.report.findings()}
    assert why["visualTrackerType"].status == why["minTrackerConfidence"].status == "applied"
    assert "0.28" in why["minMatchingScore4Overall"].why


def test_without_a_cascade_the_best_pairs_come_first(tmp_path: Path) -> None:
    file = read_nvtracker(written(tmp_path, "TargetManagement:\n  probationAge: 0\n"))
    (only,) = file.stages
    assert (only.greedy, only.last, file.life.filter, file.life.hits) == (1, 1, BOX, 1)


def test_the_filter_of_deepsort(tmp_path: Path) -> None:
    text = "StateEstimator:\n  stateEstimatorType: 2\n  noiseWeightVar4Loc: 0.03\n  noiseWeightVar4Vel: 0.002\n"
    life = read_nvtracker(written(tmp_path, text)).life
    assert (life.filter, life.noise_place, life.noise_velocity) == pytest.approx((FULL, 0.03, 0.06))


def test_what_is_wrong_is_said_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tracker\.yml:2: \[TargetManagement\] probationAge"):
        read_nvtracker(written(tmp_path, "TargetManagement:\n  probationAge: soon\n"))
    with pytest.raises(ConfigError, match="no tracker file"):
        read_nvtracker(written(tmp_path, "property:\n  onnx-file: a.onnx\n"))
    with pytest.raises(ConfigError, match="config must name"):
        open_tracker("nvtracker")
    unknown = read_nvtracker(written(tmp_path, "TargetManagement:\n  probationAgge: 3\n")).report.warnings()
    assert "Did you mean 'probationAge'?" in unknown[0]


def test_settings_beside_the_file_count(tmp_path: Path) -> None:
    file = written(tmp_path, CASCADE)
    assert open_tracker("nvtracker", config=str(file)).rules.trajectory == 12
    assert open_tracker("nvtracker", config=str(file), trajectory=5).rules.trajectory == 5


def street(walkers: list[tuple[float, float]]) -> Image:
    """A picture with textured walkers."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(90, 120, (360, 480, 3)).astype(np.uint8)
    clothes = [np.kron(rng.integers(0, 255, (10, 5, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in walkers]
    for (x, y), look in zip(walkers, clothes, strict=True):
        pixels[int(y) : int(y) + 80, max(0, int(x)) : int(x) + 40] = look[:, max(0, -int(x)) :]
    return Image("RGB", [pixels], 480, 360)


def corpus() -> list[Path]:
    root = Path(os.environ.get("MILLRACE_TEST_DATA", "/nowhere")).parent / "corpus"
    groups = re.compile(r"(?m)^(BaseConfig|TargetManagement|StateEstimator|DataAssociator|NvDCF) *:")
    return [
        file
        for file in sorted(root.rglob("*.y*ml"))
        if groups.search(file.read_text(encoding="utf-8", errors="replace"))
    ]


def test_every_file_of_the_corpus_loads_and_runs() -> None:
    files = corpus()
    if not files:
        pytest.skip("MILLRACE_TEST_DATA does not name a folder beside a corpus of configuration files")
    for file in files:
        for pixels in (True, False):
            tracker = open_tracker("nvtracker", config=str(file), pixels=pixels)
            assert tracker.rules.file.report.counts()["unknown"] == 0, file  # type: ignore[attr-defined]
            ids: set[int | None] = set()
            for n in range(40):
                walkers = [(n * 4.0, 100.0), (300 - n * 4.0, 220.0)]
                objects = [Object(box((x, y, x + 40, y + 80)), 0, "person", 0.9) for x, y in walkers]
                for found, look in zip(objects, np.eye(2, dtype=np.float32), strict=True):
                    found.embedding = look
                out = tracker.update(objects, n * 40_000_000, True, street(walkers))
                assert np.isfinite([found.box for found in out]).all()
                ids |= {found.id for found in out}
            assert ids - {None} == {1, 2}, file
