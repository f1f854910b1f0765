"""docs/compatibility.md: what becomes of every key of a collection of DeepStream's own configuration files.

    python benchmarks/compatibility.py FOLDER > docs/compatibility.md

FOLDER holds configuration files as they stand in NVIDIA's public repositories, and INDEX.csv with their `category` and
`path`. Kinds of files that `millrace check` cannot read yet are counted as such.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from millrace.cli.check_deepstream import CHECKS, REASONS
from millrace.core.errors import ConfigError
from millrace.deepstream import Finding
from millrace.deepstream.kinds import kind_of
from millrace.models.symbols import SYMBOLS

TITLES = {
    "deepstream-app": "deepstream-app: whole applications",
    "nvinfer": "nvinfer: a model that TensorRT runs",
    "nvinferserver": "nvinferserver: a model that Triton runs",
    "nvdspreprocess": "nvdspreprocess: regions and sequences",
    "nvdspostprocess": "nvdspostprocess: outputs read apart",
    "nvtracker": "nvtracker: tracking",
    "nvmsgconv": "nvmsgconv: sensors and places of messages",
    "nvdsanalytics": "nvdsanalytics: regions, crowds, lines and directions",
    "nvdewarper": "nvdewarper: views into what a wide lens shows",
    "nvstreammux": "nvstreammux (the new one): how frames are gathered",
    "nvdsmetamux": "nvdsmetamux: where branches of models meet",
    "tracker": "[tracker] in a file of its own, as sample applications have it",
}
REFUSED = {
    "config_infer_audio_sonyc.txt": "a model of sound (nvinferaudio): out of scope, sound is recorded and played only",
}
TOP = """# Compatibility with DeepStream's files

<!-- Made by `python benchmarks/compatibility.py FOLDER > docs/compatibility.md`. -->

A whole application runs as it is: `millrace run source4.txt`, `millrace app -c source4.txt -t` (docs/deepstream.md).
Where a file of one element can stand, it stands unchanged:

```yaml
- preprocess: {config: config_preprocess.txt}     # nvdspreprocess
- infer: {model: config_infer_primary.txt}        # nvinfer or nvinferserver
- postprocess: {stage: net, card: post.yml}       # nvdspostprocess
- track: {config: config_tracker_NvSORT.yml}      # nvtracker
- analyze: {config: config_nvdsanalytics.txt}     # nvdsanalytics
- dewarp: {config: config_dewarper.txt}           # nvdewarper
- batch: {config: config_new_nvstreammux.txt}     # nvstreammux with USE_NEW_NVSTREAMMUX=yes
- join: {config: config_metamux0.txt}             # nvdsmetamux
```

Paths in a file are relative to it. What lies below /opt/nvidia/deepstream/deepstream is looked for below the folder
that `MILLRACE_DEEPSTREAM_ROOT` names, and a YAML file that `MILLRACE_SUBSTITUTIONS` names says what to take instead of
single files (docs/deepstream.md). Of the models that an nvinfer file names, its ONNX is taken, else Caffe's pair,
else an ONNX beside the others (`net.onnx` beside `net.etlt` or `net.onnx_b1_gpu0_fp16.engine`), else TensorRT's engine.

Lines of gst-launch-1.0 run, too: docs/launch-lines.md has its elements and counts (of 156 lines 156 are parsed, 154
built and run to their end).

`millrace check FILE` says of each key what becomes of it here, and exits with 0, with 3 when only files that it names
are missing, with 2 when it is wrong. This page counts what `check` says of the configuration files in NVIDIA's public
repositories (DeepStream 9.1, deepstream_reference_apps, deepstream_tao_apps, deepstream_python_apps) and in
DeepStream-Yolo.

