"""The recorded facts of an event, or of something that did not count, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]  # an event or a miss, as JSON lines have it
_SECOND = 1e9


def title(line: Record, record: Record) -> str:
    """`event 12 of gate: line door in, person 7, at 8.160 s (frame 204)`."""
    number = f"event {record['event']}" if "event" in record else record.get("miss", "")
    words = [record["kind"], record["name"], record.get("direction"), record.get("phase")]
    who = f", {record.get('label') or 'object'} {record['id']}" if record.get("id") is not None else ""
    when = f"at {line['pts'] / _SECOND:.3f} s (frame {line['frame']})"
    what = " ".join(str(word) for word in words if word)
    reason = f": {record['reason']}" if "reason" in record else ""
    return f"{number} of {line['stream']}: {what}{who}, {when}{reason}"


def sentences(record: Record) -> Iterator[str]:
    """Why it is so. Raises nothing: facts that are not known here are given as they are."""
    facts = dict(record.get("facts", {})) if "reason" in record else dict(record.get("why", {}))
    rest = {} if "reason" in record else dict(record.get("facts", {}))
    if "point" in facts:
        rest.pop("point", None)
    if "distance_before" in facts:
        yield from _line(record, facts)
    elif "detections" in facts:
        yield from _track(facts)
    elif "polygon" in facts:
        yield from _zone(facts)
    elif "seen" in facts and "line" in facts:
        yield from _lost(facts)
    for key, value in {**facts, **rest}.items():
        yield f"{key.replace('_', ' ')}: {_text(value)}"


def _lost(facts: dict[str, Any]) -> Iterator[str]:
    yield f"the line goes {_way(facts.pop('line'))}"
    yield (
        f"it was last seen at {facts.pop('seen') / _SECOND:.3f} s, its {facts.pop('anchor')} at "
        f"{_text(facts.pop('point'))}, {_side(facts.pop('distance'))}"
    )
    yield f"it was {facts.pop('height'):.1f} px high; whether it crossed afterwards is not known"


def _line(record: Record, facts: dict[str, Any]) -> Iterator[str]:
    """Takes from the facts what it says."""
    before, now = facts.pop("distance_before"), facts.pop("distance")
    least, trembles, anchor = facts.pop("least", None), facts.pop("trembles", 0.0), facts.pop("anchor", None)
    yield f"the line goes {_way(facts.pop('line'))}"
    if "box" in facts:
        yield f"the box is {_text(facts.pop('box'))}" + (f"; its {anchor} counts" if anchor else "")
    yield f"before it was at {_text(facts.pop('before'))}, {_side(before)}"
    yield f"now it is at {_text(facts.pop('point'))}, {_side(now)}"
    if "mode" in facts:
        yield from _mode(facts)
    if least is not None:
        why = f", because the box trembles by {trembles:.1f} px" if trembles and least > 2.9 * trembles else ""
        yield f"it must be past the line by {least:.1f} px{why}"
    if "furthest" in facts:
        yield f"it came {facts.pop('furthest'):.1f} px past the line, and went back"
    if "along" in facts:
        at = facts.pop("along")
        yield f"its way met the line at {at:.2f} of its length: from 0 to 1 is between the ends"
    if "reason" not in record:
        yield "so it is counted"


def _mode(facts: dict[str, Any]) -> Iterator[str]:
    mode, way = facts.pop("mode"), facts.pop("direction")
    yield f"mode {mode}, direction {_text(way)}"
    for what, unit in (("displacement", "px²"), ("cosine", ""), ("frames", "sightings")):
        have, need = facts.pop(what), facts.pop(f"least_{what}")
        sign = ">=" if what == "cosine" else ">"
        yield f"{what} {have:g} {unit}".rstrip() + f", needed {sign} {need:g}"


def _zone(facts: dict[str, Any]) -> Iterator[str]:
    depth = facts.pop("depth")
    yield f"the zone is {_text(facts.pop('polygon'))}"
    if "box" in facts:
        yield f"the box is {_text(facts.pop('box'))}; its {facts.pop('anchor')} counts"
    facts.pop("anchor", None)
    side = "inside" if depth > 0 else "outside"
    yield f"it is at {_text(facts.pop('point'))}, {abs(depth):.1f} px {side} the boundary"
    if "unseen_for" in facts:
        yield f"it was not seen for more than {facts.pop('unseen_for'):g} s, so it has left when it was last seen"
    if "least" in facts:
        yield f"needed: {facts.pop('least'):.1f} px past the boundary (0 for one that is seen for the first time)"
    facts.pop("trembles", None)


def _track(facts: dict[str, Any]) -> Iterator[str]:
    yield f"it was last at {_text(facts.pop('box'))}, {facts.pop('unseen', 0):.2f} s ago"
    if facts.get("predicted") is not None:
        yield f"it was expected at {_text(facts.pop('predicted'))}"
    facts.pop("predicted", None)
    limit = facts.pop("least_overlap", None)
    found = facts.pop("detections")
    if not found:
        yield "nothing was detected in this frame"
    for each in found:
        taken = f"taken by {each['id']}" if each.get("id") is not None else "taken by no track that is confirmed"
        words = [f"overlap {each['overlap']:.2f}" + (f", needed > {limit:g}" if limit is not None else "")]
        if "cost" in each:
            words.append(f"cost {each['cost']:.3f}")
        if each.get("penalty"):
            words.append(f"{each['penalty']:g} is taken off for another class")
        yield f"{each['label']} {each['confidence']:.2f} at {_text(each['box'])}: {', '.join(words)}; {taken}"


def _side(distance: float) -> str:
    if distance == 0:
        return "on the line"
    return f"{abs(distance):.1f} px to the {'right' if distance > 0 else 'left'} of it"


def _way(points: Sequence[Sequence[float]]) -> str:
    return " → ".join(_text(point) for point in points)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 10 else f"{value:g}"
    if isinstance(value, list | tuple):
        inner = ", ".join(_text(each) for each in value)
        return f"({inner})" if value and not isinstance(value[0], list | tuple) else inner
    return str(value)
