"""The configuration of nvinferserver, DeepStream's client and host of Triton (protobuf text), as a model card.

Fields and what they mean: nvdsinferserver_config.proto, _common.proto and _plugin.proto of DeepStream 9.1.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..deepstream import KeyFile, Report, Section, resolve
from ..deepstream.textfile import read_textfile
from ..media.tensor import Colour, Fit, Layout
from .card import ClassCard, InputCard, Kind, ModelCard, ObjectsCard, Shade
from .class_attrs import DRAWN
from .nvinfer import antialias
from .symbols import SYMBOLS, dictionary

_MODELS = ("model.onnx", "model.plan", "model.savedmodel", "model.graphdef", "model.pt", "model.xml")
_COLOURS: dict[str, Colour | None] = {
    "MEDIA_FORMAT_NONE": None, "IMAGE_FORMAT_RGB": "RGB", "IMAGE_FORMAT_BGR": "BGR", "IMAGE_FORMAT_GRAY": "GRAY",
    "0": None, "1": "RGB", "2": "BGR", "3": "GRAY",
}  # fmt: skip
_ORDERS: dict[str, Layout | None] = {
    "TENSOR_ORDER_NONE": None, "TENSOR_ORDER_LINEAR": "NCHW", "TENSOR_ORDER_NHWC": "NHWC",
    "0": None, "1": "NCHW", "2": "NHWC",
}  # fmt: skip
_MODES = {
    "PROCESS_MODE_DEFAULT": "frames", "PROCESS_MODE_FULL_FRAME": "frames", "PROCESS_MODE_CLIP_OBJECTS": "objects",
    "0": "frames", "1": "frames", "2": "objects",
}  # fmt: skip
_KINDS: dict[str, Kind] = {
    "detection": "detector", "classification": "classifier", "segmentation": "segmentation", "other": "raw",
    "triton_classification": "classifier", "trtis_classification": "classifier",
}  # fmt: skip
_SERVER = "the server's own setting"
_MEMORY = "memory is taken as it is needed"
_POST = "infer_config.postprocess"
_AGAIN = r"(?:#\d+)?"  # a message that may be repeated


def read_nvinferserver(path: str | os.PathLike[str]) -> tuple[ModelCard, Report]:
    """The card that a file amounts to, and what became of its fields. Raises ConfigError with file and line."""
    return nvinferserver_card(read_textfile(path))


def nvinferserver_card(file: KeyFile) -> tuple[ModelCard, Report]:
    """The same of a file that was read already."""
    report = Report(file)
    config = report.section("infer_config")
    if not config.given:
        config.reject("", "the message infer_config is missing")
    kinds: list[Kind] = [kind for name, kind in _KINDS.items() if f"{_POST}.{name}" in file.groups]
    kind = kinds[0] if kinds else "raw"
    model, no_model = _model(report)
    card = ModelCard(
        id=config.integer("unique_id", None, least=1),
        kind=kind,
        model=model,
        no_model=no_model,
        input=_input(report),
        outputs=_names(report, "outputs") or None,
        batch=config.integer("max_batch_size", 0, least=0, most=1024) or 1,
        prepared="infer_config.input_tensor_from_meta" in file.groups,
        source=file.path,
        theirs=True,
    )
    card = replace(card, **_control(report, kind), **_results(report, kind))
    card = replace(card, **(_detection(report) if kind == "detector" else {}))
    card = replace(card, **_filters(report, card))
    _rest(report)
    report.finish()
    return card, report


def _model(report: Report) -> tuple[str | None, str]:
    """A server's address, or the file in a model repository."""
    for name in ("triton", "trt_is"):
        base = f"infer_config.backend.{name}"
        section = report.section(base)
        if not section.given:
            continue
        title, version = section.text("model_name", ""), section.integer("version", -1)
        grpc, repository = report.section(f"{base}.grpc"), report.section(f"{base}.model_repo")
        grpc.ignore("shared memory is used where the server runs on this machine", "enable_cuda_buffer_sharing")
        url = grpc.text("url", "")
        root = repository.text("root", "")
        if not title:
            section.reject("model_name", "is missing")
            return None, "it names no model"
        if url:
            return f"grpc://{url}/{title}" + (f"/{version}" if version > 0 else ""), ""
        if not root:
            section.reject("", "neither model_repo with its root nor grpc with its url is given")
            return None, "it names neither a model repository nor a server"
        return os.fspath(_in_repository(resolve(root, report.file.path) / title, version)), ""
    report.section("infer_config.backend").reject("triton", "is missing")
    return None, "it names no model"


