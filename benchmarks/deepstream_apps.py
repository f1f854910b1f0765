"""Which of DeepStream's application files run here: every file of a collection is run with models and clips of ours.

    python benchmarks/deepstream_apps.py CORPUS DATA [--frames 20] [--only WORD]

CORPUS holds configuration files and INDEX.csv, DATA clips and models. What a file names and what is not there is
substituted (MILLRACE_SUBSTITUTIONS): models by a detector or a classifier, streams by a clip, brokers by a file. Each
file is run to its end in a folder of its own, after so many frames of each stream; windows are invisible. It ran when
every stream gave all its frames, and every file that it shall write is there. Then its migrated form is run, and what
both found is compared. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import tempfile
from pathlib import Path

import yaml

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

from millrace.config import loads
from millrace.config.deepstream import App, load_app
from millrace.config.plan import Line, Plan, Step, Tee
from millrace.config.write import dumps
from millrace.core.errors import MillraceError
from millrace.deepstream import paths
from millrace.summary import Run

CLIP = "videos/pedestrians_626x360_vfr.mp4"
DETECTOR = """[property]
onnx-file={data}/models/detect/detectnet_v2_style_yoloxnano_384x640.onnx
net-scale-factor=0.00392156862745098
model-color-format=0
maintain-aspect-ratio=1
network-type=0
cluster-mode=2
num-detected-classes=3
gie-unique-id={number}
[class-attrs-all]
pre-cluster-threshold=0.3
nms-iou-threshold=0.5
"""
CLASSIFIER = """[property]
onnx-file={data}/models/classify/omz_vehicle_attributes_0039_72.onnx
network-type=1
process-mode=2
classifier-threshold=0.1
gie-unique-id={number}
"""
TRACKER = """BaseConfig: {minDetectorConfidence: 0.1}
TargetManagement: {probationAge: 2, maxShadowTrackingAge: 20}
DataAssociator: {minMatchingScore4Overall: 0.1}
"""
ANALYTICS = """[property]
enable=1
config-width=1920
config-height=1080
[line-crossing-stream-0]
line-crossing-door=900;900;900;1000;100;950;1800;950
"""
METAMUX = "[property]\nenable=1\nactive-pad=sink_0\n[group-0]\nsrc-ids-model-1=0;1\nsrc-ids-model-2=1;2\n"
MESSAGES = "[sensor0]\nenable=1\ntype=Camera\nid=one\n"
SOURCES = "enable,type,uri,num-sources,gpu-id,cudadec-memtype\n" + "1,3,file://{clip},1,0,0\n" * 4


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("corpus", type=Path)
    options.add_argument("data", type=Path)
    options.add_argument("--frames", type=int, default=20)
    options.add_argument("--only", default="")
    given = options.parse_args()
    corpus, data = given.corpus.resolve(), given.data.resolve()
    with open(corpus / "INDEX.csv", newline="", encoding="utf-8") as index:
        rows = [row["path"] for row in csv.DictReader(index) if row["category"] == "deepstream_app"]
    ran = same = 0
    print("| file | result |\n| --- | --- |")
    for path in rows:
        if given.only in path:
            with tempfile.TemporaryDirectory() as folder:
                text = attempt(corpus / path, data, Path(folder), given.frames)
            ran += text.startswith("ran")
            same += text.endswith("migrated: the same")
            print(f"| {path} | {text} |", flush=True)
    count = sum(given.only in path for path in rows)
    print(f"\n{ran} of {count} files ran to their end; {same} found the same when migrated.")


def attempt(path: Path, data: Path, folder: Path, frames: int) -> str:
    """What came of the run."""
    os.chdir(folder)
    table = {f"rtsp://foo.com/stream{number}.mp4": str(data / CLIP) for number in (1, 2)}  # what no machine answers to
    os.environ[paths.SUBSTITUTIONS] = str(folder / "subst.yaml")
    (folder / "subst.yaml").write_text(yaml.safe_dump(table))
    try:
        app = load_app(path)
        for _ in range(6):  # what is put in may name more
            if not app.missing:
                break
            for each in app.missing:
                table[key_of(each.path)] = substitute(each.group, each.key, each.path, data, folder)
            (folder / "subst.yaml").write_text(yaml.safe_dump(table))
            paths._read.cache_clear()
            app = load_app(path)
        if app.missing:
            return f"missing: {app.missing[0]}"
        return run(app, frames)
    except (MillraceError, ValueError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"


def key_of(path: str) -> str:
    return path if path.startswith("<") else os.path.basename(path)


def substitute(group: str, key: str, path: str, data: Path, folder: Path) -> str:
    """A file that stands for what is missing."""
    texts = {
        "ll-config-file": ("tracker.yml", TRACKER),
        "csv-file-path": ("sources.csv", SOURCES.format(clip=data / CLIP)),
    }
    if key == "cfg-file-path" and group.startswith("tracker"):
        (folder / "own.yml").write_text(TRACKER)
        (folder / "group.yml").write_text("tracker: {enable: 1, ll-config-file: own.yml}\n")
        return str(folder / "group.yml")
    digits = re.sub(r"\D", "", group)
    if key in texts:
        name, text = texts[key]
    elif "broker" in group or "broker" in key or key == "conn-str":
        return f"file://{folder}/messages.jsonl"
    elif "analytics" in group:
        name, text = "analytics.txt", ANALYTICS
    elif group == "meta-mux":
        name, text = "metamux.txt", METAMUX
    elif "msg-conv" in key or group == "msgconv":
        name, text = "messages.txt", MESSAGES
    elif group.startswith("primary-gie"):
        name, text = f"primary{digits}.txt", DETECTOR.format(data=data, number=int(digits or 0) + 1)
    elif key == "cfg-file-path":
        own = CLASSIFIER.format(data=data, number=int(digits or 0) + 20)
        (folder / f"own{digits}.txt").write_text(own)
        name = f"group{digits}.yml"
        text = f"secondary-gie0: {{enable: 1, operate-on-gie-id: {int(digits) + 1}, config-file: own{digits}.txt}}\n"
    elif group.startswith("secondary-gie"):
        name, text = f"secondary{digits}.txt", CLASSIFIER.format(data=data, number=int(digits or 0) + 20)
    elif group.startswith("source"):
        return str(data / CLIP)
    else:
        raise ValueError(f"nothing stands for [{group}] {key}: {path}")
    (folder / name).write_text(text)
    return str(folder / name)


def run(app: App, frames: int) -> str:
    """Run it and its migrated form to their end, and look at what they wrote."""
    if not app.plan.streams:
        return "it has no streams"
    ours = loads(dumps(app.plan))
    said = once(app.plan, frames, "theirs")
    if not said.startswith("ran"):
        return said
    other = once(ours, frames, "ours")
    if not other.startswith("ran"):
        return f"migrated: {other}"
    found = [sorted(path.read_bytes() for path in Path().glob(f"{name}*.jsonl")) for name in ("theirs", "ours")]
    return said + ("; migrated: the same" if found[0] and found[0] == found[1] else "; migrated: NOT the same")


def once(plan: Plan, frames: int, name: str) -> str:
    """Run a plan to its end, with a JSON file of what was found."""
    last = plan.line[-1:] if plan.line and isinstance(plan.line[-1], Tee) else []
    rest = plan.line[: len(plan.line) - len(last)]
    plan.line = [Step("limit", {"count": frames}), *rest, Step("json", {"path": f"{name}.jsonl"}), *last]
    summary = Run(plan).run()
    named = [stream.name for stream in plan.streams]
    if summary.errors:
        return f"failed: {summary.errors[0].text}"
    short = [stream for stream in named if summary.streams[stream].frames_out != frames]
    if short:
        return f"frames are missing in {', '.join(short)}"
    wrong = [path for path in outputs(plan.line) if not any(Path().glob(path))]
    if wrong:
        return f"nothing was written to {', '.join(wrong)}"
    found = sum(summary.streams[stream].objects for stream in named)
    return f"ran: {len(named)} streams, {found} objects; {', '.join(ends(plan.line)) or 'nothing is shown'}"


def ends(line: Line) -> list[str]:
    """The elements that lead out."""
    out = []
    for step in line:
        if isinstance(step, Tee):
            out += [each for branch in step.branches.values() for each in ends(branch)]
        elif isinstance(step, Step) and step.element in ("file", "window", "rtsp", "publish", "dump"):
            out.append(str(step.element))
    return out


def outputs(line: Line) -> list[str]:
    """What files there must be, as patterns."""
    out = []
    for step in line:
        if isinstance(step, Tee):
            out += [each for branch in step.branches.values() for each in outputs(branch)]
        elif isinstance(step, Step) and step.element == "file":
            path = Path(step.settings["path"])
            out.append(str(path.with_name(f"{path.stem}*{path.suffix}")))
    return out


if __name__ == "__main__":
    main()
