"""Tokens → elements and links between them, by GStreamer's grammar (gst/parse/grammar.y).

An element is a word with its properties; elements are joined by `!`; `name.` and `name.pad` stand for an element that
is named elsewhere and begin or end a chain; `( … )` and `bin.( … )` group. Names that are not given are those that
GStreamer gives: queue0, queue1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ...core.errors import did_you_mean
from .lexer import Token, tokens
from .text import LaunchText, take_command

DEEPEST = 40  # bins in bins


@dataclass(slots=True)
class Property:
    """`name=value` as it stands; places are offsets into the text."""

    name: str
    value: str
    at: int
    value_at: int
    preset: bool = False


@dataclass(slots=True, eq=False)
class Part:
    """One element of the line. `named`: the line itself gives it a name."""

    element: str
    name: str
    at: int
    properties: list[Property] = field(default_factory=list)
    named: bool = False

    def get(self, name: str) -> Property | None:
        """The property that counts: the last of that name."""
        return next((each for each in reversed(self.properties) if each.name == name), None)


@dataclass(slots=True)
class Ref:
    """One end of a link: an element, or the name of one that stands elsewhere, and its pad where it is given."""

    at: int
    part: Part | None = None
    name: str = ""
    pad: str = ""


@dataclass(slots=True)
class Link:
    """What is behind `!`: from where to where, and the caps that stand between."""

    source: Ref
    target: Ref
    caps: str
    at: int
    caps_at: int = 0


@dataclass(slots=True)
class Description:
    """A parsed line."""

    line: LaunchText
    parts: list[Part] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)


def parse(text: str | LaunchText) -> Description:
    """Elements and links of a line. Raises LaunchError with the column."""
    line = take_command(text) if isinstance(text, str) else text
    parser = _Parser(line)
    parser.chains(0)
    found = parser.found
    if not found.parts:
        raise line.error(line.start, "there is no element: a line is written source ! filter ! sink")
    _name(found)
    _resolve(found)
    return found


@dataclass(slots=True)
class _Open:
    """The end of a chain to which something can be linked: an element, or a reference that only begins a chain."""

    ends: list[Ref]
    reference: bool = False


class _Parser:
    def __init__(self, line: LaunchText) -> None:
        self.found = Description(line)
        self.tokens = tokens(line)
        self.next = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.next]

    def take(self) -> Token:
        token = self.tokens[self.next]
        self.next += token.kind != "end"
        return token

    def error(self, token: Token, message: str) -> Exception:
        return self.found.line.error(token.at, message)

    def chains(self, depth: int) -> tuple[list[Ref], list[Ref]]:
        """Chains up to the end, or to the `)` of the bin; returns what the first begins with and the last ends with."""
        first: list[Ref] = []
        last: list[Ref] = []
        while self.token.kind != "end" and not (depth and self.token.kind == ")"):
            begun, last = self.chain(depth)
            first = first or begun
        return first, last

    def chain(self, depth: int) -> tuple[list[Ref], list[Ref]]:
        token = self.token
        if token.kind == "reference":
            first: list[Ref] = []
            here = _Open(self.references(), reference=True)
        elif token.kind in ("element", "bin", "("):
            first, ends = self.elementary(depth)
            here = _Open(self.pads(ends))
        elif token.kind == "url":
            self.take()
            here = _Open([Ref(token.at, self.address(token, "source"))])
            first = []
        else:
            raise self.error(token, _unexpected(token, bool(self.found.parts)))
        while self.token.kind == "link":
            here = self.linked(here, depth)
            if not here.ends:
                return first, []
        if here.reference:
            ref = here.ends[0]
            what = f"{ref.name}.{ref.pad}" + (" " if not ref.pad else "")
            raise self.found.line.error(ref.at, f"the reference {what.strip()!r} is not linked: `!` must follow it")
        return first, here.ends

    def linked(self, here: _Open, depth: int) -> _Open:
        """What follows a `!`. No ends: the chain is over."""
        link = self.take()
        token = self.token
        if token.kind == "reference":
            self.join(here, self.references(), link)
            return _Open([])
        if token.kind == "url":
            self.take()
            self.join(here, [Ref(token.at, self.address(token, "sink"))], link)
            return _Open([])
        pads = self.pad_names() if token.kind == "pad" else []
        if self.token.kind not in ("element", "bin", "("):
            token = self.token
            at = link if token.kind == "end" else token
            raise self.error(at, "behind `!` an element is missing" + ("" if at is link else _instead(token)))
        first, ends = self.elementary(depth)
        target = first[0] if first else Ref(token.at)
        self.join(here, [Ref(target.at, target.part, target.name, pad) for pad in pads] or first, link)
        return _Open(self.pads(ends))

    def join(self, here: _Open, targets: list[Ref], link: Token) -> None:
        if not here.ends or not targets:
            raise self.error(link, "this `!` links nothing: an element is missing at one side of it")
        count = max(len(here.ends), len(targets))
        for index in range(count):
            source, target = here.ends[min(index, len(here.ends) - 1)], targets[min(index, len(targets) - 1)]
            self.found.links.append(Link(source, target, link.text, link.at, link.value_at))

    def elementary(self, depth: int) -> tuple[list[Ref], list[Ref]]:
        token = self.take()
        if token.kind == "element":
            part = Part(token.text, "", token.at)
            self.found.parts.append(part)
            self.properties(part)
            return [Ref(token.at, part)], [Ref(token.at, part)]
        return self.bin(token, depth)

    def bin(self, token: Token, depth: int) -> tuple[list[Ref], list[Ref]]:
        if depth >= DEEPEST:
            raise self.error(token, f"more than {DEEPEST} bins lie in each other")
        if token.kind == "bin" and token.text not in ("bin", "pipeline"):
            raise self.error(token, f"{token.text!r} is no bin: there are bin.( … ) and pipeline.( … )")
        own = Part("bin", "", token.at)
        self.properties(own)
        before = len(self.found.parts)
        first, last = self.chains(depth + 1)
        if self.token.kind != ")":
            raise self.error(token, "the bracket is not closed: `)` is missing")
        self.take()
        inside = self.found.parts[before:]
        if not inside:
            raise self.error(token, "a bin must hold an element")
        for each in own.properties:
            self.child(each, inside)
        return first, last

    def child(self, each: Property, inside: list[Part]) -> None:
        """`name::property=value` of a bin goes to the element of that name in it."""
        name, colons, rest = each.name.partition("::")
        if not colons:
            if each.name not in ("name", "async-handling", "message-forward"):
                raise self.found.line.error(
                    each.at, f"a bin has no property {each.name!r}; NAME::property is of a child"
                )
            return
        for part in inside:
            given = part.get("name")
            if given is not None and given.value == name:
                part.properties.append(Property(rest, each.value, each.at, each.value_at))
                return
        known = [given.value for part in inside if (given := part.get("name")) is not None]
        near = did_you_mean(name, known)
        raise self.found.line.error(each.at, f"in this bin no element is named {name!r}.{near}")

    def properties(self, part: Part) -> None:
        while self.token.kind in ("assignment", "preset"):
            token = self.take()
            value = token.value if token.literal else self.found.line.expand(token.value)
            child, colons, name = token.text.rpartition("::")
            name = child + colons + name.replace("_", "-")  # GObject takes both for one
            each = Property(name, value, token.at, token.value_at, token.kind == "preset")
            part.properties.append(each)

    def references(self) -> list[Ref]:
        token = self.take()
        names = [token.value, *self.more()] if token.value else self.more() or [""]
        return [Ref(token.at, None, token.text, name) for name in names]

    def pads(self, ends: list[Ref]) -> list[Ref]:
        """`.src_0,src_1` behind an element: the pads that are linked next."""
        if self.token.kind != "pad" or not ends:
            return ends
        return [Ref(ends[0].at, ends[0].part, ends[0].name, name) for name in self.pad_names()]

    def pad_names(self) -> list[str]:
        return [self.take().text, *self.more()]

    def more(self) -> list[str]:
        names: list[str] = []
        while self.token.kind == ",":
            comma = self.take()
            name = self.take()
            if name.kind != "element":
                raise self.error(comma, "behind the comma the name of a pad is missing")
            names.append(name.text)
        return names

    def address(self, token: Token, end: str) -> Part:
        """The element that GStreamer makes of an address."""
        scheme = token.text.partition("://")[0] if "://" in token.text else "file"
        element, key = {
            ("file", "source"): ("filesrc", "location"), ("file", "sink"): ("filesink", "location"),
            ("rtsp", "source"): ("rtspsrc", "location"), ("http", "source"): ("souphttpsrc", "location"),
            ("https", "source"): ("souphttpsrc", "location"), ("udp", "source"): ("udpsrc", "uri"),
            ("rtmp", "sink"): ("rtmpsink", "location"),
        }.get((scheme, end), ("", ""))  # fmt: skip
        if not element:
            raise self.error(token, f"no {end} reads or writes {scheme}:// addresses here")
        value = token.text.removeprefix("file://") if scheme == "file" else token.text
        part = Part(element, "", token.at, [Property(key, value, token.at, token.at)])
        self.found.parts.append(part)
        return part


def _unexpected(token: Token, begun: bool) -> str:
    if token.kind == "link":
        return "before this `!` an element is missing"
    if token.kind in ("assignment", "preset"):
        return f"{token.text}= belongs to no element: properties stand behind the element's name"
    if token.kind == ")":
        return "this bracket was not opened"
    return f"{token.text or token.kind!r} is not expected here" + ("" if begun else ": a line begins with an element")


def _instead(token: Token) -> str:
    word = token.text or token.kind
    return f", not {word}=…" if token.kind in ("assignment", "preset") else f", not {word!r}"


def _name(found: Description) -> None:
    """Give each element its name; two of the same are an error."""
    count: Counter[str] = Counter()
    taken: dict[str, Part] = {}
    for part in found.parts:
        given = part.get("name")
        part.named = given is not None
        part.name = given.value if given is not None else f"{part.element}{count[part.element]}"
        count[part.element] += 1  # GStreamer's numbers count named elements, too
        at = given.value_at if given is not None else part.at
        if not part.name:
            raise found.line.error(at, f"the name of {part.element} is empty")
        if part.name in taken and (part.named or taken[part.name].named):
            raise found.line.error(at, f"two elements are named {part.name!r}: give one of them another name")
        taken[part.name] = part


def _resolve(found: Description) -> None:
    """Find the elements that references name."""
    named = {part.name: part for part in found.parts}
    for link in found.links:
        for ref in (link.source, link.target):
            if ref.part is None:
                if ref.name not in named:
                    known = [part.name for part in found.parts if part.named]
                    near = did_you_mean(ref.name, known)
                    there = f" Named are: {', '.join(known)}" if known else " No element has a name (name=…)"
                    raise found.line.error(ref.at, f"no element is named {ref.name!r}.{near}{there}")
                ref.part = named[ref.name]
