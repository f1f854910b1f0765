"""The Caffe converter against OpenCV 4, the last that reads Caffe: every layer, SSD heads, and real nets.

    python -m venv opencv4 && opencv4/bin/pip install 'opencv-python-headless<5' numpy
    python benchmarks/caffe_opencv4.py opencv4/bin/python [folder of caffemodels]

The networks are converted and run here on ONNX Runtime; OpenCV runs in its own environment on the same numbers. Prints
the largest difference of each, and what OpenCV does not read.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import onnxruntime as ort
from caffe_nets import CASES, detector, write

from millrace.converters import caffe

PEER = """
import sys, cv2, numpy as np
from pathlib import Path
for file in sorted(Path(sys.argv[1]).glob("*.npz")):
    data = np.load(file)
    try:
        net = cv2.dnn.readNetFromCaffe(str(data["prototxt"]), str(data["caffemodel"]))
        net.setInput(data["input"])
        names = [str(n) for n in data["names"]]
        found = net.forward(names) if len(names) > 1 else [net.forward()]
    except cv2.error as error:
        print(f"{file.stem:32} OpenCV {cv2.__version__} cannot: {' '.join(str(error).split())[-90:]}")
        continue
    for name, theirs in zip(names, found):
        ours = data["out_" + name]
        if theirs.shape[-1] == 7 and ours.ndim == 4 and ours.shape[1] == 1:  # detections: theirs end in empty rows
            theirs = theirs.reshape(-1, 7)
            theirs = theirs[theirs[:, 2] > 0]
            ours = ours.reshape(-1, 7)
            theirs, ours = (rows[np.lexsort((rows[:, 3], -rows[:, 2].round(5)))] for rows in (theirs, ours))
        theirs = theirs.reshape(ours.shape) if theirs.size == ours.size else theirs
        if theirs.shape != ours.shape:
            print(f"{file.stem:32} {name}: ours is {ours.shape}, OpenCV's {theirs.shape}")
            continue
        apart = np.abs(theirs - ours)
        print(f"{file.stem:32} {name:18} {str(ours.shape):20} largest difference {apart.max(initial=0):.2e}")
"""


def keep(path: Path, folder: Path, inputs: dict[str, np.ndarray] | None = None) -> None:
    """Convert a net, run it, and keep what went in and came out."""
    conversion = caffe.convert(path)
    session = ort.InferenceSession(conversion.model.SerializeToString(), providers=["CPUExecutionProvider"])
    (info,) = session.get_inputs()
    shape = [dim if isinstance(dim, int) else 1 for dim in info.shape]
    value = np.random.default_rng(7).uniform(0.1, 2.0, shape).astype(np.float32)
    if inputs:
        value = inputs[info.name]
    names = [out.name for out in session.get_outputs()]
    results = {f"out_{n}": v for n, v in zip(names, session.run(names, {info.name: value}), strict=True)}
    np.savez(
        folder / f"{path.stem}.npz", input=value, names=np.array(names), caffemodel=str(path),
        prototxt=str(path.with_suffix(".prototxt")), **results,
    )  # fmt: skip


def qr_code(size: int) -> np.ndarray:
    """A grey picture with a QR code in it, 0..1."""
    import cv2

    code = cv2.QRCodeEncoder.create().encode("millrace")
    picture = np.full((size, size), 180, np.uint8)
    picture[90:240, 120:270] = cv2.resize(code, (150, 150), interpolation=cv2.INTER_NEAREST)
    return picture.astype(np.float32)[None, None] / 255


def main() -> None:
    peer = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in [
            *CASES,
            *(detector(code, shared) for code in ("CENTER_SIZE", "CORNER") for shared in (True, False)),
        ]:
            keep(write(case, folder), folder)
        for path in sorted(Path(sys.argv[2]).glob("*.caffemodel")) if len(sys.argv) > 2 else ():
            keep(path, folder, {"data": qr_code(384)} if "wechat" in path.stem else None)
        subprocess.run([peer, "-c", PEER, str(folder)], check=True)


if __name__ == "__main__":
    main()
