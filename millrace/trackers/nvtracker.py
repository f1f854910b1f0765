"""DeepStream's tracker files (`ll-config-file`), unchanged, as rules of ours.

Every key of the IOU, NvSORT, NvDeepSORT and NvDCF configurations is applied, or reported with the reason why not. Ages
are given there in frames; here they are thirtieths of a second, so that they mean the same at any frame rate. What
looks at pixels (correlation filters, re-identification, bodies, other cameras) is not there: such files run on motion
and overlap, and their least joint score is lowered by the share that the missing likenesses would have had.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..deepstream import Report, Section, read
from .base import Rules
from .rules import ACTIVE, ANY, BOX, CONFIRMED, FULL, NO_VELOCITY_OF_SIDES, RATE, TENTATIVE, Life, Stage

NEEDS_DCF = "of correlation filters: such files run on motion alone (`tracker: dcf` looks at pictures)"
NEEDS_REID = "needs a re-identification network in the tracker, which is not there yet"
NO_GROUP = {
    "VisualTracker": NEEDS_DCF,
    "ReID": NEEDS_REID,
    "Segmenter": "tracking by segmentation is not there",
    "ObjectModelProjection(\\..*)?": "objects are tracked in the picture, not in space",
    "PoseEstimator": "tracking by poses is not there",
    "MultiViewAssociator|Communicator": "streams are tracked apart: cameras do not talk to each other",
}
OLD = """filterLr filterChannelWeightsLr gaussianSigma featureImgSizeLevel useColorNames useHog useHighPrecisionFeature
minVisibiilty4Tracking minVisibilty4Tracking featureFocusOffsetFactor_y minMatchingScore4Motion useBufferedOutput
matchingScoreWeight4Motion trackExponentialSmoothingLr_loc trackExponentialSmoothingLr_scale useGlobalMatching
trackExponentialSmoothingLr_velocity kfProcessNoiseVar4Loc kfProcessNoiseVar4Scale kfProcessNoiseVar4Vel
kfMeasurementNoiseVar4Trk kfMeasurementNoiseVar4Det maxErrCoor4Matching"""
LONGEST = 1000  # places of a trajectory without a limit
FOLLOWING = 1e6  # pixels²: a side whose place varies by that much follows each measurement


@dataclass(kw_only=True)
class NvTracker(Rules):
    """Rules that a DeepStream tracker file gives: `track: {config: config_tracker_NvSORT.yml}`."""

    config: str = ""

    name = "nvtracker"

    def __post_init__(self) -> None:
        if not self.config:
            raise ConfigError("tracker nvtracker: config must name DeepStream's tracker file (.yml)")
        self.file = read_nvtracker(self.config)
        for key, value in self.file.settings.items():
            if getattr(self, key) == getattr(Rules(), key):  # what was said beside the file counts
                setattr(self, key, value)
        super().__post_init__()

    def stages(self) -> tuple[Stage, ...]:
        return self.file.stages

    def life(self) -> Life:
        return self.file.life


@dataclass(slots=True)
class TrackerFile:
    """What a file asks for; `settings` are those that all trackers have."""

    stages: tuple[Stage, ...]
    life: Life
    settings: dict[str, Any]
    report: Report


def read_nvtracker(path: str | Path) -> TrackerFile:
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
    if old is None:
        settings |= _again(report.section("TrajectoryManagement"))
    else:
        _old(old)
    stages = _stages(pairing, least)
    life = Life(new_confidence=least, **managed, **_filter(motion))
    for pattern, why in NO_GROUP.items():
        report.ignore(why, pattern)
    report.finish()
    return TrackerFile(stages, life, settings, report)


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
    section.ignore("motion is always sure of what it matches", "minTrackerConfidence")
    section.ignore(NEEDS_DCF, "searchRegionPaddingScale", "SearchRegionPaddingScale")
    section.ignore("identities are counted for each stream, always in its order", "preserveStreamUpdateOrder")
    section.ignore("boxes that leave the picture are not guessed on", "enableBboxUnClipping")
    return life, settings


def _again(section: Section) -> dict[str, Any]:
    """TrajectoryManagement: taking up identities that ended."""
    on = section.boolean("enableReAssoc", False)
    within = _frames(section, "maxTrackletMatchingTimeSearchRange", 30)
    if not on:
        section.note("enableReAssoc", "off")
    section.ignore("identities are whole numbers from 1 in each stream", "useUniqueID")
    section.ignore(
        NEEDS_REID, "minMatchingScore4ReidSimilarity", "matchingScoreWeight4ReidSimilarity", "reidExtractionInterval"
    )
    section.ignore(
        "what ended is led on at its velocity; how far off a new target may begin is fixed (reassociation.py)",
        "minMatchingScore4Overall", "minTrackletMatchingScore", "matchingScoreWeight4TrackletSimilarity",
        "minTrajectoryLength4Projection", "prepLength4TrajectoryProjection", "trajectoryProjectionLength",
        "maxAngle4TrackletMatching", "minSpeedSimilarity4TrackletMatching", "minBboxSizeSimilarity4TrackletMatching",
        "trajectoryProjectionProcessNoiseScale", "trajectoryProjectionMeasurementNoiseScale",
        "trackletSpacialSearchRegionScale", "enableVanishingPoint",
    )  # fmt: skip
    return {"reassociate": within if on else 0.0}


def _stages(section: Section, least: float) -> tuple[Stage, ...]:
    """DataAssociator: the rounds."""
    cascaded = section.integer("associationMatcherType", 0, 0, 1) == 1
    section.choice("dataAssociatorType", "default", {0: "default"})
    predicted = section.boolean("usePrediction4Assoc", False)
    iou, size = (
        section.number("matchingScoreWeight4Iou", 1.0),
        section.number("matchingScoreWeight4SizeSimilarity", 0.0),
    )
    unseen = sum(section.number(f"matchingScoreWeight4{kind}Similarity", 0.0) for kind in ("Visual", "Reid"))
    score = section.number("minMatchingScore4Overall", 0.0)
    if unseen and score:
        score *= (iou + size) / (iou + size + unseen)
        section.note("minMatchingScore4Overall", f"as {score:.4f}: without appearance a score is lower")
    section.ignore(NEEDS_DCF, "minMatchingScore4VisualSimilarity", "matchingScoreWeight4VisualSimilarity")
    section.ignore(NEEDS_REID, "minMatchingScore4ReidSimilarity", "matchingScoreWeight4ReidSimilarity")
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
    }  # fmt: skip
    sure = section.number("tentativeDetectorConfidence", 0.5)
    weak = section.number("minMatchingScore4TentativeIou", 0.0)
    if not cascaded:
        section.ignore("only the cascade tells weak detections apart", "tentativeDetectorConfidence")
        section.ignore("only the cascade tells weak detections apart", "minMatchingScore4TentativeIou")
        return (Stage(states=ANY, low=least, greedy=1, **joint),)
    return (
        Stage(states=CONFIRMED, low=max(sure, least), **joint),
        Stage(states=ACTIVE, low=least, high=max(sure, least), min_iou=weak, **shared),
        Stage(states=TENTATIVE, low=max(sure, least), min_iou=joint["min_iou"], **shared),
    )


def _filter(section: Section) -> dict[str, Any]:
    """StateEstimator: the filter. Variances are pixels² a frame, weights parts of the box's height."""
    kind = section.choice("stateEstimatorType", "dummy", {0: "dummy", 1: "simple", 2: "regular", 3: "location"})
    place = section.number("processNoiseVar4Loc", 2.0)
    size = section.number("processNoiseVar4Size", 1.0)
    velocity = section.number("processNoiseVar4Vel", 0.1)
    measured = section.number("measurementNoiseVar4Detector", 4.0)
    weights = section.number("noiseWeightVar4Loc", 0.05), section.number("noiseWeightVar4Vel", 0.00625)
    section.ignore(NEEDS_DCF, "measurementNoiseVar4Tracker")
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
    section.ignore(NEEDS_DCF, *OLD.split())
