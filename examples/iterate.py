"""Frames in a loop; leaving it stops the pipeline: python examples/iterate.py street.mp4 [model]"""

import sys

import millrace

video, model = [*sys.argv[1:], "street"][:2]
for frame in millrace.open(video).infer(model, confidence=0.4).track():
    for found in frame.objects:
        x1, y1, x2, y2 = (round(float(value)) for value in found.box)
        print(f"{frame.pts / 1e9:6.2f} s  {found.label} {found.id} at {x1},{y1} to {x2},{y2}")
    if frame.index == 10:
        break
