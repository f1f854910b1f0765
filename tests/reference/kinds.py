"""The published steps of models that are no plain detectors, written out: slow, obvious, and independent of millrace.

Every function takes a session and a BGR picture (h, w, 3) uint8, whole or the crop of an object. Steps: MANIFEST.md of
the test data, "Exact pre- and post-processing"; those of PP-OCR's text detector are its DBPostProcess.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from detectors import Row, chw, clipped, letterbox, overlap, suppress

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PROVINCES = "皖京渝闽甘粤桂贵琼冀黑豫港鄂湘蒙苏赣吉辽澳宁青陕鲁沪晋川津藏新云浙警"
COLOURS = ("white", "gray", "yellow", "red", "green", "blue", "black")
TYPES = ("car", "van", "truck", "bus")
ATTRIBUTES = (
    "is_male", "has_bag", "has_backpack", "has_hat", "has_longsleeves", "has_longpants", "has_longhair", "has_coat"
)  # fmt: skip


def plate_letters() -> list[str]:
    """0-9, provinces, and letters from class 44 on."""
    names = [str(n) for n in range(10)] + list(PROVINCES)
    names += [f"<{n}>" for n in range(len(names), 44)]
    return names + [chr(ord("A") + n) for n in range(26)]


def crop(picture: np.ndarray, box: Any) -> np.ndarray:
    """The pixels of a box x1 y1 x2 y2: its edges at the nearest borders between pixels."""
    height, width = picture.shape[:2]
    x1, y1 = (round(min(max(float(v), 0), n - 1)) for v, n in ((box[0], width), (box[1], height)))
    x2, y2 = (round(min(max(float(v), 0), n)) for v, n in ((box[2], width), (box[3], height)))
    return picture[y1 : max(y1 + 1, y2), x1 : max(x1 + 1, x2)]


def rgb(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def vehicle_attributes(session: Any, picture: np.ndarray) -> dict[str, list[float]]:
    small = cv2.resize(picture, (72, 72))
    colour, kind = session.run(["color", "type"], {"image": chw(small)})
    return {"color": colour.ravel().tolist(), "type": kind.ravel().tolist()}


def person_attributes(session: Any, picture: np.ndarray) -> tuple[list[float], list[tuple[float, float]]]:
    """The eight probabilities, and two points in pixels of the crop."""
    small = cv2.resize(picture, (80, 160))
    scores, *points = session.run(["453", "456", "459"], {"image": chw(small)})
    height, width = picture.shape[:2]
    return scores.ravel().tolist(), [(float(p.ravel()[0]) * width, float(p.ravel()[1]) * height) for p in points]


def osnet(session: Any, picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(rgb(picture), (128, 256)).astype(np.float32) / 255
    (vector,) = session.run(None, {"input": chw((small - np.float32(MEAN)) / np.float32(STD))})
    return vector[0] / np.linalg.norm(vector[0])


def person_reid(session: Any, picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(picture, (128, 256))[None].astype(np.float32)
    (vector,) = session.run(None, {"inputs:0": small})
    return vector[0] / np.linalg.norm(vector[0])


def deeplab(session: Any, picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(rgb(picture), (257, 257))[None].astype(np.float32) / 127.5 - 1
    (scores,) = session.run(None, {"sub_7": small})
    return scores[0].argmax(axis=2)


def road(session: Any, picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(picture, (896, 512))[None].astype(np.float32)
    (scores,) = session.run(None, {"data": small})
    return scores[0].argmax(axis=2)


def instances(session: Any, picture: np.ndarray, confidence: float) -> list[tuple[Any, np.ndarray]]:
    """(x1, y1, x2, y2, score, class) and the mask (h, w) of each."""
    height, width = picture.shape[:2]
    canvas, ratio, left, top = letterbox(picture, 640, 640, centred=True)
    head, protos = session.run(["output0", "output1"], {"images_rgb": chw(rgb(canvas), 1 / 255)})
    rows = []
    for column in head[0].T:
        kind = int(np.argmax(column[4:84]))
        if column[4 + kind] >= confidence:
            cx, cy, w, h = (float(v) for v in column[:4])
            rows.append((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, float(column[4 + kind]), kind, column[84:]))
    kept: list[Any] = []
    for row in sorted(rows, key=lambda r: -r[4]):
        if all(row[5] != other[5] or overlap(row[:6], other[:6]) <= 0.45 for other in kept):
            kept.append(row)
    found = []
    inner_w, inner_h = round(width * ratio), round(height * ratio)
    for row in kept:
        likely = 1 / (1 + np.exp(-(row[6] @ protos[0].reshape(32, -1)).reshape(160, 160)))
        large = cv2.resize(likely, (640, 640))[top : top + inner_h, left : left + inner_w]
        mask = cv2.resize(large, (width, height)) > 0.5
        box = [(row[0] - left) / ratio, (row[1] - top) / ratio, (row[2] - left) / ratio, (row[3] - top) / ratio]
        box = [min(max(v, 0), n) for v, n in zip(box, (width, height, width, height), strict=True)]
        inside = np.zeros_like(mask)
        inside[round(box[1]) : round(box[3]), round(box[0]) : round(box[2])] = True
        found.append(((*box, row[4], row[5]), mask & inside))
    return found


def movenet(session: Any, picture: np.ndarray) -> np.ndarray:
    """[17, 3]: x, y in pixels of the picture, confidence."""
    canvas, ratio, left, top = letterbox(picture, 192, 192, centred=True, grey=0)
    (points,) = session.run(None, {"serving_default_input:0": rgb(canvas)[None]})
    y, x, sure = points[0, 0].T
    return np.stack([(x * 192 - left) / ratio, (y * 192 - top) / ratio, sure], axis=1)


def plate(session: Any, picture: np.ndarray) -> str:
    small = cv2.resize(picture, (94, 24))
    (logits,) = session.run(None, {"image": chw(small)})
    letters, text, before = plate_letters(), "", None
    for best in logits[0].argmax(axis=1).tolist():
        if best != before and best != 70:
            text += letters[best]
        before = best
    return text


def text_boxes(session: Any, picture: np.ndarray, width: int, height: int) -> list[tuple[np.ndarray, float]]:
    """Corners [4, 2] in pixels of the picture, and score, of each line of text."""
    small = cv2.resize(picture, (width, height)).astype(np.float32) / 255
    (likely,) = session.run(None, {"x": chw((small - np.float32(MEAN)) / np.float32(STD))})
    likely = likely[0, 0]
    contours, _ = cv2.findContours((likely > 0.3).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array([picture.shape[1] / width, picture.shape[0] / height])
    found = []
    for contour in contours:
        (cx, cy), (w, h), angle = cv2.minAreaRect(contour)
        if min(w, h) < 3:
            continue
        mask = np.zeros_like(likely, np.uint8)
        cv2.fillPoly(mask, [cv2.boxPoints(((cx, cy), (w, h), angle)).astype(np.int32)], 1)
        score = float(likely[mask > 0].mean())
        if score < 0.6:
            continue
        out = w * h * 1.5 / (2 * (w + h))
        corners = cv2.boxPoints(((cx + 0.5, cy + 0.5), (w + 2 * out, h + 2 * out), angle))
        found.append((corners * scale, score))
    return found


def text_line(session: Any, picture: np.ndarray, letters: list[str]) -> tuple[str, float]:
    """PP-OCR's recogniser: 32 pixels high, at its aspect, at most 640 wide; the rest is the grey that becomes 0."""
    ratio = min(640 / picture.shape[1], 32 / picture.shape[0])
    inner = max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio))
    canvas = np.full((32, 640, 3), 127, np.uint8)
    canvas[: inner[1], : inner[0]] = cv2.resize(picture, inner)
    (scores,) = session.run(None, {"x": chw((canvas.astype(np.float32) / 255 - 0.5) / 0.5)})
    text, sure, before = "", [], 0
    for row in scores[0]:
        best = int(row.argmax())
        if best not in (0, before):
            text += [*letters, " "][best - 1]
            sure.append(float(row[best]))
        before = best
    return text, float(np.mean(sure)) if sure else 0.0


