"""DeepStream's tracker files (`ll-config-file`), unchanged, as rules of ours.

Every key of the IOU, NvSORT, NvDeepSORT and NvDCF configurations is applied, or reported with the reason why not. Ages
are given there in frames; here they are thirtieths of a second, so that they mean the same at any frame rate. Where
there are no pictures (`pixels`) or no embeddings (`looks`), such files run on what is left, and their least joint score
is lowered by the share that the missing likenesses would have had. Bodies and other cameras are not there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..deepstream import Report, Section, read
from .appearance import Appearance
from .base import Rules
from .nvlooks import Again, Network, appearance, read_again, read_network, read_old_visual, read_visual
from .reassociation import Terms
from .rules import ACTIVE, ANY, BOX, CONFIRMED, FULL, NO_VELOCITY_OF_SIDES, RATE, TENTATIVE, Life, Stage
from .visual import Visual

NO_FILTERS = "of correlation filters, which this file does not use"
NO_LOOKS = "of embeddings, which this file does not use"
NO_GROUP = {
    "Segmenter": "tracking by segmentation is not there",
    "ObjectModelProjection(\\..*)?": "objects are tracked in the picture, not in space",
    "PoseEstimator": "tracking by poses is not there",
    "MultiViewAssociator|Communicator": "streams are tracked apart: cameras do not talk to each other",
}
OLD = """minMatchingScore4Motion useBufferedOutput matchingScoreWeight4Motion trackExponentialSmoothingLr_loc
trackExponentialSmoothingLr_scale useGlobalMatching trackExponentialSmoothingLr_velocity kfProcessNoiseVar4Loc
kfProcessNoiseVar4Scale kfProcessNoiseVar4Vel kfMeasurementNoiseVar4Trk kfMeasurementNoiseVar4Det maxErrCoor4Matching"""
LONGEST = 1000  # places of a trajectory without a limit
UNKNOWN = 0.8  # likeness of what has no embedding: it is given the benefit of the doubt
FOLLOWING = 1e6  # pixels²: a side whose place varies by that much follows each measurement


@dataclass(kw_only=True)
class NvTracker(Rules):
    """Rules that a DeepStream tracker file gives: `track: {config: config_tracker_NvSORT.yml}`.

    `pixels`: there are pictures for its correlation filters; `looks`: there are embeddings for its re-identification.
    """

    config: str = ""
    pixels: bool = True
    looks: bool = True

    name = "nvtracker"

    def __post_init__(self) -> None:
        if not self.config:
            raise ConfigError("tracker nvtracker: config must name DeepStream's tracker file (.yml)")
        self.file = read_nvtracker(self.config, self.pixels, self.looks)
        usual = {each.name: each.default_factory() if callable(each.default_factory) else each.default
                 for each in fields(Rules)}  # fmt: skip
        for key, value in self.file.settings.items():
            if getattr(self, key) == usual[key]:  # what was said beside the file counts
                setattr(self, key, value)
        super().__post_init__()

    def stages(self) -> tuple[Stage, ...]:
        return self.file.stages

    def life(self) -> Life:
        return self.file.life

    def appearance(self) -> Appearance | None:
        return self.file.appearance

    def terms(self) -> Terms:
        return replace(self.file.again.terms, within=self.reassociate)

    def open(self) -> Any:
        if self.file.visual is None:
            return super().open()
        from .dcf import DcfTracker

        weighs = any(stage.extra[1] or stage.min_extra[1] > 0 for stage in self.file.stages)
        return DcfTracker(self, self.file.visual, shadows=self.file.life.max_age, weighs=weighs, strict=True)


@dataclass(slots=True)
class TrackerFile:
    """What a file asks for; `settings` are those that all trackers have."""

    stages: tuple[Stage, ...]
    life: Life
    settings: dict[str, Any]
    report: Report
    visual: Visual | None
    appearance: Appearance | None
    network: Network
    again: Again


def read_nvtracker(path: str | Path, pixels: bool = True, looks: bool = True) -> TrackerFile:
    """Read a tracker file. Raises ConfigError with file and line for what is wrong in it."""
    file = read(path)
    report = Report(file)
    if not set(file.groups) & {"BaseConfig", "TargetManagement", "DataAssociator", "StateEstimator", "NvDCF"}:
        raise ConfigError(
            f"{path}: is no tracker file: it has none of TargetManagement, DataAssociator, StateEstimator"
        )
    old = report.section("NvDCF") if "NvDCF" in file.groups else None  # one flat group, as before DeepStream 5.1
    base, targets, pairing, motion = (
        old or report.section(name) for name in ("BaseConfig", "TargetManagement", "DataAssociator", "StateEstimator")
    )
    least = base.number("minDetectorConfidence", 0.0)
    base.ignore("frames keep their own numbers", "useBatchNumForFrameId")
    if old is None:
        base.ignore("it belongs into DataAssociator", "checkClassMatch")
    managed, settings = _targets(targets)
    visual = _visual(report, old, targets, motion)
    kind, network, gallery = read_network(report)
    again = Again()
    if old is None:
        again = read_again(report.section("TrajectoryManagement"))
        settings |= {"reassociate": again.terms.within}
    else:
        _old(old)
    visual, kind = visual if pixels else None, kind if looks else 0
    stages, unknown = _stages(pairing, least, visual is not None, kind in (1, 3))
    life = Life(new_confidence=least, **managed, **_filter(motion))
    for pattern, why in NO_GROUP.items():
        report.ignore(why, pattern)
    report.finish()
    looked = appearance(kind, gallery, again, least, unknown)
    return TrackerFile(stages, life, settings, report, visual, looked, network, again)


def _visual(report: Report, old: Section | None, targets: Section, motion: Section) -> Visual | None:
    """VisualTracker, and what other groups say of it."""
    padding = targets.number("searchRegionPaddingScale", targets.number("SearchRegionPaddingScale", 1.0))
    noise = motion.number("measurementNoiseVar4Tracker", 0.0)
    least = targets.number("minTrackerConfidence", 0.0)
    if old is not None:
        return read_old_visual(old, padding, noise)
    visual = None
    if "VisualTracker" in report.file.groups:
        visual = read_visual(report.section("VisualTracker"), padding, least, noise)
    if visual is None:
        targets.ignore(NO_FILTERS, "searchRegionPaddingScale", "SearchRegionPaddingScale")
        targets.ignore("motion is always sure of what it matches", "minTrackerConfidence")
        motion.ignore(NO_FILTERS, "measurementNoiseVar4Tracker")
    return visual


def _frames(section: Section, key: str, default: int) -> float:
    """Frames of a thirtieth of a second → seconds."""
    return section.integer(key, default, 0) / RATE


def _targets(section: Section) -> tuple[dict[str, Any], dict[str, Any]]:
    """TargetManagement: what belongs to a target's life, and what to the tracker's settings."""
    life = {
        "most": section.integer("maxTargetsPerStream", 150, 1),
        "new_iou": section.number("minIouDiff4NewTarget", 0.5),
        "probation": _frames(section, "probationAge", 4),
        "hits": 2,
        "max_age": _frames(section, "maxShadowTrackingAge", 38),
        "early": max(1, section.integer("earlyTerminationAge", 1, 0)),
    }
    if life["probation"] == 0:
        life["hits"] = 1
    report = [
        name
        for name, key in (("terminated", "outputTerminatedTracks"), ("shadows", "outputShadowTracks"),
                          ("past", "enablePastFrame"))
        if section.boolean(key, False)
    ]  # fmt: skip
    length = section.integer("maxTrajectoryBufferLength", 0, -1)
    if length < 0:
        section.note("maxTrajectoryBufferLength", f"as {LONGEST}: a trajectory has an end here")
    settings = {"report": report, "trajectory": LONGEST if length < 0 else length}
    section.ignore('lists are in frame.extras["tracks"]; files are not written', "terminatedTrackFilename")
    section.ignore('lists are in frame.extras["tracks"]; files are not written', "shadowTrackFilename")
    section.ignore("identities are counted for each stream, always in its order", "preserveStreamUpdateOrder")
    section.ignore("boxes that leave the picture are not guessed on", "enableBboxUnClipping")
    return life, settings


def _stages(section: Section, least: float, seen: bool, looked: bool) -> tuple[tuple[Stage, ...], float]:
    """DataAssociator: the rounds, with likeness to filters (`seen`) and of embeddings (`looked`) or without.

    And the likeness of embeddings where there is none.
    """
    cascaded = section.integer("associationMatcherType", 0, 0, 1) == 1
    section.choice("dataAssociatorType", "default", {0: "default"})
    predicted = section.boolean("usePrediction4Assoc", False)
    iou, size = (
        section.number("matchingScoreWeight4Iou", 1.0),
        section.number("matchingScoreWeight4SizeSimilarity", 0.0),
    )
    score = section.number("minMatchingScore4Overall", 0.0)
    further, missing = [], 0.0
    for kind, there, why in (("Reid", looked, NO_LOOKS), ("Visual", seen, NO_FILTERS)):
        weight = section.number(f"matchingScoreWeight4{kind}Similarity", 0.0)
        lowest = section.number(f"minMatchingScore4{kind}Similarity", 0.0)
        further.append((weight, lowest) if there else (0.0, -math.inf))
        if not there:
            missing += weight
            section.ignore(why, f"matchingScoreWeight4{kind}Similarity", f"minMatchingScore4{kind}Similarity")
    if missing and score:
        whole = iou + size + sum(weight for weight, _ in further)
        score *= whole / (whole + missing)
        section.note("minMatchingScore4Overall", f"as {score:.4f}: without appearance a score is lower")
    section.ignore("cameras do not talk to each other", "minMatchingScore4PeerAssocIou")
    shared: dict[str, Any] = {
        "class_penalty": 1.0 if section.boolean("checkClassMatch", True) else 0.0,
        "last": 0 if predicted else 1,
    }
    joint: dict[str, Any] = {
        **shared, "iou": iou, "size": size, "min_score": score,
        "min_iou": section.number("minMatchingScore4Iou", 0.0),
        "min_size": section.number("minMatchingScore4SizeSimilarity", 0.0),
        "mahalanobis": section.number("thresholdMahalanobis", -1.0),
        "extra": (further[0][0], further[1][0]), "min_extra": (further[0][1], further[1][1]),
    }  # fmt: skip
    sure = section.number("tentativeDetectorConfidence", 0.5)
    weak = section.number("minMatchingScore4TentativeIou", 0.0)
    if not cascaded:
        section.ignore("only the cascade tells weak detections apart", "tentativeDetectorConfidence")
        section.ignore("only the cascade tells weak detections apart", "minMatchingScore4TentativeIou")
        return (Stage(states=ANY, low=least, greedy=1, **joint),), UNKNOWN
    return (
        Stage(states=CONFIRMED, low=max(sure, least), **joint),
        Stage(states=ACTIVE, low=least, high=max(sure, least), min_iou=weak, **shared),
        Stage(states=TENTATIVE, low=max(sure, least), min_iou=joint["min_iou"], **shared),
    ), max(UNKNOWN, further[0][1])


def _filter(section: Section) -> dict[str, Any]:
    """StateEstimator: the filter. Variances are pixels² a frame, weights parts of the box's height."""
    kind = section.choice("stateEstimatorType", "dummy", {0: "dummy", 1: "simple", 2: "regular", 3: "location"})
    place = section.number("processNoiseVar4Loc", 2.0)
    size = section.number("processNoiseVar4Size", 1.0)
    velocity = section.number("processNoiseVar4Vel", 0.1)
    measured = section.number("measurementNoiseVar4Detector", 4.0)
    weights = section.number("noiseWeightVar4Loc", 0.05), section.number("noiseWeightVar4Vel", 0.00625)
    section.ignore("width and height are filtered, each for itself", "useAspectRatio")
    variances = ("processNoiseVar4Loc", "processNoiseVar4Size", "processNoiseVar4Vel", "measurementNoiseVar4Detector")
    if kind == "dummy":
        section.ignore("the last box alone counts", *variances, "noiseWeightVar4Loc", "noiseWeightVar4Vel")
        return {"filter": BOX}
    if kind == "regular":
        section.ignore("of other estimators", *variances)
        return {
            "filter": FULL, "noise_place": weights[0], "noise_velocity": weights[1] * RATE,
            "noise_measured": weights[0], "first_place": 2 * weights[0], "first_velocity": 10 * weights[1] * RATE,
        }  # fmt: skip
    section.ignore("of another estimator", "noiseWeightVar4Loc", "noiseWeightVar4Vel")
    if kind == "location":
        section.ignore("sides are those of the last detection", "processNoiseVar4Size")
        size = FOLLOWING
    return {
        "filter": NO_VELOCITY_OF_SIDES, "noise_place": 0.0, "noise_velocity": 0.0, "noise_measured": 0.0,
        "first_place": 0.0, "place_abs": place, "size_abs": size, "velocity_abs": velocity * RATE * RATE,
        "measured_abs": measured,
    }  # fmt: skip


def _old(section: Section) -> None:
    """Keys of the flat group of old versions that have no later name."""
    section.ignore("of versions before 5.1: there is nothing like it here", *OLD.split())
