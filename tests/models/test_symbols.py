"""Every function of DeepStream that is known by name has a parser."""

from __future__ import annotations

from millrace import parsers
from millrace.models.symbols import SYMBOLS

COMING = {  # parsers that are not written yet
    "tf_ssd", "nms_tlt", "batched_nms_tlt", "efficientdet_tao", "ddetr_tao", "rtdetr_tao", "yolov3", "yolov4",
    "yolo_obb",
    "yolo_face", "yolo_pose", "yolo_seg", "mrcnn_tlt", "mask2former", "segmentation", "classifier", "lprnet",
}  # fmt: skip


def test_each_names_a_parser_that_there_is():
    for name, symbol in SYMBOLS.items():
        assert symbol.parser in parsers.names() or symbol.parser in COMING, f"{name}: {symbol.parser}"