* **applied**: it has the effect that it has in DeepStream
* **accepted**: it is understood and has no effect here; the reason is told
* **unknown**: DeepStream does not know it either, and passes over it too
* **refused**: the file cannot be used here; the reason is told
"""


class File(NamedTuple):
    """One file of the collection."""

    path: str
    kind: str
    findings: list[Finding]
    refused: str


def main(folder: Path) -> None:
    files, others = read(folder)
    print(TOP)
    print(*totals(files), sep="\n")
    for kind in CHECKS:
        mine = [file for file in files if file.kind == kind]
        if mine:
            print(f"\n## {TITLES.get(kind, kind)}\n")
            print(*keys(mine), sep="\n")
    print(*unknown(files), sep="\n")
    print("\n## Parsing functions\n\nCompiled functions are not loaded; these are known by their names.\n")
    print("| function | parser | |\n| --- | --- | --- |")
    for function, symbol in sorted(SYMBOLS.items()):
        said = ", ".join(f"{key}: {value}" for key, value in symbol.extras.items())
        print(f"| {function} | {symbol.parser} | {said} |")
    if others:
        print("\n## Files that are not read yet\n")
        print(*(f"* {count} {name}" for name, count in sorted(others.items())), sep="\n")


def read(folder: Path) -> tuple[list[File], Counter[str]]:
    """Every file that can be checked, and how many there are of each other category."""
    files, others = [], Counter[str]()
    with open(folder / "INDEX.csv", newline="", encoding="utf-8") as index:
        for row in csv.DictReader(index):
            path = folder / row["path"]
            kind = None  # where finding it out fails
            try:
                kind = kind_of(path)
                if kind not in CHECKS:
                    others[_why_not(path, row["category"], kind)] += 1
                    continue
                findings = [finding for report in CHECKS[kind](path).reports for finding in report.findings()]
                files.append(File(row["path"], kind, findings, REFUSED.get(path.name, "")))
            except ConfigError as error:
                text = str(error).replace(f"{folder}/", "")
                files.append(File(row["path"], kind or row["category"], [], text))
    return files, others


def _why_not(path: Path, category: str, kind: str | None) -> str:
    if kind in REASONS:
        return f"{kind}: it {REASONS[kind]}"
    return category + (f" ({kind})" if kind else "")


def totals(files: list[File]) -> Iterator[str]:
    yield "| kind of file | files | read | refused | keys | applied | accepted | unknown | refused |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for kind in [*dict.fromkeys(file.kind for file in files), "all"]:
        mine = [file for file in files if kind in (file.kind, "all")]
        good = [file for file in mine if not file.refused]
        counts = Counter(finding.status for file in good for finding in file.findings)
        lost = sum(len(file.findings) for file in mine if file.refused)
        numbers = (
            len(mine), len(good), len(mine) - len(good), sum(counts.values()) + lost, counts["applied"],
            counts["ignored"], counts["unknown"], lost,
        )  # fmt: skip
        yield f"| {kind} | " + " | ".join(map(str, numbers)) + " |"
    refused = [file for file in files if file.refused]
    if refused:
        yield from ("", "Refused:", "")
        yield from (f"* `{file.path}`: {file.refused}" for file in refused)


def keys(files: list[File]) -> Iterator[str]:
    """A row for each key: how often it is applied and accepted, and why it has no effect."""
    rows: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    reasons: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for file in files:
        for finding in file.findings if not file.refused else ():
            if finding.status in ("applied", "ignored"):
                row = (group(finding.group), name(finding.key))
                rows[row][finding.status] += 1
                if finding.status == "ignored":
                    reasons[row][reason(finding.why)] += 1
    yield "| group | key | applied | accepted | why it has no effect |"
    yield "| --- | --- | ---: | ---: | --- |"
    for (where, key), counts in sorted(rows.items()):
        why = "; ".join(f"{text}" for text, _ in reasons[where, key].most_common())
        yield f"| {where} | {key} | {counts['applied'] or ''} | {counts['ignored'] or ''} | {why} |"


def group(text: str) -> str:
    """class-attrs-3 → class-attrs-N, sensor0 → sensorN: groups that differ in their number share rows."""
    return name(text.partition("#")[0])


def name(key: str) -> str:
    return re.sub(r"(?<=[a-z-])\d+$", "N", key)


def reason(why: str) -> str:
    """Without what differs from file to file."""
    if why.startswith("line ") and why.endswith(" counts"):
        return "it is given again below"
    if "; " in why and why.endswith(" is taken"):
        return why.rsplit("; ", 1)[0] + "; the ONNX is taken"
    return why


def unknown(files: list[File]) -> Iterator[str]:
    found = [(file, finding) for file in files for finding in file.findings if finding.status == "unknown"]
    if found:
        yield from ("", "## Unknown keys", "", "| file | line | key | |", "| --- | ---: | --- | --- |")
        for file, one in found:
            yield f"| {file.path} | {one.line} | {f'[{one.group}] ' if one.group else ''}{one.key} | {one.why} |"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
