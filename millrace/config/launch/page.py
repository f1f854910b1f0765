"""docs/launch-lines.md, made of the table: `python -m millrace.config.launch.page > docs/launch-lines.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby

from .table import Alias, table

TOP = """# Launch lines

<!-- Made by `python -m millrace.config.launch.page > docs/launch-lines.md`, of config/launch/elements.yaml. -->

A line of gst-launch-1.0, of GStreamer's and DeepStream's elements, runs as it is:

```text
millrace run "filesrc location=street.mp4 ! qtdemux ! h264parse ! nvv4l2decoder ! m.sink_0 nvstreammux name=m
  width=1280 height=720 ! nvinfer config-file-path=primary.txt ! nvvideoconvert ! nvdsosd ! autovideosink"
millrace run filesrc location=street.mp4 ! decodebin ! fakesink     # its words, as behind gst-launch-1.0
millrace check --launch LINE                                        # what becomes of each property; runs nothing
millrace migrate --launch LINE > ours.yaml                          # our pipeline file, which runs the same
```

```python
import millrace

flow = millrace.launch("videotestsrc num-buffers=50 ! video/x-raw,width=320,height=240 ! appsink")
for frame in flow:
    print(frame.index, frame.image.width)
```

What stands in front (`gst-launch-1.0 -e -v`, `USE_NEW_NVSTREAMMUX=yes`) may stay. `check` exits with 0, with 3 when
only files or streams that the line names are missing, with 2 when it is wrong. Paths are relative to the working
directory; what lies below DeepStream's install folder, and files and addresses that are to be replaced, are looked for
as in its configuration files (docs/deepstream.md): `MILLRACE_DEEPSTREAM_ROOT`, `MILLRACE_SUBSTITUTIONS`.

## How a line is read

By GStreamer's own grammar: elements and properties, `!` with caps between, `name.` and `name.pad`, pads behind and
before elements (`.src_0,src_1`), `( … )` and `bin.( … )` with properties of children (`child::property=value`),
addresses as first and last element. Names that are not given are GStreamer's: `queue0`. Beyond it, what a shell takes
away may stand: quotes around caps and values, `\\` at the end of a line, `$NAME`, `~/`, comments from `#` on.

Every error has its column, what was got and what is meant:

```text
millrace: launch column 31: there is no element 'decodbin'. Did you mean 'decodebin'?
  … cation=street.mp4 ! decodbin ! fakesink
                        ^
```

A pad that is linked twice, links in a circle, an element that nothing feeds or that leads nowhere, packets where
pictures are wanted, a demuxer or parser that is fed with another format: each is one such error, before anything runs.
Where only the stream can tell (h264parse before HEVC), it is refused when it comes, and other streams go on.

## What becomes of it

* Sources are streams, called by their `name=`, else source0, source1, … in the order of the batcher's pads.
* Demuxers, parsers, decoders and converters of memory are needless; they check what they are fed. nvv4l2decoder's
  settings go to its streams.
* nvstreammux is where streams come together; with width and height it scales (`resize`), as DeepStream does, so what
  stands behind it sees pictures of that size. nvstreamdemux and tee are branches; branches that meet in a muxer go on
  as one line, and nvdsmetamux joins what they found.
* Caps decide size, rate and format of what can make them (videotestsrc, v4l2src, nvvideoconvert, videoscale,
  videorate); elsewhere they are checked. Formats are not made between steps: pictures stay as they are decoded, but for
  GRAY8, and for raw files, which have the format that the caps say.
* num-buffers counts pictures, also of filesrc.
* A queue is the link that is there anyway; a leaky one drops (`queue: {policy: drop_oldest}`).
* Effects, overlays and sources that only GStreamer has run in a process of its own, by GStreamer itself where it is
  installed (docs/gstreamer.md); so does what stands between them and coded video.
* Sound that leads from a demuxer or decoder into a muxer or a loudspeaker is left away, and told: `file` writes the
  sound of a stream as it is. A line of nothing but sound is refused.
* A graph must be made of lines behind and beside each other; ways that cross in the middle are refused.

## What was run

    python benchmarks/launch_lines.py LINES DATA --frames 20

runs the launch lines of NVIDIA's public documents and READMEs for DeepStream 9.1, 156 in all, on a CPU of two cores,
27 November 2026. Streams, models and configuration files that they name were substituted: a clip of the codec that the
line expects (10 and 12 bits too), one detector, classifier or segmenter for every model; windows were invisible.

@RESULT@

## The elements

In a line of the table: the element and those that are the same, what it is here, the properties that are applied (with
what they are here), and those that have no effect (grouped by why). Any other property is an error, as it is there.
"""
RESULT = """| lines | parsed | built | ran to their end |
| ---: | ---: | ---: | ---: |
| 156 | 156 | 154 | 154 |

Of their 1031 properties and caps 871 are applied, 160 have no effect here, none is unknown.
Not built: a line whose pads are misspelt (`m.sink _0`), and one of nothing but sound, which is not analysed here.
"""
HEADS = {
    "source": "Sources", "pass": "What is needless, or stands between", "filter": "Filters, models, encoders",
    "sink": "Sinks",
}  # fmt: skip


def page() -> str:
    """The whole page."""
    return "\n".join([TOP.replace("@RESULT@\n", RESULT), *_tables(), *_refused(), ""])


def _tables() -> Iterator[str]:
    known = [alias for alias in table().aliases if alias.kind != "refused"]
    for kind, title in HEADS.items():
        yield f"### {title}\n"
        yield "| element | here | applied | no effect |\n| --- | --- | --- | --- |"
        for alias in known:
            if alias.kind == kind:
                cells = (_names(alias), alias.here, _applied(alias), _ignored(alias))
                yield "| " + " | ".join(map(_cell, cells)) + " |"
        yield ""


def _refused() -> Iterator[str]:
    yield "### What cannot be used\n"
    yield "| element | why, and what to use |\n| --- | --- |"
    for alias in table().aliases:
        if alias.kind == "refused":
            yield f"| {_names(alias)} | {_cell(alias.why)} |"


def _names(alias: Alias) -> str:
    return ", ".join(alias.names)


def _applied(alias: Alias) -> str:
    return "; ".join(f"{name}: {here}" for name, (_, here) in alias.applied.items() if name != "name")


def _ignored(alias: Alias) -> str:
    pairs = sorted(((why, name) for name, why in alias.ignored.items()), key=lambda pair: pair[0])
    parts = []
    for why, group in groupby(pairs, key=lambda pair: pair[0]):
        parts.append(f"{', '.join(name for _, name in group)} ({why})")
    return "; ".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
