"""Sound goes past the decoder: from where the sources enter straight to those that save it (docs/decisions/0003)."""

from __future__ import annotations

from collections.abc import Callable

from ..core import Graph
from ..core.caps import FRAMES, PACKETS
from ..core.element import Element
from .plan import Line, Step, Tee

AUDIO = "audio"  # the kind of such packets


def wanted(line: Line, class_of: Callable[[Step], type[Element]]) -> bool:
    """Whether a step saves sound: it takes packets and has a setting `sound`, which is on."""
    for step in line:
        if isinstance(step, Tee):
            if any(wanted(branch, class_of) for branch in step.branches.values()):
                return True
        elif isinstance(step, Step) and (cls := class_of(step)).takes == PACKETS:
            owner = step.element if isinstance(step.element, Element) else cls
            if step.settings.get("sound", getattr(owner, "sound", False)):
                return True
    return False


def lead(graph: Graph, entry: str, streams: list[str]) -> bool:
    """Link the elements that save sound with `entry`; False when there is none.

    Those that packets reach as they were read get the sound in between, without a link of its own.
    """
    direct = _undecoded(graph, entry)
    savers = [name for name, spec in graph.nodes.items() if _saves(spec.element)]
    for name in savers:
        if name in direct:
            continue
        # what is merged into another stream (`tile`) has lost its sound on the way
        reached = [stream for stream in streams if name in graph.reached(entry, stream).get(stream, ())]
        if len(reached) == len(streams):
            graph.link(entry, name, kind=AUDIO)
        else:
            for stream in reached:
                graph.link(entry, name, kind=AUDIO, stream=stream)
    return bool(savers)


def _saves(element: Element) -> bool:
    return element.takes == PACKETS and bool(getattr(element, "sound", False))


def _undecoded(graph: Graph, entry: str) -> set[str]:
    """The elements that get packets as the sources gave them."""
    found, todo = {entry}, [entry]
    while todo:
        here = todo.pop()
        element = graph.nodes[here].element
        if FRAMES in (element.takes, element.gives):
            continue
        for link in graph.out_of(here):
            if link.target not in found:
                found.add(link.target)
                todo.append(link.target)
    return {name for name in found if graph.nodes[name].element.takes == PACKETS}
