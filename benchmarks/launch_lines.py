"""Which launch lines run here: every line of a file is parsed, built and run with models and clips of ours.

    python benchmarks/launch_lines.py LINES DATA [--frames 20] [--only NUMBER] [--page]

LINES holds a line of gst-launch in each line, DATA clips and models. What a line names and what is not there is
substituted (MILLRACE_SUBSTITUTIONS): streams by a clip of the codec that the line expects, models by a detector, a
classifier or a segmenter, other files by ones of our own. Each line is run in a folder of its own, to its end after so
many frames of each stream; windows are invisible. It ran when every stream gave frames, nothing failed, and every file
that it shall write is there and not empty. Prints a table in Markdown; --page only what docs/launch-lines.md counts.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

import av
import numpy as np
import yaml

from millrace.config.build import build
from millrace.config.launch import load_launch
from millrace.config.launch.grammar import parse
from millrace.config.plan import Line, Plan, Step, Tee
from millrace.core.errors import MillraceError
from millrace.deepstream import paths
from millrace.summary import Run

CLIPS = {  # codec that a line expects → a clip
    "h264": "videos/pedestrians_626x360_vfr.mp4", "hevc": "videos/derived/car_hevc.mp4",
"mjpeg": "videos/derived/car_mjpeg_640x360.avi",
    "raw": "videos/derived/car_bframes_longgop.h264", "jpg": "images/people_frisbee_coco.jpg",
    "png": "golden/one_f300.png", "fisheye": "videos/derived/car_fisheye_equidistant_720.mp4",
}  # fmt: skip
DETECTOR = """[property]
onnx-file={data}/models/detect/detectnet_v2_style_yoloxnano_384x640.onnx
net-scale-factor=0.00392156862745098
model-color-format=0
maintain-aspect-ratio=1
network-type={type}
output-tensor-meta={tensors}
cluster-mode=2
num-detected-classes=3
gie-unique-id=1
[class-attrs-all]
pre-cluster-threshold=0.3
nms-iou-threshold=0.5
"""
CLASSIFIER = """[property]
onnx-file={data}/models/classify/omz_vehicle_attributes_0039_72.onnx
network-type={type}
output-tensor-meta={tensors}
process-mode=2
classifier-threshold=0.1
gie-unique-id=20
"""
SEGMENTER = """[property]
onnx-file={data}/models/segment/deeplabv3_mnv2_voc_257_nhwc.onnx
net-scale-factor=0.00784313725490196
offsets=127.5;127.5;127.5
network-input-order=1
network-type={type}
output-tensor-meta={tensors}
num-detected-classes=21
segmentation-threshold=0.0
gie-unique-id=1
"""
PREPARED = """[property]
target-unique-ids={ids}
network-input-order=0
network-input-shape={shape}
processing-width={width}
processing-height={height}
process-on-frame={frames}
maintain-aspect-ratio=1
network-color-format=0
tensor-data-type=0
tensor-name={name}
scaling-filter=1
scaling-pool-memory-type=0
custom-lib-path=lib.so
custom-tensor-preparation-function=CustomTensorPreparation
[user-configs]
pixel-normalization-factor=0.00392156862745098
[group-0]
src-ids=0;1;2;3
"""
REGIONS = "process-on-roi=1\n" + "".join(f"roi-params-src-{n}=0;0;960;1080;960;0;960;1080\n" for n in range(4))
TRACKER = "BaseConfig: {minDetectorConfidence: 0.1}\nTargetManagement: {probationAge: 2, maxShadowTrackingAge: 20}\n"
READ = {
    "detector": "property: {network-type: 0, num-detected-classes: 3, gie-unique-id: 1, cluster-mode: 2}\n"
    "class-attrs-all: {pre-cluster-threshold: 0.3, nms-iou-threshold: 0.5}\n",
    "classifier": "property: {network-type: 1, process-mode: 2, gie-unique-id: 20, classifier-threshold: 0.1}\n",
    "segmentation": "property: {network-type: 2, num-detected-classes: 21, gie-unique-id: 1}\n",
}
DEWARPER = """[property]
output-width=480
output-height=360
[surface0]
projection-type=4
width=480
height=360
src-fov=180
focal-length=0
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("lines", type=Path)
    options.add_argument("data", type=Path)
    options.add_argument("--frames", type=int, default=20)
    options.add_argument("--only", type=int, default=0)
    options.add_argument("--page", action="store_true", help="the sums only")
    given = options.parse_args()
    data = given.data.resolve()
    lines = [line for line in given.lines.read_text(encoding="utf-8").splitlines() if line.strip()]
    counts: Counter[str] = Counter()
    properties: Counter[str] = Counter()
    refused: list[str] = []
    if not given.page:
        print("| line | result | it begins |\n| ---: | --- | --- |")
    for number, line in enumerate(lines, 1):
        if given.only in (0, number):
            with tempfile.TemporaryDirectory() as folder:
                text, found = attempt(line, data, Path(folder), given.frames)
            counts.update(found)
            properties.update(text.properties)
            refused += [f"* line {number}: {text.said}"] if "ran" not in found else []
            if not given.page:
                begin = line.removeprefix("gst-launch-1.0 ")[:60].replace("|", "\\|")
                print(f"| {number} | {text.said} | `{begin}` |", flush=True)
    print("\n| lines | parsed | built | ran to their end |\n| ---: | ---: | ---: | ---: |")
    print(
        f"| {sum(given.only in (0, n) for n in range(1, len(lines) + 1))} | "
        + " | ".join(str(counts[key]) for key in ("parsed", "built", "ran"))
        + " |"
    )
    sums = ", ".join(f"{count} {status}" for status, count in properties.most_common())
    print(f"\n{sum(properties.values())} properties: {sums}.\n")
    print(*refused, sep="\n")


