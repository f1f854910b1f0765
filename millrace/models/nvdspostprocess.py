"""The configuration file of nvdspostprocess (YAML): how the raw outputs of another model are read, as a model card.

Keys and defaults: gst-nvdspostprocess/postprocesslib_impl/post_processor.cpp of DeepStream 9.1.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from ..deepstream import KeyFile, Report, Section, read
from .card import Kind, ModelCard
from .class_attrs import CLUSTERING, GROUPS, read_classes
from .nvinfer import KINDS, LAYOUTS
from .symbols import SYMBOLS

_KINDS: dict[int, Kind] = {**KINDS, 4: "keypoints"}
_FUNCTIONS = ("parse-bbox-func-name", "parse-bbox-instance-mask-func-name", "parse-classifier-func-name")


def read_nvdspostprocess(path: str | os.PathLike[str]) -> tuple[ModelCard, Report]:
    """The card that a file amounts to, without a model of its own, and what became of its keys.

    Raises ConfigError with file and line.
    """
    return nvdspostprocess_card(read(path))


def nvdspostprocess_card(file: KeyFile) -> tuple[ModelCard, Report]:
    """The same of a file that was read already."""
    report = Report(file)
    section = report.section("property")
    if not section.given:
        section.reject("", "the group property is missing")
    kind = _kind(section)
    labels = section.path("labelfile-path", None)
    outputs = section.texts("output-blob-names", None)
    section.choice("process-mode", None, {1: "frames", 2: "objects"})
    section.integers("operate-on-class-ids", None)
    section.boolean("release-tensor-meta", False)
    drop = section.integers("filter-out-class-ids", None)
    card = ModelCard(
        id=section.integer("gie-unique-id", None, least=0),
        kind=kind,
        outputs=None if outputs is None else list(outputs),
        labels=None if labels is None else os.fspath(labels),
        drop=None if drop is None else list(drop),
        masks=section.boolean("output-instance-mask", False) if kind == "instances" else True,
        mask_threshold=section.number("segmentation-threshold", 0.0, least=0),
        output_layout=section.choice("segmentation-output-order", None, LAYOUTS),
        attribute=section.text("classifier-type", None),
        source=file.path,
        theirs=True,
    )
    card = replace(card, **_parser(section), **_classes(report, section, card))
    section.ignore("the setting `device` says where a model runs", "gpu-id")
    section.ignore("tensors of regions are read like those of frames", "preprocessor-support")
    section.ignore("the setting `stage` of `postprocess` says whose tensors are read", "gie-unique-id")
    section.ignore("tensors of frames and of objects are both read", "process-mode", "operate-on-class-ids")
    section.ignore("the setting `keep` of `postprocess` says whether tensors stay", "release-tensor-meta")
    report.finish()
    return card, report


def _kind(section: Section) -> Kind:
    kind = section.choice("network-type", None, _KINDS)
    older = section.boolean("is-classifier", False)
    if "network-type" in section:
        section.ignore("network-type counts", "is-classifier")
    return kind or ("classifier" if older else "detector")


def _parser(section: Section) -> dict[str, Any]:
    for key in _FUNCTIONS:
        name = section.text(key, "")
        symbol = SYMBOLS.get(name)
        if symbol:
            section.note(key, f"parser {symbol.parser}")
            return {"parser": symbol.parser, "extras": dict(symbol.extras)}
        if name:
            section.ignore(f"{name} is not built in; the outputs are recognised by their shapes", key)
    return {}


def _classes(report: Report, section: Section, card: ModelCard) -> dict[str, Any]:
    mode = section.choice("cluster-mode", None, CLUSTERING)
    threshold = section.number("classifier-threshold", 0.0, least=0)
    every = report.section("class-attrs-all")
    own = every.number("classifier-threshold", None, least=0)  # where the bodypose files have it
    count = section.integer("num-detected-classes", 0, least=0)
    if card.kind in ("detector", "instances"):
        section.ignore("the model is no classifier", "classifier-threshold")
        every.ignore("the model is no classifier", "classifier-threshold")
        found = read_classes(report, mode or "groups", count or None, legacy=False)
        return found | {"classes": list(range(count)) if count else None}
    section.ignore("the model's outputs say how many classes there are", "num-detected-classes")
    why = f"the model is no detector ({card.kind})"
    section.ignore(why, "cluster-mode", "filter-out-class-ids")
    report.ignore(why, GROUPS)
    if own is not None:
        every.note("classifier-threshold", "")
    if card.kind == "segmentation":
        return {"confidence": card.mask_threshold}
    confident = card.kind in ("classifier", "keypoints")
    return {"confidence": own if own is not None else threshold} if confident else {}
