"""What DeepStream's tracker files say of looking: VisualTracker (correlation filters) and ReID (embeddings)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..deepstream import Report, Section
from .appearance import Appearance
from .reassociation import Terms
from .rules import RATE
from .visual import Visual

LEVELS = (12, 18, 24, 30, 36)  # points of featureImgSizeLevel 1 to 5
SHARPEST = 8  # deviations above the side lobes: a peak that is lower is none, whatever its height
ASSOCIATES, REASSOCIATES = (1, 3), (2, 3)  # reidType
OLD_LEAST = "minVisibiilty4Tracking"  # written so


@dataclass(frozen=True, slots=True)
class Network:
    """The re-identification network that a file names: its `kind` (reidType; 0: there is none), `files` that may hold
    it, and how it wants its input: `card` are keys of `input` in a model card.
    """

    kind: int = 0
    files: tuple[str, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
    batch: int = 100
    shown: bool = False  # whether embeddings stay on the objects


@dataclass(frozen=True, slots=True)
class Again:
    """TrajectoryManagement: how identities that ended are taken up."""

    on: bool = False
    terms: Terms = field(default_factory=Terms)
    interval: float = 0.0  # seconds


def read_visual(section: Section, padding: float, least: float, noise: float) -> Visual | None:
    """VisualTracker; `padding`, `least` and `noise` are keys of other groups. None: no filters."""
    kind = section.choice("visualTrackerType", "none", {0: "none", 1: "dcf", 2: "dcf"})
    if kind == "none":
        section.ignore("visualTrackerType is 0", *(entry.key for entry in section.group.entries))
        return None
    visual = _visual(section, padding, least, noise)
    section.ignore("the same filters everywhere", "vpiBackend4DcfTracker")
    return visual


def read_old_visual(section: Section, padding: float, noise: float) -> Visual:
    """The same keys in the one flat group of old versions."""
    return _visual(section, padding, section.number(OLD_LEAST, section.number("minVisibilty4Tracking", 0.0)), noise)


def _visual(section: Section, padding: float, least: float, noise: float) -> Visual:
    level = section.integer("featureImgSizeLevel", 2, 1, 5)
    section.ignore("all arithmetic is in single precision", "useHighPrecisionFeature")
    return Visual(
        size=LEVELS[level - 1],
        padding=padding,
        sigma=section.number("gaussianSigma", 0.75, 0.01),
        learning=section.number("filterLr", 0.075, 0.0, 1.0),
        channel_learning=section.number("filterChannelWeightsLr", 0.1, 0.0, 1.0),
        colour=section.boolean("useColorNames", True),
        gradients=section.boolean("useHog", False),
        focus=section.number("featureFocusOffsetFactor_y", 0.0, -0.5, 0.5),
        peak=SHARPEST,
        height=least,
        noise_abs=noise,
    )


def read_network(report: Report) -> tuple[int, Network, dict[str, Any]]:
    """ReID: its type (0 where it is off), the network, and what `Appearance` takes from it."""
    if "ReID" not in report.file.groups:
        return 0, Network(), {}
    section = report.section("ReID")
    kind = section.choice("reidType", 0, {0: 0, 1: 1, 2: 2, 3: 3})
    if kind == 0:
        section.ignore("reidType is 0", *(entry.key for entry in section.group.entries))
        return 0, Network(), {}
    network = _network(section, kind)
    gallery = {
        "history": section.integer("reidHistorySize", 100, 1),
        "least_visible": section.number("minVisibility4GalleryUpdate", 0.0, 0.0, 1.0),
    }
    section.choice("networkMode", "fp32", {0: "fp32", 1: "fp16", 2: "int8"})
    section.ignore("a model runs in its file's precision, or that of the engine `millrace build` made", "networkMode")
    section.ignore("the model's output says it", "reidFeatureSize")
    section.ignore("a runtime takes the memory it needs", "workspaceSize")
    section.ignore("crops are cut and scaled by imaging", "useVPICropScaler", "useBufferedOutput")
    section.ignore("models are calibrated by `millrace build`", "calibrationTableFile")
    section.ignore("models are read as they are", "tltModelKey")
    section.note("addFeatureNormalization", "embeddings have length 1 always")
    section.boolean("addFeatureNormalization", True)
    return kind, network, gallery


def _network(section: Section, kind: int) -> Network:
    dims = section.integers("inferDims", (3, 256, 128))
    last = section.choice("inputOrder", False, {0: False, 1: True})
    colour = section.choice("colorFormat", "RGB", {0: "RGB", 1: "BGR"})
    offsets = section.numbers("offsets", (0.0, 0.0, 0.0))
    scale = section.number("netScaleFactor", 1.0)
    if len(dims) != 3:
        section.reject("inferDims", "three numbers: channels, height, width (or, with inputOrder 1, channels last)")
        dims = (3, 256, 128)
    height, width = (dims[0], dims[1]) if last else (dims[1], dims[2])
    card: dict[str, Any] = {
        "width": width, "height": height, "layout": "NHWC" if last else "NCHW", "colour": colour, "scale": scale,
        "mean": tuple(value * scale for value in offsets), "std": (1.0, 1.0, 1.0),
        "fit": "letterbox" if section.boolean("keepAspc", True) else "stretch", "pad": 0,
    }  # fmt: skip
    files = []
    for key in ("onnxFile", "tltEncodedModel", "modelEngineFile"):
        path = section.path(key, None)
        if path is not None:
            files.append(str(path))
    return Network(
        kind,
        tuple(files),
        card,
        section.integer("batchSize", 100, 1),
        section.boolean("outputReidTensor", False),
    )


def appearance(kind: int, gallery: dict[str, Any], again: Again, least: float, unknown: float) -> Appearance | None:
    """How embeddings are used, by the type of re-identification; None: not at all."""
    associates, reassociates = kind in ASSOCIATES, kind in REASSOCIATES and again.on
    if not associates and not reassociates:
        return None
    return Appearance(
        associate=associates, reassociate=reassociates, least_confidence=least, unknown=unknown,
        interval=0.0 if associates else again.interval, **gallery,
    )  # fmt: skip


def read_again(section: Section) -> Again:
    """TrajectoryManagement: taking up identities that ended."""
    on = section.boolean("enableReAssoc", False)
    within = section.integer("maxTrackletMatchingTimeSearchRange", 30, 0) / RATE
    if not on:
        section.note("enableReAssoc", "off")
    section.ignore("identities are whole numbers from 1 in each stream", "useUniqueID")
    interval = section.integer("reidExtractionInterval", 0, -1)
    terms = Terms(
        within=within if on else 0.0,
        least_look=section.number("minMatchingScore4ReidSimilarity", 0.0),
        least_motion=section.number("minTrackletMatchingScore", 0.0),
        motion=section.number("matchingScoreWeight4TrackletSimilarity", 1.0),
        look=section.number("matchingScoreWeight4ReidSimilarity", 0.0),
        least=section.number("minMatchingScore4Overall", 0.0),
    )
    section.ignore(
        "what ended is led on at its velocity; how far off a new target may begin is fixed (reassociation.py)",
        "minTrajectoryLength4Projection", "prepLength4TrajectoryProjection", "trajectoryProjectionLength",
        "maxAngle4TrackletMatching", "minSpeedSimilarity4TrackletMatching", "minBboxSizeSimilarity4TrackletMatching",
        "trajectoryProjectionProcessNoiseScale", "trajectoryProjectionMeasurementNoiseScale",
        "trackletSpacialSearchRegionScale", "enableVanishingPoint",
    )  # fmt: skip
    return Again(on, terms, interval / RATE if interval > 0 else float(interval))
