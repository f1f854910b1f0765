"""[pre-process], [primary-gie], [secondary-gieN], [tracker], [nvds-analytics]: what looks at the frames."""

from __future__ import annotations

import os
from typing import Any

from ...core.errors import ConfigError
from ...deepstream import Section, resolve
from ...models.card import ModelCard
from ...models.deepstream import read_model
from ...models.labels import read_labels
from ..plan import Line
from .parts import MEMORY, App, step

_CONFIG = ("config-file", "config-file-path")
_PLUGINS = {0: "nvinfer", 1: "nvinferserver", 2: "nvdsvideotemplate", 3: "nvdsvisionencoder"}
_ENCODER = (
    "model-variant", "device", "min-crop-size", "verbose", "backend", "triton-url", "triton-model",
)  # fmt: skip
_AUDIO = ("audio-transform", "audio-framesize", "audio-hopsize", "audio-input-rate")


class Models:
    """The models of a file as they are read: their steps, and colours of boxes by label."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.prefix = ""  # of the names of steps, where several files have groups of one name
        self.stages: dict[int, str] = {}  # gie-unique-id → the name of its step
        self.styles: dict[str, dict[str, Any]] = {}

    def primary(self, section: Section) -> Line:
        """The steps of [primary-gie]; none where it is off."""
        if not self.app.on(section):
            return []
        return self._model(section, None)

    def secondaries(self) -> Line:
        """The steps of all [secondary-gieN]: those whose objects come from another stand behind it."""
        report, waiting, line = self.app.report, [], Line()
        for _, section in report.sections(r"secondary-gie\d*"):
            if self.app.on(section):
                waiting.append((section, section.integer("operate-on-gie-id", None if self.app.sample else 0)))
        while waiting:
            ready = [each for each in waiting if each[1] is None or each[1] in self.stages]
            if not ready:
                break
            for each in ready:
                line += self._model(*each)
                waiting.remove(each)
        for section, other in waiting:
            why = f"no model that is on has the gie-unique-id {other}: DeepStream does not run it either"
            section.ignore(why, *(entry.key for entry in section.group.entries))
            self.app.remarks.append(f"[{section.group.name}] {why}")
        return line

    def _model(self, section: Section, of: int | None) -> Line:
        plugin = section.choice("plugin-type", "nvinfer", _PLUGINS)
        self._no_effect(section)
        if plugin not in ("nvinfer", "nvinferserver"):
            section.reject("plugin-type", f"{plugin} runs compiled code of its own: name an nvinfer file instead")
            return []
        path = self.app.file(section, *_CONFIG)
        if path is None:
            section.reject("config-file", "is missing: an nvinfer or nvinferserver file")
            return []
        name = self.prefix + section.group.name
        number = section.integer("gie-unique-id", None, least=0)
        number = section.integer("unique-id", number, least=0)
        card = self._card(section, path)
        if number is None and card is not None:
            number = card.id
        if number in self.stages:
            section.reject("gie-unique-id", f"{number} is that of [{self.stages[number]}], too")
        if number is not None:
            self.stages[number] = name
        settings = self._settings(section, path, of)
        self._colours(section, card)
        keys = {"model": _CONFIG[0] if _CONFIG[0] in section else _CONFIG[1], "every": "interval",
                "on": "operate-on-gie-id"}  # fmt: skip
        return [step(section, "infer", settings, keys, name)]

    def _settings(self, section: Section, path: str, of: int | None) -> dict[str, Any]:
        interval = section.integer("interval", None, least=0)
        tensors = section.boolean("input-tensor-meta", False) or section.boolean("input-tensor-from-meta", False)
        classes = section.integers("operate-on-class-ids", None)
        on: dict[str, Any] = {}
        if section.group.name.startswith("secondary"):
            on = {"stage": None if of is None else self.stages[of], "classes": None if classes is None else [*classes]}
            if classes is not None and -1 in classes:
                on["classes"] = None
        else:
            section.ignore("the model looks at whole frames", "operate-on-gie-id", "operate-on-class-ids")
        on = {key: value for key, value in on.items() if value is not None}
        return {
            "model": path,
            "every": None if interval is None else interval + 1,
            "prepared": True if tensors else None,
            "on": on or None,
        }

    def _no_effect(self, section: Section) -> None:
        section.ignore(MEMORY, "gpu-id", "nvbuf-memory-type")
        section.ignore("batches are made as the device takes them best", "batch-size")
        section.ignore("the model is that of config-file", "model-engine-file")
        section.ignore("the group's name says it", "process-mode")
        section.ignore("raw outputs are kept by `tensors: true` of infer, for a program", "infer-raw-output-dir")
        section.ignore("it belongs to plugin-type 3 (nvdsvisionencoder)", *_ENCODER)
        section.ignore("a model of sound: out of scope, sound is saved and played only", *_AUDIO)
        section.ignore("an overlay is drawn by class", "bbox-bg-color", "bbox-border-color")

    def _card(self, section: Section, path: str) -> ModelCard | None:
        """What the model's file says; None where it is not there. What is wrong in it is raised when it is run."""
        if not os.path.isfile(path):
            return None
        try:
            card = read_model(path)
        except ConfigError:
            return None
        if card is None:
            return None
        key = next((key for key in _CONFIG if key in section), _CONFIG[0])
        if card.model is None:
            self.app.lack(section, key, path, path, f"{path}: {card.no_model}")
        elif "://" not in card.model and not os.path.exists(card.model):
            self.app.lack(section, key, path, card.model, f"{path}: there is no model {card.model}")
        return card

    def _colours(self, section: Section, card: ModelCard | None) -> None:
        """bbox-border-color0 … as styles of draw, by the names of the classes."""
        given = section.path("labelfile-path", None)
        labels = str(given) if given is not None else card.labels if card is not None else None
        names: dict[int, str] = {}
        if isinstance(labels, str) and os.path.isfile(labels):
            names = dict(read_labels(labels))
        elif isinstance(labels, list):
            names = {index: str(name) for index, name in enumerate(labels)}
        for match, key in section.keys(r"bbox-border-color(\d+)"):
            values = section.numbers(key, ())
            if len(values) != 4 or not all(0 <= value <= 1 for value in values):
                section.reject(key, "is not red;green;blue;alpha of 0 to 1")
                continue
            colour = "#" + "".join(f"{round(value * 255):02x}" for value in values[:3])
            self.styles[names.get(int(match[1]), match[1])] = {"colour": colour}
        section.ignore("a box has no background", *(key for _, key in section.keys(r"bbox-bg-color\d+")))