def _in_repository(folder: Path, version: int) -> Path:
    """`folder/3/model.onnx`: the version that is asked for, or the highest, and the file that is there."""
    there = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()] if os.path.isdir(folder) else []
    number = version if version > 0 else max(there, default=1)
    files = (folder / str(number) / name for name in _MODELS)
    return next((path for path in files if os.path.exists(path)), folder / str(number) / _MODELS[0])


def _names(report: Report, which: str) -> list[str]:
    found = []
    for _, section in report.sections(rf"infer_config\.backend\.{which}{_AGAIN}"):
        found.append(section.text("name", ""))
        section.ignore("the model's own shapes and types count", "dims", "data_type")
        section.ignore(_MEMORY, "max_buffer_bytes")
    return [name for name in found if name]


def _input(report: Report) -> InputCard:
    names = _names(report, "inputs")
    if len(names) > 1:
        for _, each in report.sections(rf"infer_config\.backend\.inputs{_AGAIN}"):
            each.ignore("tensor_name says which takes the picture", "name")
    section = report.section("infer_config.preprocess")
    normalize = report.section("infer_config.preprocess.normalize")
    colour = section.word("network_format", None, _COLOURS)
    scale = normalize.number("scale_factor", 0.0)
    if scale <= 0:  # what is not said is 0 in protobuf
        normalize.ignore("only a factor above 0 scales", "scale_factor")
        scale = 1.0
    means = normalize.numbers("channel_offsets", None)
    mean_file = normalize.path("mean_file", None)
    if mean_file is not None:
        normalize.ignore("mean_file counts", "channel_offsets")
    elif means is not None and colour is not None and len(means) != (1 if colour == "GRAY" else 3):
        normalize.reject("channel_offsets", f"has {len(means)} numbers, which {colour} has no channels for")
        means = None
    fit: Fit = "stretch"
    symmetric = section.integer("symmetric_padding", 0) != 0
    if section.integer("maintain_aspect_ratio", 0) != 0:
        fit = "letterbox" if symmetric else "letterbox-top-left"
    elif symmetric:
        section.ignore("without maintain_aspect_ratio nothing is padded", "symmetric_padding")
    section.ignore("pictures are scaled where they are", "frame_scaling_hw")
    report.section("infer_config.input_tensor_from_meta").ignore(
        "the tensors say themselves how they are batched", "is_first_dim_batch"
    )
    return InputCard(
        name=section.text("tensor_name", None) or (names[0] if len(names) == 1 else None),
        colour=colour,
        layout=section.word("tensor_order", None, _ORDERS),
        fit=fit,
        pad=0,
        antialias=antialias(section, "frame_scaling_filter"),
        scale=scale,
        mean=0.0 if means is None or mean_file is not None else tuple(scale * mean for mean in means),
        std=1.0,
        mean_file=None if mean_file is None else os.fspath(mean_file),
    )


