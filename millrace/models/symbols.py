"""DeepStream's parsing functions, by the name that its files give them, and what reads the same tensors here.

The names and what each reads: nvdsinfer_customparser of DeepStream, post_processor of deepstream_tao_apps,
nvdsinfer_custom_impl_Yolo of DeepStream-Yolo and of yolo_deepstream.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DICTIONARY = "dict.txt"  # of characters; NvDsInferParseCustomNVPlate opens it in the current folder


@dataclass(frozen=True, slots=True)
class Symbol:
    """A parser of ours and the keys it needs to read what that function reads."""

    parser: str
    extras: Mapping[str, Any] = field(default_factory=dict)


_PIXELS = {"normalised": False}  # of the input; else boxes are fractions of it
_ROWS = {"transposed": True}  # a row for each box, as the exports of yolo_deepstream give them

SYMBOLS: Mapping[str, Symbol] = {
    # boxes: nvdsinfer_customparser
    "NvDsInferParseCustomResnet": Symbol("detectnet_v2"),
    "NvDsInferParseCustomTfSSD": Symbol("tf_ssd"),
    "NvDsInferParseCustomNMSTLT": Symbol("nms_tlt"),
    "NvDsInferParseCustomBatchedNMSTLT": Symbol("batched_nms_tlt", {"normalised": True}),
    "NvDsInferParseYoloV5CustomBatchedNMSTLT": Symbol("batched_nms_tlt", _PIXELS),
    "NvDsInferParseCustomBatchedYoloV5NMSTLT": Symbol("batched_nms_tlt", _PIXELS),
    "NvDsInferParseCustomEfficientDetTAO": Symbol("efficientdet_tao"),
    # boxes: post_processor of the TAO apps
    "NvDsInferParseCustomDDETRTAO": Symbol("ddetr_tao"),
    "NvDsInferParseCustomRTDETRTAO": Symbol("rtdetr_tao"),
    # boxes: the YOLO repositories
    "NvDsInferParseYolo": Symbol("end2end", _PIXELS),
    "NvDsInferParseYoloCuda": Symbol("end2end", _PIXELS),
    "NvDsInferParseCustomYoloOriginal": Symbol("yolov3"),
    "NvDsInferParseCustomYoloV4": Symbol("yolov4"),
    "NvDsInferParseCustomYoloV7": Symbol("yolov5"),
    "NvDsInferParseCustomYoloV7_cuda": Symbol("yolov5"),
    "NvDsInferParseCustomYoloV8": Symbol("yolov8", _ROWS),
    "NvDsInferParseCustomYoloV8_cuda": Symbol("yolov8", _ROWS),
    "NvDsInferParseCustomYoloV11": Symbol("yolov8", _ROWS),
    "NvDsInferParseCustomYoloV11_cuda": Symbol("yolov8", _ROWS),
    "NvDsInferParseYoloV11": Symbol("yolov8"),
    "NvDsInferParseCustomYoloV11OBB": Symbol("yolo_obb"),
    "NvDsInferParseYoloFace": Symbol("yolo_face"),
    "NvDsInferParseYoloPose": Symbol("yolo_pose"),
    "NvDsInferParseYoloSeg": Symbol("yolo_seg"),
    # masks
    "NvDsInferParseCustomMrcnnTLT": Symbol("mrcnn_tlt"),
    "NvDsInferParseCustomMrcnnTLTV2": Symbol("mrcnn_tlt"),
    "NvDsInferParseCustomMask2Former": Symbol("mask2former"),
    # a class for each pixel
    "NvDsInferParseCustomPeopleSemSegNet": Symbol("segmentation"),
    "NvDsInferParseCustomSegformerTAO": Symbol("segmentation"),
    "NvDsInferParseCustomSegformerTAO2": Symbol("segmentation"),
    "NvDsInferParseCustomChangeNet": Symbol("segmentation", {"output": "output_final"}),
    # labels and text
    "NvDsInferClassiferParseCustomSoftmax": Symbol("classifier", {"activation": "none"}),
    "NvDsInferClassifierParseCustomSoftmax": Symbol("classifier", {"activation": "none"}),
    "NvDsInferClassiferParseNonSoftmax": Symbol("classifier", {"activation": "softmax"}),
    "NvDsParseCustomPoseClassification": Symbol("classifier", {"activation": "softmax"}),
    "NvDsInferParseCustomNVPlate": Symbol("lprnet"),
}


def dictionary(parser: str | None, config: str) -> Path | None:
    """The characters of a plate reader, which its function has from a file of its own; None without one."""
    if parser != "lprnet":
        return None
    places = (Path(DICTIONARY), Path(config).parent / DICTIONARY)
    return next((place.absolute() for place in places if os.path.isfile(place)), None)