def preprocess(app: App, section: Section) -> Line:
    """[pre-process] and [secondary-pre-processN]."""
    if not app.on(section):
        return []
    path = app.file(section, *_CONFIG)
    section.ignore("its file says it", "operate-on-gie-id")
    if path is None:
        section.reject("config-file", "is missing: an nvdspreprocess file")
        return []
    return [step(section, "preprocess", {"config": path}, {"config": "config-file"})]


def tracker(app: App, section: Section) -> Line:
    """[tracker]."""
    if not app.on(section):
        return []
    config = _tracker_files(app, section)
    classes = section.texts("operate-on-class-ids", None)
    reset = section.choice("tracking-id-reset-mode", "never", {0: "never", 1: "reset", 2: "end", 3: "both"})
    settings = {
        "config": config,
        "classes": [int(one) if one.strip().isdigit() else one for one in classes] if classes else None,
        "sub_batches": section.text("sub-batches", None) if config else None,
        "reset_ids": reset,  # DeepStream's default is never
    }
    section.ignore("compiled libraries are not loaded; ll-config-file says how objects are tracked", "ll-lib-file")
    section.ignore("trackers work in the pixels of the frame", "tracker-width", "tracker-height",
                   "tracker-surface-type", "tracking-surface-type", "compute-hw")  # fmt: skip
    section.ignore(MEMORY, "gpu-id", "user-meta-pool-size")
    section.ignore("the tracker makes its own tensors", "input-tensor-meta", "tensor-meta-gie-id")
    section.ignore("a tracker that fails ends the run with an error", "sub-batch-err-recovery-trial-cnt")
    section.ignore("DeepStream has done away with it", "enable-batch-process", "enable-past-frame",
                   "tracker-algorithm", "iou-threshold")  # fmt: skip
    section.boolean("display-tracking-id", True)
    return [step(section, "track", settings, {"config": "ll-config-file", "sub_batches": "sub-batches"})]


def _tracker_files(app: App, section: Section) -> str | None:
    """ll-config-file: one path, or several with `;` between them."""
    names = section.texts("ll-config-file", ())
    paths = []
    for name in names:
        path = resolve(name, app.report.file.path)
        if not os.path.isfile(path):
            app.lack(section, "ll-config-file", str(path), name)
        paths.append(str(path))
    return ";".join(paths) or None


def analytics(app: App, section: Section) -> Line:
    """[nvds-analytics] and the [analytics] of sample applications."""
    if not app.on(section):
        return []
    path = app.file(section, *_CONFIG)
    if path is None:
        section.reject("config-file", "is missing: an nvdsanalytics file")
        return []
    return [step(section, "analyze", {"config": path}, {"config": "config-file"})]


def dumps(section: Section, key: str, format: str) -> Line:
    """A KITTI folder that [application] asks for."""
    path = section.path(key, None)
    if path is None:
        return []
    return [step(section, "dump", {"path": str(path), "format": format}, {"path": key})]