def _control(report: Report, kind: Kind) -> dict[str, Any]:
    section = report.section("input_control")
    box = report.section("input_control.object_control.bbox_filter")
    report.section("input_control.object_control")
    second = section.word("process_mode", "frames", _MODES) == "objects"
    stage = section.integer("operate_on_gie_id", -1)
    classes = section.integers("operate_on_class_ids", None)
    refresh = section.integer("secondary_reinfer_interval", None, least=0)
    waits = not section.boolean("async_mode", False)
    objects = ObjectsCard(
        stage=stage if stage >= 0 else None,
        classes=None if classes is None else list(classes),
        min_width=box.integer("min_width", 0, least=0),
        min_height=box.integer("min_height", 0, least=0),
        max_width=box.integer("max_width", 0, least=0) or None,
        max_height=box.integer("max_height", 0, least=0) or None,
        refresh=None if refresh is None else refresh + 1,
        growth=1.2 if kind == "classifier" else None,
        wait=waits or kind != "classifier",
    )
    if not second:
        why = "the model works on whole frames"
        section.ignore(why, "operate_on_gie_id", "operate_on_class_ids", "secondary_reinfer_interval", "async_mode")
        box.ignore(why, "min_width", "min_height", "max_width", "max_height")
    elif kind != "classifier":
        section.ignore("the model is no classifier", "async_mode")
    every = section.integer("interval", 0, least=0) + 1
    return {"objects": objects if second else None, "every": every}


def _results(report: Report, kind: Kind) -> dict[str, Any]:
    post, output = report.section(_POST), report.section("output_control")
    labels = post.path("labelfile_path", None)
    found: dict[str, Any] = {
        "labels": None if labels is None else os.fspath(labels),
        "tensors": output.boolean("output_tensor_meta", False),
        "attribute": output.text("classifier_type", None),
    }
    if kind == "classifier":
        section = report.section(f"{_POST}.classification")
        found["confidence"] = section.number("threshold", 0.0, least=0)
        found |= _parser(section, "custom_parse_classifier_func")
        for name in ("triton_classification", "trtis_classification"):
            theirs = report.section(f"{_POST}.{name}")
            if theirs.given:
                found["confidence"] = theirs.number("threshold", 0.0, least=0)
                theirs.ignore("the best class of each head is told", "topk")
                theirs.ignore("every output is a head", "tensor_name")
    elif kind == "segmentation":
        section = report.section(f"{_POST}.segmentation")
        found["mask_threshold"] = found["confidence"] = section.number("threshold", 0.0, least=0)
        section.ignore("the model's outputs say how many classes there are", "num_segmentation_classes")
        found |= _parser(section, "custom_parse_segmentation_func")
    elif kind == "raw":
        report.section(f"{_POST}.other").ignore("is reserved", "type_name")
    characters = dictionary(found.get("parser"), report.file.path)
    if characters is not None:
        post.ignore(f"the function has its characters from {characters}", "labelfile_path")
        found["labels"] = os.fspath(characters)
    return found


def _parser(section: Section, key: str) -> dict[str, Any]:
    name = section.text(key, "")
    symbol = SYMBOLS.get(name)
    if symbol:
        section.note(key, f"parser {symbol.parser}")
        return {"parser": symbol.parser, "extras": dict(symbol.extras)}
    if name:
        why = "is not built in; how the outputs are read is recognised, or said by the setting `parser`"
        section.ignore(f"{name} {why}", key)
    return {}


def _detection(report: Report) -> dict[str, Any]:
    base = f"{_POST}.detection"
    section = report.section(base)
    count = section.integer("num_detected_classes", 0, least=0)
    found: dict[str, Any] = {"classes": list(range(count)) if count else None}
    found |= _parser(section, "custom_parse_bbox_func")
    nms, dbscan = report.section(f"{base}.nms"), report.section(f"{base}.dbscan")
    groups, simple = report.section(f"{base}.group_rectangle"), report.section(f"{base}.simple_cluster")
    every = ClassCard()
    if nms.given:
        found |= {"clustering": "nms", "confidence": nms.number("confidence_threshold", 0.0, least=0)}
        found["iou"] = nms.number("iou_threshold", 0.0, least=0, most=1)
        every = ClassCard(top_k=nms.integer("topk", 0, least=0) or None)
    elif dbscan.given:
        found |= {"clustering": "dbscan", "confidence": dbscan.number("pre_threshold", 0.0, least=0)}
        every = ClassCard(
            eps=dbscan.number("eps", 0.0, least=0),
            min_boxes=dbscan.integer("min_boxes", 0, least=0),
            min_score=dbscan.number("min_score", 0.0, least=0),
        )
    elif groups.given:
        found |= {"clustering": "groups", "confidence": groups.number("confidence_threshold", 0.0, least=0)}
        every = ClassCard(
            group_size=groups.integer("group_threshold", 0, least=0), eps=groups.number("eps", 0.0, least=0)
        )
    else:
        found |= {"clustering": "none", "confidence": simple.number("threshold", 0.0, least=0)}
    singles: dict[int, ClassCard] = {}
    for match, entry in report.sections(rf"{base}\.per_class_params{_AGAIN}"):
        number = entry.integer("key", 0, least=0)
        least = report.section(f"{match[0]}.value").number("pre_threshold", 0.0, least=0)
        singles[number] = ClassCard(confidence=max(least, found["confidence"]))
    return found | {"every_class": every, "by_class": singles}


