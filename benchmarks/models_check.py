"""Run every ONNX model of the test data in a pipeline on a real clip and compare it with its published steps.

    python benchmarks/models_check.py [--data DIR] [--only PART] [--pictures DIR] [--write docs/models.md]

The reference (tests/reference) is plain NumPy and OpenCV, on the very pixels that the pipeline had: once as BGR, so
that preprocessing starts from the same numbers, and once on the decoder's YUV, as pipelines run, where the reference
gets the picture that FFmpeg's swscale makes of it. `--pictures` writes the last frame of each, drawn.
The table goes to stdout, or between the two marks of a page.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import sys
import tempfile
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))
import av
import cases
import cv2
import numpy as np

from millrace.core import FRAMES, Caps, Context, StreamStart
from millrace.elements.draw import Draw
from millrace.elements.infer import Infer
from millrace.media import Frame, Image

BEGIN, END = "<!-- models_check: begin -->", "<!-- models_check: end -->"


def check(data: Path, case: cases.Case, pixels: str, pictures: Path | None) -> cases.Tally:
    tally, session = cases.Tally(), cases.session_of(data / "models" / case.model, slowly=True)
    last: Frame | None = None
    with tempfile.TemporaryDirectory() as folder, cases.flow(data, case, Path(folder), pixels) as running:
        for frame in islice(running, case.frames):
            bgr = frame.image.planes[0] if pixels == "BGR" else by_swscale(frame.image)
            case.compare(session, frame, bgr, tally)
            last = frame
    if pictures is not None and last is not None:
        cv2.imwrite(str(pictures / f"{case.name}.png"), drawn(last))
    return tally


def by_swscale(image: Image) -> Any:
    """I420 as FFmpeg's swscale makes it BGR: a grey level darker than the equations say, as most programs have it."""
    frame = av.VideoFrame(image.width, image.height, "yuv420p")
    for plane, values in zip(frame.planes, image.planes, strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        rows[: values.shape[0], : values.shape[1]] = values
    frame.colorspace, frame.color_range = (1 if image.matrix == "bt709" else 5), (2 if image.full_range else 1)
    return frame.to_ndarray(format="bgr24")


def drawn(frame: Frame) -> Any:
    draw = Draw(trails=0)
    draw.open(Context("draw"))
    draw.start_stream(StreamStart(frame.stream, Caps(FRAMES)))
    draw.process_frame(frame)
    return frame.image.to_rgb()[..., ::-1]


def plates(data: Path) -> str:
    """How many of the labelled plates are read right."""
    rows = list(csv.DictReader((data / "plates/plates.csv").open(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as folder:
        card = Path(folder) / "plate.yaml"
        model = data / "models/plates_ocr/omz_license_plate_recognition_barrier_0007.onnx"
        card.write_text(f"model: {model}\n{cases.PLATE}", encoding="utf-8")
        element = Infer(model=str(card))
        element.open(Context("infer"))
        right = characters = same = 0
        for n, row in enumerate(rows):
            pixels = cv2.imread(str(data / "plates/images" / row["file"]))
            assert pixels is not None, row["file"]
            frame = Frame("a", n, 0, Image("BGR", [pixels], pixels.shape[1], pixels.shape[0]))
            out = [*element.process(frame), *element.flush("a")][0]
            assert isinstance(out, Frame)
            text = out.readings[0].text or ""
            right += text == row["plate"]
            characters += max(len(text), len(row["plate"]))
            same += sum(a == b for a, b in zip(text, row["plate"], strict=False))
        element.close()
    return f"{right} of {len(rows)} plates exact ({right / len(rows):.1%}), {same / characters:.1%} of characters"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MILLRACE_TEST_DATA", ".")))
    parser.add_argument("--only", default="", help="models whose path holds this")
    parser.add_argument("--times", type=int, default=3, help="so many times the frames that the tests look at")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.pictures is not None:
        options.pictures.mkdir(parents=True, exist_ok=True)
    lines = ["| model | clip, frames | on BGR | on YUV |", "| --- | --- | --- | --- |"]
    short, good = kinds_short(), True
    codes = cases.qr_codes(Path(tempfile.mkdtemp()))
    for case in [*cases.cases(options.data), *cases.other_formats(options.data, codes)]:
        if options.only not in case.model:
            continue
        if case.clip.endswith((".mp4", ".264", "plates/images")):
            case = replace(case, frames=case.frames * options.times)
        bgr, yuv = (check(options.data, case, p, options.pictures if p == "I420" else None) for p in ("BGR", "I420"))
        good &= bool(bgr.wanted) and all(bgr.share(what) >= 0.99 for what in bgr.wanted)
        cells = [short(bgr), short(yuv)]
        shown = "QR codes made here" if Path(case.clip) == codes else Path(case.clip).name
        lines.append(f"| {case.model} | {shown}, {case.frames} | {cells[0]} | {cells[1]} |")
        print(lines[-1], flush=True)
    told = [*lines, "", f"Licence plates read by omz_license_plate_recognition_barrier_0007: {plates(options.data)}."]
    told += ["", f"{date.today()}, {platform.machine()}, `python benchmarks/models_check.py`."]
    if options.write is not None:
        page = options.write.read_text(encoding="utf-8")
        head, tail = page.partition(BEGIN)[0], page.partition(END)[2]
        options.write.write_text(f"{head}{BEGIN}\n" + "\n".join(told) + f"\n{END}{tail}", encoding="utf-8")
    print("\n".join(told[-3:]))
    return 0 if good else 1


def kinds_short() -> Any:
    units = {"box": "boxes", "score": "scores", "mask": "masks", "map": "maps", "points": "points", "vector": "vectors"}

    def cell(tally: cases.Tally) -> str:
        parts = []
        for what, count in tally.wanted.items():
            worst = f" ({tally.worst[what]:.2g})" if what in tally.worst else ""
            parts.append(f"{units.get(what, what + 's')} {tally.agreed[what]}/{count}{worst}")
        return "; ".join(parts)

    return cell


if __name__ == "__main__":
    sys.exit(main())
