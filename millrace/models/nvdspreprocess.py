"""The configuration file of nvdspreprocess (INI or YAML): regions and sequences that become a model's input.

Keys and what they mean: gst-nvdspreprocess/nvdspreprocess_property_parser.cpp of DeepStream 9.1, and the libraries
nvdspreprocess_lib and custom_sequence_preprocess that its files name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

from ..deepstream import KeyFile, Report, Section, read
from ..media.tensor import Colour, Fit
from .card import InputCard, ObjectsCard, Shade
from .nvinfer import COLOURS, antialias
from .preprocess_card import PreprocessCard, Rectangle, RegionCard, SequenceCard

_REQUIRED = (
    "processing-width", "processing-height", "network-input-order", "network-input-shape", "network-color-format",
    "tensor-data-type", "tensor-name", "scaling-filter", "scaling-pool-memory-type", "custom-lib-path",
    "custom-tensor-preparation-function",
)  # fmt: skip
_TYPES: dict[int, Literal["float32", "uint8", "int8", "float16"] | None] = {
    0: "float32", 1: "uint8", 2: "int8", 3: None, 4: None, 5: None, 6: None, 7: "float16",
}  # fmt: skip
_IGNORED: Mapping[str, str] = {
    "gpu-id": "the setting `device` says where pictures are prepared",
    "scaling-pool-memory-type": "memory is taken where the picture is",
    "scaling-pool-compute-hw": "pictures are scaled where they are",
    "scaling-buf-pool-size": "memory is taken as it is needed",
    "tensor-buf-pool-size": "memory is taken as it is needed",
    "custom-lib-path": "compiled functions are not loaded; the two of DeepStream's own are built in",
}
_ORDERS = {0: "NCHW", 1: "NHWC", 2: "custom"}
_SIZES = ("input-object-min-width", "input-object-min-height", "input-object-max-width", "input-object-max-height")
_SEQUENCE = "CustomSequenceTensorPreparation"
_STOCK = ("CustomTensorPreparation", _SEQUENCE)


def read_nvdspreprocess(path: str | os.PathLike[str]) -> tuple[PreprocessCard, Report]:
    """What a file asks for, and what became of its keys. Raises ConfigError with file and line."""
    return nvdspreprocess_card(read(path))


def nvdspreprocess_card(file: KeyFile) -> tuple[PreprocessCard, Report]:
    """The same of a file that was read already."""
    report = Report(file)
    section, user = report.section("property"), report.section("user-configs")
    section.need(*_REQUIRED)
    frames = section.boolean("process-on-frame", True)
    stage = section.integer("operate-on-gie-id", -1)
    if frames:
        section.ignore("whole frames are prepared (process-on-frame)", "operate-on-gie-id")
    shape = section.integers("network-input-shape", ())
    if shape and (len(shape) < 2 or min(shape) < 1):
        section.reject("network-input-shape", "is not a shape: whole numbers above 0, the batch first")
    function = section.text("custom-tensor-preparation-function", "")
    if function and function not in _STOCK:
        section.ignore(f"{function} is compiled; `function` takes your Python", "custom-tensor-preparation-function")
    card = PreprocessCard(
        id=section.integer("unique-id", 15, least=0),
        enabled=section.boolean("enable", True),
        targets=section.integers("target-unique-ids", ()),
        input=_input(section, user),
        shape=shape,
        sequence=_sequence(section, user, shape) if function == _SEQUENCE else None,
        regions=tuple(
            _region(group, frames, stage if stage >= 0 else None) for _, group in report.sections(r"group-\d+")
        ),
        function=function,
        extras=_extras(user),
        source=file.path,
    )
    for key, why in _IGNORED.items():
        section.ignore(why, key)
    report.finish()
    return card, report


def _extras(user: Section) -> dict[str, str]:
    """The keys of [user-configs] that DeepStream's own libraries do not know: they are for another one."""
    names = [key for _, key in user.keys(".*") if key not in user.taken]
    found = {key: user.text(key, "") for key in names}
    user.ignore("is for a compiled library; your Python function finds it in `extras`", *names)
    return found


