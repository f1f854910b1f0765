"""Elements that GStreamer itself runs, in a process of its own: the source `gst:`, `gst` and `gstout`.

What lies between them and coded video belongs to the same fragment: `udpsrc ! rtph264depay`, `mpegtsmux ! srtsink`.
"""

from __future__ import annotations

import re

from ..plan import Stream
from .grammar import Part
from .graph import Node, upstream
from .work import At, Work

_PLAIN = re.compile(r"[^\s\"'!()\\\\]+")
_WIRE = {"rtp", "bytes"}


def text_of(part: Part) -> str:
    """An element with its properties, as a launch line has it."""
    words = [part.element]
    for each in part.properties:
        value = each.value
        if not _PLAIN.fullmatch(value):
            value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        words.append(f"{'@' if each.preset else ''}{each.name}={value}")
    return " ".join(words)


def gstsource(work: Work, node: Node) -> None:
    parts, here = [text_of(node.part)], node
    while len(here.out) == 1:
        here = here.out[0].target
        alias = here.alias
        if alias.name == "capsfilter":
            parts.append(here.part.properties[0].value)
        elif alias.kind == "pass" and alias.takes and set(alias.takes) <= _WIRE:
            parts.append(text_of(here.part))
        else:
            break
        here.absorbed = True
    where = At(work.graph, node, {})
    node.streams.append(Stream(node.name if node.part.named else "", f"gst:{' ! '.join(parts)}", where=where))


def gstfilter(work: Work, node: Node) -> None:
    work.add(node, "gst", {"launch": text_of(node.part)})


def gstsink(work: Work, node: Node) -> None:
    parts = [text_of(node.part)]
    for each in upstream(node):
        if each.alias.kind != "pass" or each.alias.gives not in _WIRE:
            break
        parts.insert(0, text_of(each.part))
    work.add(node, "gstout", {"launch": " ! ".join(parts)})
