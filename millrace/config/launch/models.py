"""What looks at the pictures in a launch line: models, tracker, analytics → steps."""

from __future__ import annotations

import os
from typing import Any

from ...core.errors import ConfigError
from ...deepstream.paths import resolve
from ...models.card import ModelCard
from ...models.deepstream import read_model
from ...models.labels import read_labels
from .graph import Node, upstream
from .work import Work, locate

_RESETS = {0: "never", 1: "reset", 2: "end", 3: "both"}
_DEFAULT_ID = {"nvinfer": 15, "nvinferserver": 0}


def infer(work: Work, node: Node) -> None:
    props = node.props
    path = work.file(node, "config-file-path")
    if path is None:
        raise work.error(node, "config-file-path", "is missing: a file of nvinfer or nvinferserver")
    card = _card(work, node, path)
    number = props.get("unique-id")
    if number is None:
        number = card.id if card is not None and card.id is not None else _DEFAULT_ID.get(node.part.element, 15)
    name = node.name
    settings = {
        "model": path,
        "every": props["interval"] + 1 if "interval" in props else None,
        "prepared": True if props.get("input-tensor-meta") else None,
        "tensors": True if props.get("output-tensor-meta") or _read_apart(node) else None,
        "on": _on(work, node) or None,
        "classes": _kept(work, node, card),
        "number": props.get("unique-id"),
    }
    keys = {
        "model": "config-file-path",
        "every": "interval",
        "on": "infer-on-gie-id",
        "classes": "filter-out-class-ids",
    }
    node.steps.append(work.step(node, "infer", settings, keys, name=name))
    work.stages.setdefault(number, name)


def _card(work: Work, node: Node, path: str) -> ModelCard | None:
    """What the model's file says; None where it is not there. What is wrong in it is raised when it is run."""
    if not os.path.isfile(path):
        return None
    try:
        card = read_model(path)
    except ConfigError:
        return None
    if card is None:
        return None
    if card.model is None:
        work.lack(node, "config-file-path", path, path, f"{path}: {card.no_model}")
    elif "://" not in card.model and not os.path.exists(card.model):
        work.lack(node, "config-file-path", path, card.model, f"{path}: there is no model {card.model}")
    return card


def _on(work: Work, node: Node) -> dict[str, Any]:
    props = node.props
    on: dict[str, Any] = {}
    of = props.get("infer-on-gie-id", -1)
    if of >= 0:
        if of not in work.stages:
            known = ", ".join(map(str, work.stages)) or "none"
            raise work.error(node, "infer-on-gie-id", f"no model before it has the unique-id {of}; there are: {known}")
        on["stage"] = work.stages[of]
    elif props.get("process-mode") == 2:
        on["stage"] = None
    text = str(props.get("infer-on-class-ids", "")).replace(";", ":")
    if text.strip(": "):
        ids = _numbers(work, node, "infer-on-class-ids", text, ":")
        if -1 not in ids:
            on["classes"] = ids
    return {key: value for key, value in on.items() if value is not None or len(on) == 1}


def _kept(work: Work, node: Node, card: ModelCard | None) -> list[int] | None:
    """The classes that are not filtered out, where the model's file says how many there are."""
    text = str(node.props.get("filter-out-class-ids", ""))
    if not text.strip("; "):
        return None
    dropped = _numbers(work, node, "filter-out-class-ids", text, ";")
    count = 0
    if card is not None and isinstance(card.labels, str) and os.path.isfile(card.labels):
        count = len(read_labels(card.labels))
    elif card is not None and isinstance(card.labels, list):
        count = len(card.labels)
    if not count:
        work.note(
            node, "filter-out-class-ids", "ignored", "the model's file has no labels: `classes` of infer keeps some"
        )
        return None
    return [number for number in range(count) if number not in dropped]


def _numbers(work: Work, node: Node, key: str, text: str, separator: str) -> list[int]:
    try:
        return [int(part) for part in text.split(separator) if part.strip()]
    except ValueError:
        raise work.error(node, key, f"{text!r} is no list of numbers, as in 0{separator}2") from None


def _read_apart(node: Node) -> bool:
    """Whether an nvdspostprocess behind it reads its outputs."""
    here = node
    while len(here.out) == 1:
        here = here.out[0].target
        if here.alias.name == "nvdspostprocess":
            return True
        if here.alias.name == "nvinfer":
            return False
    return False


def preprocess(work: Work, node: Node) -> None:
    path = work.file(node, "config-file")
    if path is None:
        raise work.error(node, "config-file", "is missing: a file of nvdspreprocess")
    if node.props.get("enable", True):
        work.add(node, "preprocess", {"config": path}, config="config-file")


def postprocess(work: Work, node: Node) -> None:
    path = work.file(node, "postprocesslib-config-file")
    if path is None:
        raise work.error(node, "postprocesslib-config-file", "is missing: a file of nvdspostprocess")
    model = next((each for each in upstream(node) if each.alias.name == "nvinfer"), None)
    if model is None:
        raise work.graph.error(node.part.at, "nvdspostprocess reads the outputs of a model: put nvinfer before it")
    work.add(node, "postprocess", {"stage": model.name, "card": path}, card="postprocesslib-config-file")


def tracker(work: Work, node: Node) -> None:
    props = node.props
    config = None
    if text := str(props.get("ll-config-file", "")):
        paths = []
        for name in text.split(";"):
            if name.strip():
                path = locate(name)
                if not os.path.isfile(path):
                    work.lack(node, "ll-config-file", str(resolve(name, "launch")), name)
                paths.append(path)
        config = ";".join(paths)
    reset = props.get("tracking-id-reset-mode", 0)
    if reset not in _RESETS:
        raise work.error(
            node, "tracking-id-reset-mode", f"{reset} is not one of 0 (never), 1 (reset), 2 (end), 3 (both)"
        )
    classes = str(props.get("operate-on-class-ids", ""))
    settings = {
        "config": config,
        "classes": _numbers(work, node, "operate-on-class-ids", classes.replace(":", ";"), ";")
        if classes.strip()
        else None,
        "sub_batches": props.get("sub-batches") if config else None,
        "reset_ids": _RESETS[reset],
    }
    work.ids = bool(props.get("display-tracking-id", True))
    work.add(
        node, "track", settings, config="ll-config-file", sub_batches="sub-batches", classes="operate-on-class-ids"
    )


def analytics(work: Work, node: Node) -> None:
    path = work.file(node, "config-file")
    if path is None:
        raise work.error(node, "config-file", "is missing: a file of nvdsanalytics")
    if node.props.get("enable", True):
        work.add(node, "analyze", {"config": path}, config="config-file")


def replay(work: Work, node: Node) -> None:
    folder = node.props.get("label-dir")
    if not folder:
        raise work.error(node, "label-dir", "is missing: the folder of the label files")
    files = [name.strip() for name in str(node.props.get("file-names", "")).split(";") if name.strip()]
    settings = {
        "path": locate(folder), "files": files or None, "width": node.props.get("label-width", 1920),
        "height": node.props.get("label-height", 1080), "every": node.props.get("interval"),
    }  # fmt: skip
    work.add(node, "labels", settings, path="label-dir")


def logger(work: Work, node: Node) -> None:
    """nvdslogger: **PERF lines."""
    seconds = node.props.get("fps-measurement-interval-sec", 5) or 5
    work.perf = float(seconds)