def text_direction(session: Any, picture: np.ndarray) -> list[float]:
    ratio = min(192 / picture.shape[1], 48 / picture.shape[0])
    inner = max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio))
    canvas = np.full((48, 192, 3), 127, np.uint8)
    canvas[: inner[1], : inner[0]] = cv2.resize(picture, inner)
    (scores,) = session.run(None, {"x": chw((canvas.astype(np.float32) / 255 - 0.5) / 0.5)})
    return scores[0].tolist()


def turned(box: Any, angle: float) -> np.ndarray:
    """The corners of a box turned about its centre by radians, clockwise as seen."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return cv2.boxPoints((((x1 + x2) / 2, (y1 + y2) / 2), (x2 - x1, y2 - y1), math.degrees(angle)))


def polygon_overlap(a: np.ndarray, b: np.ndarray) -> float:
    both, _ = cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))
    areas = cv2.contourArea(a.astype(np.float32)) + cv2.contourArea(b.astype(np.float32))
    return both / (areas - both) if areas > both else 0.0


def rows_of_seven(rows: np.ndarray, picture: np.ndarray, confidence: float) -> list[Row]:
    """DetectionOutput of SSD: picture, class, score, x1 y1 x2 y2 in fractions; -1 ends the list."""
    height, width = picture.shape[:2]
    found: list[Row] = []
    for image, kind, score, x1, y1, x2, y2 in rows.reshape(-1, 7).tolist():
        if image < 0:
            break
        if score >= confidence:
            found.append((x1 * width, y1 * height, x2 * width, y2 * height, score, int(kind)))
    return clipped(found, picture)


def omz_2002(session: Any, picture: np.ndarray, confidence: float) -> list[Row]:
    (rows,) = session.run(["detection_out"], {"image": chw(cv2.resize(picture, (512, 512)))})
    return rows_of_seven(rows, picture, confidence)


def face_0044(session: Any, picture: np.ndarray, confidence: float) -> list[Row]:
    (rows,) = session.run(["detection_out"], {"data": chw(cv2.resize(picture, (300, 300)))})
    return rows_of_seven(rows, picture, confidence)


def wechat(session: Any, picture: np.ndarray, confidence: float) -> list[Row]:
    grey = cv2.cvtColor(cv2.resize(picture, (384, 384)), cv2.COLOR_BGR2GRAY)
    feed = grey[None, None].astype(np.float32) / np.float32(255)
    (rows,) = session.run(["detection_output"], {"data": feed})
    return rows_of_seven(rows, picture, confidence)


def ultraface_caffe(session: Any, picture: np.ndarray, confidence: float) -> list[Row]:
    small = (cv2.resize(rgb(picture), (320, 240)).astype(np.float32) - 127) / 128
    offsets, scores = session.run(["boxes", "scores"], {"input": chw(small)})
    height, width = picture.shape[:2]
    rows: list[Row] = []
    anchor = 0
    for stride, sizes in ((8, (10, 16, 24)), (16, (32, 48)), (32, (64, 96)), (64, (128, 192, 256))):
        rows_of, columns = math.ceil(240 / stride), math.ceil(320 / stride)
        for gy in range(rows_of):
            for gx in range(columns):
                for size in sizes:
                    dx, dy, dw, dh = offsets[0, anchor].tolist()
                    score = float(scores[0, anchor, 1])
                    anchor += 1
                    if score < confidence:
                        continue
                    wide, high = min(size / 320, 1), min(size / 240, 1)
                    cx = dx * 0.1 * wide + (gx + 0.5) / columns
                    cy = dy * 0.1 * high + (gy + 0.5) / rows_of
                    w, h = math.exp(dw * 0.2) * wide, math.exp(dh * 0.2) * high
                    corners = (cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height
                    rows.append((*corners, score, 1))
    return clipped(suppress(rows, 0.4), picture)
