"""Small Caffe nets made in code: prototxt and caffemodel written by hand, a case for every layer."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """A net of one or two layers: `layers` is its prototxt without the input."""

    name: str
    shape: tuple[int, ...]
    layers: str
    blobs: dict[str, list[tuple[int, ...]]] = {}
    low: float = -2.0  # of the input's numbers


def layer(kind: str, parameters: str = "", bottom: str = "data", top: str = "out", name: str = "one") -> str:
    bottoms = " ".join(f'bottom: "{b}"' for b in bottom.split(","))
    tops = " ".join(f'top: "{t}"' for t in top.split(","))
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} {tops} {parameters} }}\n'


def conv(text: str) -> str:
    return f"convolution_param {{ {text} }}"


def pool(text: str) -> str:
    return f"pooling_param {{ {text} }}"


FOUR = (1, 4, 9, 7)
CASES = [
    Case("conv", FOUR, layer("Convolution", conv("num_output: 6 kernel_size: 3 stride: 2 pad: 1")), {"one": [(6, 4, 3, 3), (6,)]}),
    Case("conv_uneven", FOUR, layer("Convolution", conv("num_output: 4 kernel_h: 3 kernel_w: 1 pad_h: 1 pad_w: 0 stride_h: 1 stride_w: 2 bias_term: false")), {"one": [(4, 4, 3, 1)]}),
    Case("conv_dilated_group", FOUR, layer("Convolution", conv("num_output: 4 kernel_size: 3 dilation: 2 pad: 2 group: 2")), {"one": [(4, 2, 3, 3), (4,)]}),
    Case("depthwise", FOUR, layer("ConvolutionDepthwise", conv("num_output: 4 kernel_size: 3 pad: 1")), {"one": [(4, 1, 3, 3), (4,)]}),
    Case("deconv", FOUR, layer("Deconvolution", conv("num_output: 5 kernel_size: 4 stride: 2 pad: 1")), {"one": [(4, 5, 4, 4), (5,)]}),
    Case("deconv_group", FOUR, layer("Deconvolution", conv("num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 4 bias_term: false")), {"one": [(4, 1, 4, 4)]}),
    Case("max_pool_up", FOUR, layer("Pooling", pool("pool: MAX kernel_size: 2 stride: 2"))),
    Case("max_pool_pad", FOUR, layer("Pooling", pool("pool: MAX kernel_size: 3 stride: 2 pad: 1"))),
    Case("ave_pool_up", FOUR, layer("Pooling", pool("pool: AVE kernel_size: 2 stride: 2"))),
    Case("ave_pool_pad", FOUR, layer("Pooling", pool("pool: AVE kernel_size: 3 stride: 2 pad: 1"))),
    Case("pool_global", FOUR, layer("Pooling", pool("pool: AVE global_pooling: true"))),
    Case("pool_wide", (1, 2, 10, 10), layer("Pooling", pool("pool: MAX kernel_size: 3 stride: 3 pad: 1"))),
    Case("inner_product", FOUR, layer("InnerProduct", "inner_product_param { num_output: 5 }"), {"one": [(5, 4 * 9 * 7), (5,)]}),
    Case("batch_norm_scale", FOUR, layer("BatchNorm", top="data") + layer("Scale", "scale_param { bias_term: true }", top="data", name="two"), {"one": [(4,), (4,), (1,)], "two": [(4,), (4,)]}),
    Case("scale_two", FOUR, layer("Pooling", pool("pool: AVE global_pooling: true"), top="gate") + layer("Flatten", bottom="gate", top="flat", name="two") + layer("Scale", "scale_param { axis: 0 }", "data,flat", name="three")),
    Case("bias", FOUR, layer("Bias"), {"one": [(4,)]}),
    Case("prelu", FOUR, layer("PReLU"), {"one": [(4,)]}),
    Case("relu_slope", FOUR, layer("ReLU", "relu_param { negative_slope: 0.1 }")),
    Case("elu", FOUR, layer("ELU", "elu_param { alpha: 1.0 }")),
    Case("relu6", FOUR, layer("ReLU6"), low=-9.0),
    Case("sigmoid", FOUR, layer("Sigmoid")),
    Case("tanh", FOUR, layer("TanH")),
    Case("abs", FOUR, layer("AbsVal")),
    Case("bnll", FOUR, layer("BNLL")),
    Case("power", FOUR, layer("Power", "power_param { power: 2.0 scale: 0.5 shift: 0.25 }")),
    Case("exp", FOUR, layer("Exp", "exp_param { base: 2.0 scale: 0.5 shift: 0.25 }")),
    Case("log", FOUR, layer("Log", "log_param { base: 10.0 scale: 2.0 shift: 0.5 }"), low=0.1),
    Case("swish", FOUR, layer("Swish", "swish_param { beta: 1.5 }")),
    Case("threshold", FOUR, layer("Threshold", "threshold_param { threshold: 0.5 }")),
    Case("clip", FOUR, layer("Clip", "clip_param { min: -0.5 max: 0.5 }")),
    Case("lrn", (1, 8, 5, 5), layer("LRN", "lrn_param { local_size: 5 alpha: 0.5 beta: 0.75 k: 2 }")),
    Case("lrn_plain", (1, 8, 5, 5), layer("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 }")),
    Case("log_plain", FOUR, layer("Log"), low=0.1),
    Case("swish_plain", FOUR, layer("Swish")),
    Case("lrn_within", FOUR, layer("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 norm_region: WITHIN_CHANNEL }")),
    Case("softmax", FOUR, layer("Softmax")),
    Case("softmax_axis", FOUR, layer("Softmax", "softmax_param { axis: 2 }")),
    Case("normalize", FOUR, layer("Normalize", "norm_param { across_spatial: false channel_shared: false }"), {"one": [(4,)]}),
    Case("normalize_all", FOUR, layer("Normalize", "norm_param { across_spatial: true channel_shared: true }"), {"one": [(1,)]}),
    Case("eltwise_sum", FOUR, layer("Sigmoid", top="a", name="a") + layer("Eltwise", "eltwise_param { operation: SUM coeff: 0.5 coeff: -2 }", "data,a")),
    Case("eltwise_prod", FOUR, layer("Sigmoid", top="a", name="a") + layer("Eltwise", "eltwise_param { operation: PROD }", "data,a")),
    Case("eltwise_max", FOUR, layer("Sigmoid", top="a", name="a") + layer("Eltwise", "eltwise_param { operation: MAX }", "data,a")),
    Case("concat", FOUR, layer("Sigmoid", top="a", name="a") + layer("Concat", "concat_param { axis: 2 }", "data,a")),
    Case("slice", FOUR, layer("Slice", "slice_param { axis: 1 slice_point: 1 }", top="a,b") + layer("Sigmoid", bottom="b", top="out", name="two")),
    Case("permute_flatten", FOUR, layer("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }", top="a") + layer("Flatten", bottom="a", name="two")),
    Case("flatten_middle", FOUR, layer("Flatten", "flatten_param { axis: 2 end_axis: 3 }")),
    Case("reshape", FOUR, layer("Reshape", "reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 7 } }")),
    Case("reshape_axis", FOUR, layer("Reshape", "reshape_param { axis: 2 num_axes: 2 shape { dim: -1 } }")),
    Case("crop", FOUR, layer("Pooling", pool("pool: MAX kernel_size: 2 stride: 2"), top="small", name="p") + layer("Crop", "crop_param { axis: 2 offset: 1 offset: 2 }", "data,small")),
    Case("tile", FOUR, layer("Tile", "tile_param { axis: 1 tiles: 3 }")),
    Case("reduction", FOUR, layer("Reduction", "reduction_param { operation: ASUM axis: 2 coeff: 0.5 }")),
    Case("shuffle", FOUR, layer("ShuffleChannel", "shuffle_channel_param { group: 2 }")),
    Case("split_dropout", FOUR, layer("Split", top="a,b") + layer("Dropout", bottom="a", top="a", name="d") + layer("Eltwise", "", "a,b", name="s")),
]  # fmt: skip


def detector(code: str = "CENTER_SIZE", shared: bool = True, keep: int = 12, flip: bool = True) -> Case:
    """A whole SSD head of three classes on one map; its weights are random, its boxes many and overlapping."""
    places = 4 if flip else 3
    prior = f"prior_box_param {{ min_size: 12 max_size: 20 aspect_ratio: 2 flip: {str(flip).lower()} clip: true variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }}"
    order = "permute_param { order: 0 order: 2 order: 3 order: 1 }"
    offsets = places * 4 * (1 if shared else 3)
    text = (
        layer("Convolution", conv(f"num_output: {offsets} kernel_size: 1"), top="loc", name="loc")
        + layer("Permute", order, "loc", "loc_p", "loc_p") + layer("Flatten", "", "loc_p", "loc_f", "loc_f")
        + layer("Convolution", conv(f"num_output: {places * 3} kernel_size: 1"), top="conf", name="conf")
        + layer("Permute", order, "conf", "conf_p", "conf_p") + layer("Flatten", "", "conf_p", "conf_f", "conf_f")
        + layer("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }", "conf_f", "conf_r", "conf_r")
        + layer("Softmax", "softmax_param { axis: 2 }", "conf_r", "conf_s", "conf_s")
        + layer("Flatten", "", "conf_s", "conf_o", "conf_o")
        + layer("PriorBox", prior, "loc,data", "priors", "priors")
        + layer("DetectionOutput", f"detection_output_param {{ num_classes: 3 share_location: {str(shared).lower()} background_label_id: 0 nms_param {{ nms_threshold: 0.45 top_k: 40 }} code_type: {code} keep_top_k: {keep} confidence_threshold: 0.4 }}", "loc_f,conf_o,priors", "found", "found")
    )  # fmt: skip
    blobs = {"loc": [(offsets, 4, 1, 1), (offsets,)], "conf": [(places * 3, 4, 1, 1), (places * 3,)]}
    return Case(f"ssd_{code}_{shared}", (1, 4, 12, 16), text, blobs)


def write(case: Case, folder: Path, old: bool = False) -> Path:
    """The two files of a case; returns the caffemodel's path. `old`: blobs as files of before 2015 write them."""
    rng = np.random.default_rng(len(case.name))
    dims = " ".join(f"dim: {d}" for d in case.shape)
    text = f'name: "{case.name}"\nlayer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}\n'
    path = folder / f"{case.name}.caffemodel"
    path.with_suffix(".prototxt").write_text(text + case.layers)
    body = b""
    for name, shapes in case.blobs.items():
        spread = 0.1 if name == "loc" else 0.7  # corners that stay in their order
        arrays = [rng.normal(0, spread, shape).astype(np.float32) for shape in shapes]
        if "batch_norm" in case.name and name == "one":
            arrays = [arrays[0], np.abs(arrays[1]) + 0.5, np.array([2.0], np.float32)]
        inside = tag(1, name.encode()) + b"".join(tag(7, blob(array, old)) for array in arrays)
        body += tag(100, inside)
    path.write_bytes(tag(1, case.name.encode()) + body)
    return path


def varint(number: int) -> bytes:
    out = b""
    while True:
        number, low = number >> 7, number & 0x7F
        out += bytes([low | (0x80 if number else 0)])
        if not number:
            return out


def tag(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array: np.ndarray, old: bool) -> bytes:
    data = tag(5, struct.pack(f"<{array.size}f", *array.ravel().tolist()))
    if old:
        four = [1] * (4 - array.ndim) + list(array.shape)
        return b"".join(varint(n << 3) + varint(d) for n, d in enumerate(four, 1)) + data
    return tag(7, tag(1, b"".join(varint(d) for d in array.shape))) + data
