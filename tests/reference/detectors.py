"""The published steps of each detector, written out plainly: slow, obvious, and independent of millrace.

Every function takes a BGR picture (h, w, 3) uint8 and gives rows (x1, y1, x2, y2, score, class) in source pixels.
Steps: MANIFEST.md of the test data, "Exact pre- and post-processing".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

ort.set_default_logger_severity(4)
Row = tuple[float, float, float, float, float, int]


class Reference:
    """One model and its steps: `Reference("yolox_nano_416.onnx", session_path)(picture)`."""

    def __init__(self, path: Path, confidence: float = 0.35, threads: int = 2) -> None:
        steps = STEPS.get(path.stem)
        if steps is None:
            raise ValueError(f"no reference steps for {path.name}; there are: {', '.join(STEPS)}")
        self.steps: Callable[..., list[Row]] = steps
        self.confidence = confidence
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        self.session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, picture: np.ndarray) -> list[Row]:
        return self.steps(self.session, picture, self.confidence)


def frames(path: Path, every: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every Nth picture of a video's best video track as BGR, each made from YUV in two plain ways.

    First as PyAV (swscale) makes "bgr24": quick and about a level too dark. Then by the equations of ITU-R BT.601
    or BT.709 with bilinear chroma. Boxes that differ between the two are the model's own trembling.
    """
    import av
    import av.error

    with av.open(str(path)) as container:
        track, index = container.streams.best("video"), 0
        track.codec_context.thread_count = 1  # slices decoded side by side hide damage in another way
        for packet in container.demux(track):
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:  # nothing can be made of this one
                continue
            for frame in decoded:
                if index % every == 0:
                    upright = frame.rotation // 90 % 4  # quarters counterclockwise, as the file asks for
                    both = frame.to_ndarray(format="bgr24"), by_equations(frame)
                    yield tuple(np.ascontiguousarray(np.rot90(picture, upright)) for picture in both)
                index += 1


def by_equations(frame: object) -> np.ndarray:
    """BGR uint8 of a frame, rounded once."""
    full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
    kr, kb = (0.2126, 0.0722) if frame.colorspace == 1 else (0.299, 0.114)
    if not frame.format.name.endswith("420p"):
        frame = frame.reformat(format="yuv420p")
    shapes = [(plane.height, plane.width) for plane in frame.planes]
    planes = [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:h, :w].astype(np.float32)
        for plane, (h, w) in zip(frame.planes, shapes, strict=True)
    ]
    size = (frame.width, frame.height)
    luma = planes[0] if full else (planes[0] - 16) * (255 / 219)
    u, v = ((cv2.resize(plane, size) - 128) * (1 if full else 255 / 224) for plane in planes[1:])
    red, blue = luma + 2 * (1 - kr) * v, luma + 2 * (1 - kb) * u
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.rint(np.stack([blue, green, red], axis=-1)), 0, 255).astype(np.uint8)


def overlap(a: Row, b: Row) -> float:
    """Intersection over union."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def suppress(rows: list[Row], threshold: float) -> list[Row]:
    """Greedy, per class."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda r: -r[4]):
        if all(row[5] != other[5] or overlap(row, other) <= threshold for other in kept):
            kept.append(row)
    return kept


def clipped(rows: list[Row], picture: np.ndarray) -> list[Row]:
    height, width = picture.shape[:2]
    out = []
    for x1, y1, x2, y2, score, kind in rows:
        x1, x2 = min(max(x1, 0), width), min(max(x2, 0), width)
        y1, y2 = min(max(y1, 0), height), min(max(y2, 0), height)
        if x2 > x1 and y2 > y1:
            out.append((x1, y1, x2, y2, score, kind))
    return out


