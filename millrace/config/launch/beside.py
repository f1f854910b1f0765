"""The sound of a launch line: it is taken out, for files get the sound of their stream as it is.

What leads from a demuxer or a decoder by audio pads or through elements of sound, into a muxer or a loudspeaker, is
left away, and told. A line that has nothing but sound, or takes it from a microphone, is refused.
"""

from __future__ import annotations

from .grammar import Description, Link, Part
from .table import table

_GROUP = "audiotestsrc"  # of the table: what works on sound
_SOURCES = ("audiotestsrc", "alsasrc", "pulsesrc", "autoaudiosrc")


def without_sound(found: Description) -> str:
    """Take the sound out of a description; returns a remark, "" where there was none. Raises LaunchError."""
    first = next((part for part in found.parts if part.element in _SOURCES), None)
    if first is not None:
        raise found.line.error(first.at, f"{first.element} is not used here: {table().elements[_GROUP].why}")
    sound = _spread(found, _seeds(found))
    gone = [link for link in found.links if {id(link.source.part), id(link.target.part)} & sound or _audio(link)]
    if not gone and not sound:
        return ""
    at = next((part.at for part in found.parts if id(part) in sound), gone[0].at if gone else 0)
    kept = [part for part in found.parts if id(part) not in sound]
    links = [link for link in found.links if link not in gone]
    leading = {id(link.source.part) for link in links}
    if not links or any(id(link.source.part) not in leading | sound for link in gone):
        raise found.line.error(at, f"nothing but sound goes on from here: {table().elements[_GROUP].why}")
    found.parts, found.links = kept, links
    return (
        f"launch column {found.line.column(at)}: sound goes into files as it is; it is not decoded, played or analysed"
    )


def _audio(link: Link) -> bool:
    return link.source.pad.startswith("audio") or link.target.pad.startswith("audio")


def _seeds(found: Description) -> list[Part]:
    names = table().elements[_GROUP].names
    seeds = [part for part in found.parts if part.element in names]
    for link in found.links:
        if (
            link.source.pad.startswith("audio")
            and link.target.part is not None
            and not link.target.pad.startswith("audio")
        ):
            seeds.append(link.target.part)
        elif (
            link.target.pad.startswith("audio")
            and link.source.part is not None
            and not link.source.pad.startswith("audio")
        ):
            seeds.append(link.source.part)
    return seeds


def _spread(found: Description, seeds: list[Part]) -> set[int]:
    """The parts (by id) that only sound goes through."""
    sound: set[int] = set()
    todo = list(seeds)
    while todo:
        here = todo.pop()
        if id(here) in sound:
            continue
        sound.add(id(here))
        for link in found.links:
            source, target = link.source.part, link.target.part
            assert source is not None and target is not None
            if target is here and not link.source.pad.startswith("audio"):
                alias = table().elements.get(source.element)
                one = sum(each.source.part is source for each in found.links) == 1
                if one and alias is not None and alias.kind in ("pass", "filter"):
                    todo.append(source)
            if source is here and not link.target.pad.startswith("audio"):
                into = [each.source.part for each in found.links if each.target.part is target]
                if all(id(each) in sound for each in into):
                    todo.append(target)
    return sound