def _filters(report: Report, card: ModelCard) -> dict[str, Any]:
    """`output_control.detect_control`: sizes, bands and colours of every class and of single ones."""
    base = "output_control.detect_control"
    control = report.section(base)
    drop = control.integers("filter_out_class_ids", None)
    every = _filter(report, f"{base}.default_filter").over(card.every_class)
    singles = dict(card.by_class)
    for match, entry in report.sections(rf"{base}\.specific_class_filters{_AGAIN}"):
        number = entry.integer("key", 0, least=0)
        singles[number] = _filter(report, f"{match[0]}.value").over(singles.get(number, ClassCard()))
    return {"drop": None if drop is None else list(drop), "every_class": every, "by_class": singles}


def _filter(report: Report, name: str) -> ClassCard:
    section, box = report.section(name), report.section(f"{name}.bbox_filter")
    return ClassCard(
        min_width=box.integer("min_width", None, least=0),
        min_height=box.integer("min_height", None, least=0),
        max_width=box.integer("max_width", None, least=0),
        max_height=box.integer("max_height", None, least=0),
        top_offset=section.integer("roi_top_offset", None, least=0),
        bottom_offset=section.integer("roi_bottom_offset", None, least=0),
        border=_shade(report, f"{name}.border_color"),
        fill=_shade(report, f"{name}.bg_color"),
    )


def _shade(report: Report, name: str) -> Shade | None:
    section = report.section(name)
    shade = tuple(section.number(letter, 0.0, least=0, most=1) for letter in "rgba")
    section.ignore(DRAWN, *"rgba")
    return (shade[0], shade[1], shade[2], shade[3]) if section.given else None


def _rest(report: Report) -> None:
    """What is understood and has no effect here."""
    report.section("infer_config").ignore("the setting `device` says where a model runs", "gpu_ids")
    report.section("infer_config").ignore(
        "boxes are cut at the edge of the frame, not at a region", "clip_object_outside_roi"
    )
    backend = report.section("infer_config.backend")
    backend.ignore(_MEMORY, "output_mem_type")
    backend.ignore("a runtime makes itself ready when it is opened", "disable_warmup")
    for name in ("triton", "trt_is"):
        repository = rf"infer_config\.backend\.{name}\.model_repo"
        section = report.section(repository.replace("\\", ""))
        section.ignore(_SERVER, "log_level", "strict_model_config", "tf_gpu_memory_fraction", "min_compute_capacity")
        section.ignore(_SERVER, "tf_disable_soft_placement", "backend_dir", "model_control_mode")
        section.ignore(_SERVER, "pinned_memory_pool_byte_size")
        report.ignore(_SERVER, rf"{repository}\.(cuda_device_memory|backend_configs){_AGAIN}")
        report.ignore("classes come from postprocess", rf"infer_config\.backend\.{name}\.class_params{_AGAIN}")
    why = "compiled functions are not loaded; those that are known by name are built in"
    report.section("infer_config.custom_lib").ignore(why, "path")
    extra = report.section("infer_config.extra")
    extra.ignore(_MEMORY, "copy_input_to_host_buffers", "output_buffer_pool_size")
    extra.ignore(why + "; your Python gets the tensors (kind: raw)", "custom_process_funcion")
    for _, section in report.sections(r"infer_config\.lstm.*"):
        section.reject("", "a network that is fed its own outputs is not run here")
