"""The configuration file of nvinfer, DeepStream's inference element (INI or YAML), as a model card.

Keys, defaults and what they mean: gst-nvinfer/gstnvinfer_property_parser.cpp and gstnvinfer_yaml_parser.cpp of
DeepStream 9.1.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..deepstream import KeyFile, Report, Section, read
from ..deepstream.yamlfile import Yaml
from ..media.tensor import Colour, Fit, Layout
from .card import InputCard, Kind, ModelCard, ObjectsCard
from .class_attrs import CLUSTERING, GROUPS, NOT_IN_YAML, read_classes
from .model_files import choose_model
from .symbols import SYMBOLS, dictionary

KINDS: dict[int, Kind] = {0: "detector", 1: "classifier", 2: "segmentation", 3: "instances", 100: "raw"}
PRECISIONS = {0: "FP32", 1: "INT8", 2: "FP16", 3: "BEST"}
COLOURS: dict[int, Colour] = {0: "RGB", 1: "BGR", 2: "GRAY"}
LAYOUTS: dict[int, Layout] = {0: "NCHW", 1: "NHWC"}
FILTERS = {0: "nearest", 1: "bilinear", 2: "cubic", 3: "super", 4: "lanczos", 5: "ignored", 6: "default"}
FUNCTIONS = (
    "parse-bbox-func-name", "parse-bbox-instance-mask-func-name", "parse-segmentation-func-name",
    "parse-classifier-func-name",
)  # fmt: skip
INT_MAX = (1 << 31) - 1

_ENGINE = "TensorRT's; what engines are made of here is chosen by measuring (`millrace build`)"
_PRECISION = "the runtime's own is taken; `options: {precision: …}` of a card, and `millrace build`, take another"
_DEBUG = "writes or replaces tensors to find mistakes; `tensors: true` of a card hands them to your Python"
IGNORED: Mapping[str, str] = {
    "gpu-id": "the setting `device` says where a model runs",
    "enable-dla": "there is no DLA core; the setting `device` says where a model runs",
    "use-dla-core": "there is no DLA core; the setting `device` says where a model runs",
    "scaling-compute-hw": "pictures are scaled where they are",
    "tensor-meta-pool-size": "memory for results is taken as it is needed",
    "auto-inc-mem": "memory is taken as it is needed",
    "max-gpu-mem-per": "memory is taken as it is needed",
    "workspace-size": _ENGINE,
    "force-implicit-batch-dim": _ENGINE,
    "output-io-formats": _ENGINE,
    "layer-device-precision": _ENGINE,
    "strongly-typed": _ENGINE,
    "int8-calib-file": "TensorRT's table; `millrace build` calibrates on frames",
    "engine-create-func-name": "a network is not made by a C++ function; give its ONNX",
    "custom-network-config": "a network is not made by a C++ function; give its ONNX",
    "custom-lib-path": "compiled functions are not loaded; those that are known by name are built in",
    "disable-output-host-copy": "where outputs are read is the runtime's choice",
    "warmup-engine": "a runtime makes itself ready when it is opened",
    "stabilize-buffer-count": "no frames are dropped to settle in",
    "dynamic-properties": "settings are changed while running by `Pipeline.set`",
    "raw-output-file-write": _DEBUG,
    "dump-input-tensor": _DEBUG,
    "dump-output-tensor": _DEBUG,
    "overwrite-input-tensor": _DEBUG,
    "overwrite-output-tensor": _DEBUG,
    "ip-tensor-file": _DEBUG,
    "op-tensor-files": _DEBUG,
    "parse-func": "replaced by parse-bbox-func-name long ago",
}
LEGACY = ("is-classifier", "enable-dbscan", "input-dims", "uff-input-dims")  # in key files alone


def read_nvinfer(path: str | os.PathLike[str]) -> tuple[ModelCard, Report]:
    """The card that a file amounts to, and what became of its keys. Raises ConfigError with file and line."""
    return nvinfer_card(read(path))


def nvinfer_card(file: KeyFile) -> tuple[ModelCard, Report]:
    """The same of a file that was read already."""
    report = Report(file)
    if "property" not in file.groups:
        report.section("property").reject("", "the group [property] is missing")
    section = report.section("property")
    legacy = not isinstance(file.notation, Yaml)
    kind = _kind(section, legacy)
    model, no_model = choose_model(section)
    parser, extras = _parser(section)
    card = ModelCard(
        id=section.integer("gie-unique-id", None, least=1),
        kind=kind,
        model=model,
        no_model=no_model,
        parser=parser,
        extras=extras,
        input=_input(section, legacy),
        outputs=_list(section.texts("output-blob-names", None)),
        output_layout=_only(section, kind, ("segmentation",), "segmentation-output-order", LAYOUTS),
        batch=section.integer("batch-size", 1, least=1, most=1024),
        every=section.integer("interval", 0, least=0) + 1,
        objects=_objects(section, kind),
        prepared=section.boolean("input-tensor-from-meta", False),
        source=file.path,
        theirs=True,
    )
    card = replace(card, **_results(section, card), **_classes(report, section, kind, legacy))
    _rest(report, section, legacy)
    report.finish()
    return card, report


def _kind(section: Section, legacy: bool) -> Kind:
    kind = section.choice("network-type", None, KINDS)
    if legacy and "is-classifier" in section:
        older: Kind = "classifier" if section.boolean("is-classifier", False) else "detector"
        if "network-type" in section:
            section.ignore("network-type counts", "is-classifier")
        kind = kind or older
    return kind or "detector"


def _parser(section: Section) -> tuple[str | None, dict[str, Any]]:
    """Our parser for the functions that are named; None leaves it to recognition."""
    found: tuple[str | None, dict[str, Any]] = (None, {})
    for key in FUNCTIONS:
        name = section.text(key, "")
        symbol = SYMBOLS.get(name)
        if symbol:
            found = (symbol.parser, dict(symbol.extras))
            section.note(key, f"parser {symbol.parser}")
        elif name:
            why = "is not built in; how the outputs are read is recognised, or said by the setting `parser`"
            section.ignore(f"{name} {why}", key)
    return found


def _input(section: Section, legacy: bool) -> InputCard:
    colour: Colour = section.choice("model-color-format", "RGB", COLOURS)
    scale = section.number("net-scale-factor", 1.0)
    if scale <= 0:
        section.ignore("only a factor above 0 scales", "net-scale-factor")
        scale = 1.0
    width, height, channels = _size(section, legacy)
    means = section.numbers("offsets", None)
    mean_file = section.path("mean-file", None)
    wanted = 1 if colour == "GRAY" else 3
    if mean_file is not None:
        section.ignore("mean-file counts", "offsets")
        means = None
    elif means is not None and len(means) != wanted and channels in (None, 1, 3):
        section.reject("offsets", f"has {len(means)} numbers, and the input {wanted} channels ({colour})")
        means = None
    fit: Fit = "stretch"
    symmetric = section.boolean("symmetric-padding", False)
    if section.boolean("maintain-aspect-ratio", False):
        fit = "letterbox" if symmetric else "letterbox-top-left"
    elif symmetric:
        section.ignore("without maintain-aspect-ratio nothing is padded", "symmetric-padding")
    return InputCard(
        width=width,
        height=height,
        colour=colour,
        layout=section.choice("network-input-order", None, LAYOUTS),
        fit=fit,
        pad=0,
        antialias=antialias(section, "scaling-filter"),
        scale=scale,
        mean=0.0 if means is None else tuple(scale * mean for mean in means),
        std=1.0,
        mean_file=None if mean_file is None else os.fspath(mean_file),
    )


def antialias(section: Section, key: str) -> bool | None:
    """Whether pictures are averaged when they are made smaller; other filters than two are told to be ignored."""
    chosen = section.choice(key, None, FILTERS)
    if chosen in ("nearest", "cubic", "lanczos"):
        section.ignore("pictures are scaled bilinearly", key)
    elif chosen in ("ignored", "default"):
        section.note(key, "bilinear")
    return True if chosen == "super" else None


def _size(section: Section, legacy: bool) -> tuple[int | None, int | None, int | None]:
    """Width, height and channels: `c;h;w`, or the older `c;h;w;order`."""
    for key in ("infer-dims", "input-dims", "uff-input-dims") if legacy else ("infer-dims",):
        dims = section.integers(key, None)
        if dims is None:
            continue
        wanted = 3 if key == "infer-dims" else 4
        if len(dims) != wanted or min(dims[:3]) < 1:
            section.reject(key, f"is not {'c;h;w' if wanted == 3 else 'c;h;w;order'}, whole numbers above 0")
            return None, None, None
        if key == "infer-dims":
            section.ignore("infer-dims counts", *(older for older in LEGACY if older.endswith("dims")))
        channels, height, width = dims[:3]
        return width, height, channels
    return None, None, None


def _objects(section: Section, kind: Kind) -> ObjectsCard | None:
    second = section.choice("process-mode", "frames", {1: "frames", 2: "objects"}) == "objects"
    stage = section.integer("operate-on-gie-id", -1)
    refresh = section.integer("secondary-reinfer-interval", INT_MAX)
    once = refresh == INT_MAX
    found = ObjectsCard(
        stage=stage if stage >= 0 else None,
        classes=_list(section.integers("operate-on-class-ids", None)),
        min_width=section.integer("input-object-min-width", 1, least=0),
        min_height=section.integer("input-object-min-height", 1, least=0),
        max_width=section.integer("input-object-max-width", 0, least=0) or None,
        max_height=section.integer("input-object-max-height", 0, least=0) or None,
        refresh=None if once else max(refresh, 0) + 1,
        growth=1.2 if kind == "classifier" else None,
        wait=not section.boolean("classifier-async-mode", False),
    )
    if kind != "classifier":
        section.ignore("the model is no classifier", "classifier-async-mode")
        found = replace(found, wait=True)
    if second:
        return found
    section.ignore(
        "the model works on whole frames (process-mode 1)",
        "operate-on-gie-id", "operate-on-class-ids", "secondary-reinfer-interval", "classifier-async-mode",
        *(f"input-object-{which}-{side}" for which in ("min", "max") for side in ("width", "height")),
    )  # fmt: skip
    return None


def _results(section: Section, card: ModelCard) -> dict[str, Any]:
    """The card's keys about what is kept: thresholds that are not a detector's, names, tensors, masks."""
    labels = section.path("labelfile-path", None)
    characters = dictionary(card.parser, section.report.file.path)
    if characters is not None:
        section.ignore(f"the function has its characters from {characters}", "labelfile-path")
        labels = characters
    kept: dict[str, Any] = {
        "labels": None if labels is None else os.fspath(labels),
        "drop": _list(section.integers("filter-out-class-ids", None)),
        "crop_to_offsets": section.boolean("crop-objects-to-roi-boundary", False),
        "tensors": section.boolean("output-tensor-meta", False),
        "masks": section.boolean("output-instance-mask", False) if card.kind == "instances" else True,
        "mask_threshold": section.number("segmentation-threshold", 0.0, least=0),
        "attribute": section.text("classifier-type", None),
    }
    section.choice("network-mode", None, PRECISIONS)
    section.ignore(_PRECISION, "network-mode")
    least = section.number("classifier-threshold", 0.0, least=0)
    if card.kind == "classifier":
        kept["confidence"] = least
        if card.objects is not None and not card.objects.wait and kept["tensors"]:
            section.ignore("classifier-async-mode passes no tensors on", "output-tensor-meta")
            kept["tensors"] = False
    else:
        section.ignore("the model is no classifier", "classifier-threshold", "classifier-type")
        kept["attribute"] = None
    if card.kind == "segmentation":
        kept["confidence"] = kept["mask_threshold"]
    if card.kind != "instances":
        section.ignore("the model has no masks", "output-instance-mask")
    if card.kind not in ("segmentation", "instances"):
        section.ignore("the model has no masks", "segmentation-threshold")
        kept["mask_threshold"] = None
    return kept


def _classes(report: Report, section: Section, kind: Kind, legacy: bool) -> dict[str, Any]:
    mode = section.choice("cluster-mode", None, CLUSTERING)
    if legacy and "enable-dbscan" in section:
        older = "dbscan" if section.boolean("enable-dbscan", False) else "groups"
        if mode is not None:
            section.ignore("cluster-mode counts", "enable-dbscan")
        mode = mode or CLUSTERING[1 if older == "dbscan" else 0]
    count = section.integer("num-detected-classes", 0, least=0)
    if kind in ("detector", "instances"):
        found = read_classes(report, mode or "groups", count or None, legacy)
        return found | {"classes": list(range(count)) if count else None}
    section.ignore("the model's outputs say how many classes there are", "num-detected-classes")
    why = f"the model is no detector ({kind})"
    section.ignore(why, "cluster-mode", "enable-dbscan", "filter-out-class-ids", "crop-objects-to-roi-boundary")
    report.ignore(why, GROUPS)
    return {}


def _rest(report: Report, section: Section, legacy: bool) -> None:
    """What is understood and has no effect here."""
    for key, why in IGNORED.items():
        section.ignore(why, key)
    if not legacy:
        section.ignore(NOT_IN_YAML, *LEGACY)
    report.ignore("the streams of a run are not said in a model's file", "source-list|source-attr-all")


def _only(section: Section, kind: Kind, kinds: tuple[Kind, ...], key: str, values: Mapping[int, Any]) -> Any:
    found = section.choice(key, None, values)
    if kind in kinds:
        return found
    section.ignore(f"the model is no {kinds[0]} ({kind})", key)
    return None


def _list(values: Any) -> list[Any] | None:
    return None if values is None else list(values)
