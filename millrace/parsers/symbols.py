"""DeepStream's names of parser functions, as its configuration files write them, and the parsers that do their work.

The names are those of its own libraries, of the TAO applications, and of the YOLO samples
(marcoslucianops/DeepStream-Yolo and NVIDIA-AI-IOT/yolo_deepstream).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Symbol:
    """The parser that reads the same tensors, and what it has to know besides."""

    parser: str
    extras: Mapping[str, Any] = field(default_factory=dict)
    background: int | None = None


_FINAL = {"box_order": "yxyx"}
_ROWS = {"transposed": True}  # their exports give a row for each box

SYMBOLS: Mapping[str, Symbol] = {
    "NvDsInferParseCustomResnet": Symbol("detectnet_v2"),
    "NvDsInferParseCustomTfSSD": Symbol("ssd_final", {**_FINAL, "normalised": True}),
    "NvDsInferParseCustomNMSTLT": Symbol("nms_tao", {"normalised": True}),
    "NvDsInferParseCustomBatchedNMSTLT": Symbol("batched_nms", {"normalised": True}),
    "NvDsInferParseYoloV5CustomBatchedNMSTLT": Symbol("batched_nms", {"normalised": False}),
    "NvDsInferParseCustomBatchedYoloV5NMSTLT": Symbol("batched_nms", {"normalised": False}),
    "NvDsInferParseCustomEfficientDetTAO": Symbol("ssd_final", {**_FINAL, "normalised": False}),
    "NvDsInferParseCustomDDETRTAO": Symbol("detr_raw", {"activation": "sigmoid"}, background=0),
    "NvDsInferParseCustomRTDETRTAO": Symbol("detr_raw", {"activation": "sigmoid", "every_class": True}),
    "NvDsInferParseCustomMrcnnTLT": Symbol("mrcnn_tao", {"mask_logits": True}),
    "NvDsInferParseCustomMrcnnTLTV2": Symbol("mrcnn_tao", {"mask_logits": True}),
    "NvDsInferParseCustomMask2Former": Symbol("mask2former"),
    "NvDsInferParseCustomSegformerTAO": Symbol("segmentation"),
    "NvDsInferParseCustomSegformerTAO2": Symbol("segmentation"),
    "NvDsInferParseCustomChangeNet": Symbol("segmentation", {"output": "output_final"}),
    "NvDsInferParseCustomPeopleSemSegNet": Symbol("segmentation"),
    "NvDsInferParseCustomYoloV11OBB": Symbol("yolov8_obb"),
    "NvDsInferParseCustomYoloV4": Symbol("yolov4"),
    "NvDsInferParseCustomYoloV7": Symbol("yolov5"),
    "NvDsInferParseCustomYoloV7_cuda": Symbol("yolov5"),
    "NvDsInferParseCustomYoloV8": Symbol("yolov8", _ROWS),
    "NvDsInferParseCustomYoloV8_cuda": Symbol("yolov8", _ROWS),
    "NvDsInferParseCustomYoloV11": Symbol("yolov8", _ROWS),
    "NvDsInferParseCustomYoloV11_cuda": Symbol("yolov8", _ROWS),
    "NvDsInferParseYoloV11": Symbol("yolov8"),
    "NvDsInferParseYolo": Symbol("end2end", {"normalised": False}),
    "NvDsInferParseYoloCuda": Symbol("end2end", {"normalised": False}),
    "NvDsInferClassiferParseCustomSoftmax": Symbol("classifier", {"activation": "none"}),
    "NvDsInferClassifierParseCustomSoftmax": Symbol("classifier", {"activation": "none"}),
    "NvDsInferClassiferParseNonSoftmax": Symbol("classifier", {"activation": "softmax"}),
    "NvDsInferParseCustomNVPlate": Symbol("lprnet"),
}
