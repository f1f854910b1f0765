"""A plain function as an element: python examples/function_element.py street.mp4 [model]"""

import sys

import millrace
from millrace import Frame

video, model = [*sys.argv[1:], "street"][:2]


def only_large(frame: Frame) -> bool:
    """Forget small objects; drop frames without any (True keeps a frame, False drops it)."""
    frame.objects = [found for found in frame.objects if found.box[3] - found.box[1] > 20]
    return bool(frame.objects)


summary = millrace.open(video).infer(model).map(only_large).json("large.jsonl").run()
for stream in summary.streams.values():
    print(f"{stream.name}: {stream.frames_out} of {stream.frames_in} frames have large objects")
