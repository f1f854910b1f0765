"""Detect, track, draw and save: python examples/quickstart.py street.mp4 [model]"""

import sys

import millrace

video, model = [*sys.argv[1:], "street"][:2]
summary = millrace.open(video).infer(model).track().draw().save("out.mp4").json("out.jsonl").run()
print(f"{summary.frames} frames at {summary.fps:.0f} a second")
