"""A parser of your own: NumPy arrays in, boxes out. `millrace check MODEL` shows a model's outputs and their shapes."""

import sys

import numpy as np

import millrace


def parse(outputs, settings):
    """One picture's outputs, by name → rows x1 y1 x2 y2 score class, in pixels of the model's input."""
    columns = next(iter(outputs.values()))  # [4 + classes, cells]: cx cy w h, class scores
    best = columns[4:].max(axis=0)
    cell = int(best.argmax())  # the surest thing alone
    if best[cell] < settings.confidence:
        return None
    cx, cy, w, h = columns[:4, cell]
    return np.array([[cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2, best[cell], columns[4:, cell].argmax()]])


if __name__ == "__main__":
    clip = sys.argv[1] if len(sys.argv) > 1 else "street.mp4"
    for frame in millrace.open(clip).infer("street", parser=f"{__file__}:parse"):
        print(frame.index, [(found.label, round(found.confidence, 2)) for found in frame.objects])