class Text:
    """What is said of a line, and what became of its properties."""

    def __init__(self, said: str, properties: Counter[Any] | None = None) -> None:
        self.said = said
        self.properties = properties or Counter()


def attempt(line: str, data: Path, folder: Path, frames: int) -> tuple[Text, list[str]]:
    """What came of the run, and which of parsed, built, ran it reached."""
    os.chdir(folder)
    reached: list[str] = []
    table: dict[str, str] = {}
    os.environ[paths.SUBSTITUTIONS] = str(folder / "subst.yaml")
    (folder / "subst.yaml").write_text("{}")
    try:
        parse(line)
        reached.append("parsed")
        found = load_launch(line)
        for _ in range(6):
            if not found.missing:
                break
            for each in found.missing:
                table[key_of(each.path)] = substitute(line, each.group, each.key, each.path, data, folder)
            (folder / "subst.yaml").write_text(yaml.safe_dump(table))
            paths._read.cache_clear()
            found = load_launch(line)
        if found.missing:
            return Text(f"missing: {found.missing[0]}"), reached
        build(found.plan)
        reached.append("built")
        said = run(found.plan, frames)
        if said.startswith("ran"):
            reached.append("ran")
        return Text(said, found.counts()), reached
    except (MillraceError, ValueError) as error:
        return Text(f"refused: {str(error).splitlines()[0]}"), reached


def key_of(path: str) -> str:
    return path if re.search(r"[<>]|://", path) else os.path.basename(path)


def substitute(line: str, element: str, key: str, path: str, data: Path, folder: Path) -> str:
    """A file that stands for what is missing."""
    name = os.path.basename(path)
    if key in ("uri", "location", "uri-list"):
        return stream(line, name, data, folder)
    text = None
    if element == "nvinfer":
        apart = "nvdspostprocess" in line
        kind = {"type": 100 if apart else 0, "tensors": int(apart), "data": data}
        text = DETECTOR.format(**kind)
        if "secondary" in name:
            text = CLASSIFIER.format(**{**kind, "type": 100 if apart else 1})
        elif "segmentation" in name:
            text = SEGMENTER.format(**{**kind, "type": 100 if apart else 2})
    elif element == "nvdspreprocess":
        if "sgie" in name:
            text = PREPARED.format(ids="3;4;5", shape="1;3;72;72", width=72, height=72, frames=0, name="image")
            text += "process-on-all-objects=1\n"
        else:
            text = PREPARED.format(ids="1;2", shape="8;3;384;640", width=640, height=384, frames=1, name="input_1")
            text += REGIONS
    elif element == "nvdspostprocess":
        text = next((text for word, text in READ.items() if word in name), READ["detector"])
    elif element == "nvtracker":
        text = TRACKER
    elif element == "nvdewarper":
        text = DEWARPER
    if text is None:
        raise ValueError(f"nothing stands for {element} {key}: {path}")
    own = folder / f"own-{name}"
    own.write_text(text)
    return str(own)


