"""Precision and recall of an ONNX detector on unseen scenes: `python -m training.evaluate street.onnx`.

The pictures are judged as they are after JPEG; `--video` sends them through H.264 first (needs PyAV).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from millrace.testing.scene import Scene, write_clip
from millrace.testing.score import score
from millrace.testing.traffic import LABELS as NAMES
from millrace.testing.truth import Truth, TruthObject

from .data import letterbox

CASES: tuple[dict[str, Any], ...] = (
    {},
    {"dusk": True},
    {"crowd": 20},
    {"dusk": True, "crowd": 15},
    {"view": "oblique"},
    {"view": "along"},
)


def detect(
    session: Any, picture: np.ndarray, confidence: float, iou: float = 0.45
) -> list[tuple[np.ndarray, int, float]]:
    """(box in source pixels, class, confidence), after NMS per class."""
    _, _, height, width = (d if isinstance(d, int) else 0 for d in session.get_inputs()[0].shape)
    boxed, ratio, left, top = letterbox(picture, width, height)
    x = boxed.transpose(2, 0, 1)[None].astype(np.float32) / 255
    out = session.run(None, {"images": x})[0][0]
    scores, classes = out[4:].max(0), out[4:].argmax(0)
    keep = scores >= confidence
    centre, size = out[:2, keep].T, out[2:4, keep].T
    boxes, scores, classes = np.concatenate([centre - size / 2, centre + size / 2], 1), scores[keep], classes[keep]
    if not len(boxes):
        return []
    h, w = picture.shape[:2]
    moved = boxes + classes[:, None] * 4096.0
    rects = np.concatenate([moved[:, :2], moved[:, 2:] - moved[:, :2]], 1)
    chosen = np.asarray(cv2.dnn.NMSBoxes(rects.tolist(), scores.tolist(), confidence, iou)).reshape(-1)
    boxes = np.clip((boxes - (left, top, left, top)) / ratio, 0, (w, h, w, h))
    return [
        {
            "box": boxes[k].tolist(),
            "label": NAMES[classes[k]],
            "class_id": int(classes[k]),
            "confidence": float(scores[k]),
        }
        for k in chosen
    ]


def pictures(scene: Scene, count: int, video: bool) -> Any:
    """(picture, objects) of `count` moments of a scene, as a viewer of the compressed stream has them."""
    if video:
        import av

        with tempfile.TemporaryDirectory() as folder:
            truth = write_clip(f"{folder}/scene.mp4", scene)
            with av.open(f"{folder}/scene.mp4") as container:
                for index, frame in enumerate(container.decode(video=0)):
                    if index % (scene.frame_count // count) == 0:
                        yield frame.to_ndarray(format="rgb24"), truth.frames[index]
        return
    for index in np.linspace(0, scene.frame_count - 1, count).astype(int):
        picture, objects = scene.frame(int(index))
        yield (
            cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_UNCHANGED),
            objects,
        )


def evaluate(
    path: str | Path, scenes: int, frames: int, confidence: float = 0.3, video: bool = False, first: int = 100
) -> dict[str, Any]:
    """Figures over `scenes` scenes of each case, seeds from `first` on, by the rule of millrace.testing.score."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    figures: dict[str, Any] = {}
    for case in CASES:
        records: list[dict[str, Any]] = []
        truth: list[list[TruthObject]] = []
        for seed in range(first, first + scenes):
            scene = Scene(seed, frame_count=250, **case)
            for picture, objects in pictures(scene, frames, video):
                found = detect(session, picture, confidence)
                size = {"width": scene.width, "height": scene.height}
                records.append({"stream": "", "frame": len(truth), "pts": 0, **size, "objects": found})
                truth.append(objects)
        judged = score(records, Truth(scene.width, scene.height, scene.fps, NAMES, ((0, 0), (1, 0)), (), truth))
        figures[" ".join(f"{k}={v}" for k, v in case.items()) or "default"] = {
            "precision": round(judged.precision, 3),
            "recall": round(judged.recall, 3),
            "by_class": {name: [round(p, 3), round(r, 3)] for name, (p, r) in judged.by_class.items()},
            "objects": judged.right + judged.missed,
        }
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--confidence", type=float, default=0.3)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--video", action="store_true")
    asked = parser.parse_args()
    result = evaluate(asked.model, asked.scenes, asked.frames, asked.confidence, asked.video, asked.first)
    for name, row in result.items():
        print(f"{name:24s} {json.dumps(row)}")
