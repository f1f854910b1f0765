"""Which of DeepStream's files a file is, by what it says: its name tells nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..core.errors import ConfigError
from .keyfile import KeyFile, read_keyfile
from .yamlfile import Yaml, read_yamlfile

_MESSAGE = re.compile(r"^\s*infer_config\s*:?\s*[{<]", re.MULTILINE)
_LARGEST = 4_000_000  # bytes; a configuration is never near it, a video or a model is
_MODEL = {
    "onnx-file", "model-engine-file", "model-file", "proto-file", "uff-file", "tlt-encoded-model", "network-mode",
    "net-scale-factor", "model-color-format", "batch-size",
}  # fmt: skip
_READING = {"network-type", "cluster-mode", "classifier-threshold", "parse-bbox-func-name", "release-tensor-meta"}


class Facts(NamedTuple):
    """What the decision goes by: names of groups, keys of [property], and whether it is YAML."""

    groups: set[str]
    property: set[str]
    yaml: bool

    def group(self, pattern: str) -> bool:
        """Whether a group's whole name matches."""
        return any(re.fullmatch(pattern, name) for name in self.groups)


KINDS: dict[str, Callable[[Facts], bool]] = {  # the first that holds
    "deepstream-app": lambda f: f.group(
        "application|tiled-display|primary-gie|secondary-gie\\d+|source\\d+|sink\\d+|streammux|source-list|osd"
        "|action-recognition|source-list\\.\\d+"
    ) and "property" not in f.groups,
    "nvtracker": lambda f: f.group(
        "BaseConfig|TargetManagement|TrajectoryManagement|DataAssociator|StateEstimator|NvDCF"
    ),
    "nvdsmetamux": lambda f: "active-pad" in f.property,
    "nvstreammux": lambda f: bool(f.property & {"algorithm-type", "adaptive-batching", "max-same-source-frames"}),
    "nvdsanalytics": lambda f: bool(f.property & {"config-width", "config-height", "osd-mode"})
    or f.group("(roi-filtering|line-crossing|overcrowding|direction-detection)-stream-\\d+"),
    "nvdewarper": lambda f: f.group("surface\\d+"),
    "nvdspreprocess": lambda f: bool(
        f.property & {"network-input-shape", "custom-tensor-preparation-function", "target-unique-ids"}
    ),
    "nvdspostprocess": lambda f: f.yaml and bool(f.property & _READING) and not f.property & _MODEL,
    "nvinfer": lambda f: bool(f.property & _MODEL),
    "nvmsgconv": lambda f: f.group("(sensor|place|analytics)\\d+"),
    "tracker": lambda f: "tracker" in f.groups,
    "message-broker": lambda f: "message-broker" in f.groups,
}  # fmt: skip


TEXTS = {  # what is told by its text: files whose groups say nothing, and which are for other programs
    "lidar": re.compile(r"^\s*-\s*\d+:\s*\S*\.bin\s*$", re.MULTILINE),
    "service-maker": re.compile(r"^deepstream:\s*$(?:\s*#.*$)*\s*nodes:", re.MULTILINE),
    "video-template": re.compile(
        r"^video_template:|^property:\s*\n\s+width:\s*\d+\s*\n\s+height:\s*\d+\s*\Z", re.MULTILINE
    ),
    "tracker-overrides": re.compile(
        r"\A(?![\s\S]*^(?:BaseConfig|TargetManagement):)[\s\S]*^MultiViewAssociator:", re.MULTILINE
    ),
    "camera-model": re.compile(r"^projectionMatrix_3x4\S*:", re.MULTILINE),
}


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """The element whose configuration a file is, of KINDS, TEXTS or nvinferserver; None when it is none.

    A file that cannot be read is none, but one that looks like one of them and is broken raises ConfigError.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            return None
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if _MESSAGE.search(text):
        return "nvinferserver"
    if path.suffix in (".yml", ".yaml"):
        for kind, pattern in TEXTS.items():
            if pattern.search(text):
                return kind
    if path.suffix in (".yml", ".yaml"):
        try:
            return kind_of_groups(read_yamlfile(path))
        except ConfigError:
            if re.search(r"^property\s*:", text, re.MULTILINE):
                raise
            return None
    if not re.search(r"^\s*\[[^\[\]]+\][ \t]*$", text, re.MULTILINE):
        return None
    return kind_of_groups(read_keyfile(path))


def kind_of_groups(file: KeyFile) -> str | None:
    """The same of a file that was read already."""
    own = file.groups.get("property")
    keys = {entry.key for entry in own.entries} if own else set()
    facts = Facts(set(file.groups), keys, isinstance(file.notation, Yaml))
    return next((name for name, holds in KINDS.items() if holds(facts)), None)