def _input(section: Section, user: Section) -> InputCard:
    """y = factor * (pixel - mean), with the keys of either library."""
    colour: Colour = section.choice("network-color-format", "RGB", COLOURS)
    channels = 1 if colour == "GRAY" else 3
    factors = user.numbers("channel-scale-factors", None) or user.numbers("pixel-normalization-factor", None) or (1.0,)
    factors = factors * channels if len(factors) == 1 else factors
    means = user.numbers("channel-mean-offsets", None) or user.numbers("offsets", None) or (0.0,) * channels
    mean_file = user.path("mean-file", None)
    if len(factors) != channels or 0 in factors:
        key = "channel-scale-factors" if "channel-scale-factors" in user else "pixel-normalization-factor"
        user.reject(key, f"is not one number, or one for each of {channels} channels, none of them 0")
        factors = (1.0,) * channels
    if len(means) != channels:
        key = "channel-mean-offsets" if "channel-mean-offsets" in user else "offsets"
        user.reject(key, f"is not one number for each of {channels} channels")
    if mean_file is not None:
        user.ignore("mean-file counts", "offsets")
        means = (0.0,) * channels
    fit: Fit = "stretch"
    symmetric = section.boolean("symmetric-padding", False)
    if section.boolean("maintain-aspect-ratio", False):
        fit = "letterbox" if symmetric else "letterbox-top-left"
    elif symmetric:
        section.ignore("without maintain-aspect-ratio nothing is padded", "symmetric-padding")
    layout = section.choice("network-input-order", "NCHW", _ORDERS)
    dtype: Literal["float32", "uint8", "int8", "float16"] | None = section.choice("tensor-data-type", "float32", _TYPES)
    if dtype is None:
        section.reject("tensor-data-type", "DeepStream's library makes FP32 (0) and FP16 (7); UINT8 (1) is made too")
    return InputCard(
        name=section.text("tensor-name", None),
        width=section.integer("processing-width", None, least=1),
        height=section.integer("processing-height", None, least=1),
        colour=colour,
        layout="NHWC" if layout == "NHWC" else "NCHW",
        dtype=dtype,
        fit=fit,
        pad=0,
        antialias=antialias(section, "scaling-filter"),
        scale=1.0,
        mean=tuple(means),
        std=tuple(1 / factor for factor in factors),
        mean_file=None if mean_file is None else os.fspath(mean_file),
    )


def _sequence(section: Section, user: Section, shape: tuple[int, ...]) -> SequenceCard | None:
    """[N, C, length, h, w], or [N, C * length, h, w]."""
    if len(shape) not in (4, 5) or (len(shape) == 4 and shape[1] % 3):
        section.reject("network-input-shape", "is neither N;C;frames;h;w nor N;3 * frames;h;w")
        return None
    return SequenceCard(
        length=shape[2] if len(shape) == 5 else shape[1] // 3,
        stride=user.integer("stride", 1, least=1),
        skip=user.integer("subsample", 0, least=0),
        in_depth=len(shape) == 5,
    )


def _region(group: Section, frames: bool, stage: int | None) -> RegionCard:
    streams = group.integers("src-ids", None)
    if not streams:
        group.reject("src-ids", "is missing")
    only = group.boolean("process-on-roi", False)
    every_object = group.boolean("process-on-all-objects", False)
    if frames:
        group.need("process-on-roi")
        group.ignore("whole frames are prepared (process-on-frame)", "process-on-all-objects")
    else:
        group.need("process-on-all-objects")
        group.ignore("objects are prepared (process-on-frame=0)", "process-on-roi")
        only = not every_object
    rois = {int(match[1]): _rectangles(group, key) for match, key in group.keys(r"roi-params-src-(\d+)")}
    if only and not rois:
        group.reject("roi-params-src-0", "is missing: no region is given for any stream")
    if not only:
        group.ignore("all of the frame is taken", *(key for _, key in group.keys(r"roi-params-src-\d+")))
    group.ignore("pictures are scaled by the element itself", "custom-input-transformation-function")
    return RegionCard(
        streams=None if not streams or streams[0] == -1 else streams,
        rois=rois if only else None,
        objects=_objects(group, stage, frames),
        every=group.integer("interval", 0, least=0) + 1,
        draw=group.boolean("draw-roi", True),
        colour=_colour(group, (0.0, 1.0, 0.0, 1.0) if frames else (0.0, 1.0, 1.0, 1.0)),
    )


def _objects(group: Section, stage: int | None, frames: bool) -> ObjectsCard | None:
    classes = group.integers("operate-on-class-ids", None)
    low_w, low_h, high_w, high_h = (group.integer(key, 0, least=0) for key in _SIZES)
    if frames:
        group.ignore("whole frames are prepared (process-on-frame)", "operate-on-class-ids", *_SIZES)
        return None
    return ObjectsCard(
        stage=stage,
        classes=None if classes is None else list(classes),
        min_width=low_w,
        min_height=low_h,
        max_width=high_w or None,
        max_height=high_h or None,
    )


def _rectangles(group: Section, key: str) -> list[Rectangle]:
    numbers = group.numbers(key, ())
    if not numbers or len(numbers) % 4:
        group.reject(key, "is not left;top;width;height for each region")
        return []
    found: list[Rectangle] = [
        (numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]) for at in range(0, len(numbers), 4)
    ]
    if any(width <= 0 or height <= 0 or left < 0 or top < 0 for left, top, width, height in found):
        group.reject(key, "has a region without area, or one that begins outside the frame")
    return found


def _colour(group: Section, default: Shade) -> Shade:
    values: Any = group.numbers("roi-color", default)
    if len(values) != 4 or not all(0 <= value <= 1 for value in values):
        group.reject("roi-color", "is not four numbers of 0..1: red;green;blue;alpha")
        return default
    return (values[0], values[1], values[2], values[3])