def chw(picture: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """[1, 3, h, w] float32."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None].astype(np.float32) * np.float32(scale))


def letterbox(
    picture: np.ndarray, width: int, height: int, centred: bool, grey: int = 114
) -> tuple[np.ndarray, float, int, int]:
    """The picture at its aspect on grey; the ratio and the offsets."""
    ratio = min(width / picture.shape[1], height / picture.shape[0])
    inner_w, inner_h = round(picture.shape[1] * ratio), round(picture.shape[0] * ratio)
    left, top = ((width - inner_w) // 2, (height - inner_h) // 2) if centred else (0, 0)
    canvas = np.full((height, width, 3), grey, np.uint8)
    canvas[top : top + inner_h, left : left + inner_w] = cv2.resize(picture, (inner_w, inner_h))
    return canvas, ratio, left, top


def yolox(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    height, width = session.get_inputs()[0].shape[2:]
    canvas, ratio, _, _ = letterbox(picture, width, height, centred=False)
    (output,) = session.run(None, {"images": chw(canvas)})
    rows: list[Row] = []
    cell = 0
    for stride in (8, 16, 32):
        for gy in range(height // stride):
            for gx in range(width // stride):
                o = output[0, cell]
                cell += 1
                if o[4] < confidence:  # classes are at most 1: no need to look for the best
                    continue
                kind = int(np.argmax(o[5:]))
                score = float(o[4] * o[5 + kind])
                if score < confidence:
                    continue
                cx, cy = (o[0] + gx) * stride, (o[1] + gy) * stride
                w, h = math.exp(o[2]) * stride, math.exp(o[3]) * stride
                corners = [float(v) / ratio for v in (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)]
                rows.append((*corners, score, kind))
    return clipped(suppress(rows, 0.45), picture)


def deimv2(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    tensor = chw(cv2.cvtColor(cv2.resize(picture, (320, 320)), cv2.COLOR_BGR2RGB), 1 / 255)
    size = np.array([[picture.shape[1], picture.shape[0]]], np.int64)
    feed = {"images": tensor, "orig_target_sizes": size}
    labels, boxes, scores = session.run(["labels", "boxes", "scores"], feed)
    rows = []
    for label, corners, score in zip(labels[0], boxes[0], scores[0], strict=True):
        if score >= confidence:
            rows.append((*map(float, corners), float(score), int(label)))
    return clipped(rows, picture)


def ssd(
    session: ort.InferenceSession,
    tensor: np.ndarray,
    picture: np.ndarray,
    confidence: float,
    nothing: int,
    iou: float,
) -> list[Row]:
    boxes, scores = session.run(["boxes", "scores"], {session.get_inputs()[0].name: tensor})
    height, width = picture.shape[:2]
    rows: list[Row] = []
    for (x1, y1, x2, y2), values in zip(boxes[0], scores[0], strict=True):
        score, kind = max((float(v), i) for i, v in enumerate(values) if i != nothing)
        if score >= confidence:
            rows.append((x1 * width, y1 * height, x2 * width, y2 * height, score, kind))
    return clipped(suppress(rows, iou), picture)


def omz_2000(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    tensor = chw(cv2.resize(picture, (256, 256)))
    return ssd(session, tensor, picture, confidence, nothing=3, iou=0.45)


def face_retail(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    tensor = chw(cv2.resize(picture, (300, 300)))
    return ssd(session, tensor, picture, confidence, nothing=0, iou=0.45)


def ultraface(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    small = cv2.cvtColor(cv2.resize(picture, (320, 240)), cv2.COLOR_BGR2RGB)
    tensor = (chw(small) - 127) / 128
    return ssd(session, tensor, picture, confidence, nothing=0, iou=0.4)


def omz_2002_nms(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    (output,) = session.run(["dets"], {"image": chw(cv2.resize(picture, (512, 512)))})
    height, width = picture.shape[:2]
    rows: list[Row] = []
    for x1, y1, x2, y2, score, kind in output.tolist():
        if score >= confidence:
            rows.append((x1 * width, y1 * height, x2 * width, y2 * height, score, int(kind)))
    return clipped(rows, picture)


def yolov8(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    canvas, ratio, left, top = letterbox(picture, 640, 640, centred=True)
    (output,) = session.run(None, {"images": chw(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB), 1 / 255)})
    rows: list[Row] = []
    for column in output[0].T:
        kind = int(np.argmax(column[4:]))
        score = float(column[4 + kind])
        if score >= confidence:
            rows.append((*_centred(column, 1, ratio, left, top), score, kind))
    return clipped(suppress(rows, 0.45), picture)


def yolov5(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    canvas, ratio, left, top = letterbox(picture, 640, 640, centred=True)
    tensor = cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB)[None].astype(np.float32) / 255
    (output,) = session.run(None, {session.get_inputs()[0].name: tensor})
    rows: list[Row] = []
    for row in output[0]:
        if row[4] < confidence:
            continue
        kind = int(np.argmax(row[5:]))
        score = float(row[4] * row[5 + kind])
        if score >= confidence:
            rows.append((*_centred(row, 640, ratio, left, top), score, kind))
    return clipped(suppress(rows, 0.45), picture)


def _centred(row: np.ndarray, size: int, ratio: float, left: int, top: int) -> tuple[float, float, float, float]:
    cx, cy, w, h = (float(v) * size for v in row[:4])
    x1, y1, x2, y2 = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    return (x1 - left) / ratio, (y1 - top) / ratio, (x2 - left) / ratio, (y2 - top) / ratio


def detectnet(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    canvas, ratio, _, _ = letterbox(picture, 640, 384, centred=False, grey=0)
    tensor = chw(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB), 0.0039215697906911373)
    coverage, boxes = session.run(["output_cov/Sigmoid", "output_bbox/BiasAdd"], {"input_1": tensor})
    rows: list[Row] = []
    for kind in range(3):
        for y in range(24):
            for x in range(40):
                score = float(coverage[0, kind, y, x])
                if score < confidence:
                    continue
                b = boxes[0, 4 * kind : 4 * kind + 4, y, x]
                gx, gy = (x * 16 + 0.5) / 35, (y * 16 + 0.5) / 35
                corners = ((b[0] - gx) * -35, (b[1] - gy) * -35, (b[2] + gx) * 35, (b[3] + gy) * 35)
                rows.append((*(float(v) / ratio for v in corners), score, kind))
    return clipped(suppress(rows, 0.5), picture)


def nanodet(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    canvas, ratio, left, top = letterbox(picture, 416, 416, centred=True, grey=0)
    values = (canvas.astype(np.float32) - (103.53, 116.28, 123.675)) / (57.375, 57.12, 58.395)
    rows: list[Row] = []
    strides = (8, 16, 32)
    names = [f"{name}_pred_stride_{stride}" for stride in strides for name in ("cls", "dis")]
    outputs = session.run(names, {"input.1": chw(values)})
    for stride, scores, bins in zip(strides, outputs[::2], outputs[1::2], strict=True):
        for cell in range(scores.shape[1]):
            kind = int(np.argmax(scores[0, cell]))
            score = float(scores[0, cell, kind])
            if score < confidence:
                continue
            sides = []
            for side in range(4):
                powers = [math.exp(v) for v in bins[0, cell, side * 8 : side * 8 + 8]]
                sides.append(sum(n * p for n, p in enumerate(powers)) / sum(powers) * stride)
            cx = cell % (416 // stride) * stride + 0.5 * (stride - 1)
            cy = cell // (416 // stride) * stride + 0.5 * (stride - 1)
            x1, y1, x2, y2 = cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3]
            box = ((x1 - left) / ratio, (y1 - top) / ratio, (x2 - left) / ratio, (y2 - top) / ratio)
            rows.append((*box, score, kind))
    return clipped(suppress(rows, 0.6), picture)


def fastestdet(session: ort.InferenceSession, picture: np.ndarray, confidence: float) -> list[Row]:
    small = cv2.resize(picture, (352, 352), interpolation=cv2.INTER_AREA)
    (output,) = session.run(["758"], {"input.1": chw(small, 1 / 255)})
    height, width = picture.shape[:2]
    rows: list[Row] = []
    for gy in range(22):
        for gx in range(22):
            o = output[0, :, gy, gx]
            kind = int(np.argmax(o[5:]))
            score = float(o[0] ** 0.6 * o[5 + kind] ** 0.4)
            if score < confidence:
                continue
            cx, cy = (gx + math.tanh(o[1])) / 22 * width, (gy + math.tanh(o[2])) / 22 * height
            w, h = width / (1 + math.exp(-o[3])), height / (1 + math.exp(-o[4]))
            rows.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, score, kind))
    return clipped(suppress(rows, 0.45), picture)


STEPS: dict[str, Callable[..., list[Row]]] = {
    "yolox_nano_416": yolox,
    "yolox_nano_384x640_dynbatch": yolox,
    "deimv2_atto_coco_320": deimv2,
    "omz_person_vehicle_bike_2000_256": omz_2000,
    "omz_person_vehicle_bike_2002_512_nms": omz_2002_nms,
    "detectnet_v2_style_yoloxnano_384x640": detectnet,
    "nanodet_m_416": nanodet,
    "FastestDet": fastestdet,
    "yolov8n_int8": yolov8,
    "yolov5n_nhwc_from_tflite": yolov5,
    "omz_face_detection_retail_0004_300": face_retail,
    "ultraface_rfb_320": ultraface,
}