def stream(line: str, name: str, data: Path, folder: Path) -> str:
    """A clip of the codec that the line expects, in the container that it expects."""
    ending = os.path.splitext(name)[1]
    if ending in (".nv12", ".rgba", ".i420"):
        return raw_file(folder / f"own{ending}", line)
    if ending == ".jpg":
        return str(data / CLIPS["png" if "pngdec" in line else "jpg"])
    if ending in (".h264", ".264"):
        return str(data / CLIPS["raw"])
    if "mjpeg" in name:
        return remuxed(data / CLIPS["mjpeg"], folder / "mjpeg.mp4")
    if deep := re.search(r"(\d+)bit_(\w+?)_|FILESRC_(Y444_12LE)", name):
        return deep_clip(folder / "deep.mp4", "yuv444p12le" if deep[3] else DEPTHS[deep[1], deep[2]])
    if "h265" in name:
        return str(data / CLIPS["hevc"])
    if "nvdewarper" in line:
        return str(data / CLIPS["fisheye"])
    return str(data / CLIPS["h264"])


DEPTHS = {
    ("8", "yuv444p"): "yuv444p", ("10", "yuv444p"): "yuv444p10le", ("12", "yuv444p"): "yuv444p12le",
    ("12", "p016le"): "yuv420p12le",
}  # fmt: skip


def deep_clip(path: Path, format: str) -> str:
    """Moving bars in HEVC of a pixel format."""
    with av.open(str(path), "w") as out:
        track = out.add_stream("libx265", rate=25)
        track.width, track.height, track.pix_fmt = 640, 360, format
        track.options = {"preset": "ultrafast", "x265-params": "log-level=none"}
        for index in range(30):
            pixels = np.full((360, 640, 3), 60, np.uint8)
            pixels[:, index * 20 : index * 20 + 40] = (200, 60, 30)
            out.mux(track.encode(av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format=format)))
        out.mux(track.encode())
    return str(path)


def remuxed(path: Path, out: Path) -> str:
    """The same packets in an MP4."""
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        video = source.streams.video[0]
        track = target.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = track
                target.mux(packet)
    return str(out)


def raw_file(path: Path, line: str) -> str:
    """Grey pictures of the size and format that the line says."""
    width = int((re.search(r"width=(\d+)", line) or [0, 1280])[1])
    height = int((re.search(r"height=(\d+)", line) or [0, 720])[1])
    size = width * height * 4 if path.suffix == ".rgba" else width * height * 3 // 2
    path.write_bytes(b"".join(bytes([100 + number]) * size for number in range(8)))
    return str(path)


def run(plan: Plan, frames: int) -> str:
    """Run a plan to its end."""
    plan.line = [Step("limit", {"count": frames}), *plan.line]
    began = time.monotonic()
    summary = Run(plan).run()
    if summary.errors:
        return f"failed: {summary.errors[0].text}"
    idle = [stream.name for stream in plan.streams if not summary.streams[stream.name].frames_in]
    if idle:
        return f"no frames in {', '.join(idle)}"
    wrong = [path for path in outputs(plan.line) if not any(each.stat().st_size for each in Path().glob(path))]
    if wrong:
        return f"nothing was written to {', '.join(wrong)}"
    found = sum(stream.objects for stream in summary.streams.values())
    ends = ", ".join(ends_of(plan.line)) or "nothing is shown"
    return f"ran: {len(plan.streams)} streams, {found} objects; {ends}; {time.monotonic() - began:.1f} s"


def steps(line: Line) -> list[Step]:
    """All steps, those of branches too."""
    out: list[Step] = []
    for step in line:
        if isinstance(step, Tee):
            out += [each for branch in step.branches.values() for each in steps(branch)]
        elif isinstance(step, Step):
            out.append(step)
    return out


def ends_of(line: Line) -> list[str]:
    return [str(s.element) for s in steps(line) if s.element in ("file", "window", "rtsp", "publish", "images", "raw")]


def outputs(line: Line) -> list[str]:
    """What files there must be, as patterns."""
    found = [Path(s.settings["path"]) for s in steps(line) if s.element in ("file", "images", "raw")]
    return [str(path.with_name(f"{path.stem}*{path.suffix}")) for path in found]


if __name__ == "__main__":
    main()
