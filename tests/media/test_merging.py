"""Copies of a frame become one again."""

from __future__ import annotations

import numpy as np
from pictures import frame

from millrace.media import Event, Frame, Label, Object, box
from millrace.media.merging import merged


def thing(label: str, *labels: Label) -> Object:
    return Object(box([2, 2, 12, 7]), 0, label, 0.9, labels=list(labels))


def copies(count: int = 2) -> list[Frame]:
    """A frame with a car and its wheel, and copies of it, as a tee makes them."""
    first = frame("a", 3, grey=9)
    car = thing("car", Label("kind", "estate", 0.5))
    wheel = thing("wheel")
    wheel.parent = car
    first.objects += [car, wheel]
    first.events.append(Event("enter", "a", 0, "yard"))
    first.inferred.append("cars")
    first.extras["weather"] = "rain"
    return [first, *(first.fork() for _ in range(count - 1))]


def said(found: Object) -> list[str]:
    return [label.value for label in found.labels]


def test_what_nobody_changed_is_the_same() -> None:
    parts = copies(3)
    one = merged(parts)
    assert one is parts[0]
    assert [found.label for found in one.objects] == ["car", "wheel"] and said(one.objects[0]) == ["estate"]
    assert len(one.events) == 1 and one.inferred == ["cars"] and one.extras == {"weather": "rain"}


def test_labels_and_facts_of_one_object_come_together() -> None:
    parts = copies(3)
    parts[0].objects[0].labels.append(Label("colour", "red", 0.8))
    parts[1].objects[0].labels.append(Label("make", "Fiat", 0.7))
    parts[1].objects[0].text = "AB 12"
    parts[1].objects[0].extras["speed"] = 3
    parts[2].objects[0].text = "something else"
    parts[2].objects[0].id = 7
    car = merged(parts).objects[0]
    assert said(car) == ["estate", "red", "Fiat"]
    assert (car.text, car.id, car.extras) == ("AB 12", 7, {"speed": 3})


def test_new_objects_are_added_in_the_branches_order_and_keep_their_parent() -> None:
    parts = copies(3)
    for part, label in zip(parts, ("x", "y", "z"), strict=True):
        new = thing(label)
        new.parent = part.objects[0]
        part.objects.append(new)
    objects = merged(parts).objects
    assert [found.label for found in objects] == ["car", "wheel", "x", "y", "z"]
    assert all(found.parent is objects[0] for found in objects[1:])


def test_an_object_that_a_branch_took_out_stays_if_another_left_it_in() -> None:
    parts = copies()
    parts[0].objects = parts[0].objects[1:]
    del parts[1].objects[1]
    objects = merged(parts).objects
    assert [found.label for found in objects] == ["wheel", "car"]
    assert objects[0].parent is objects[1]
    gone = copies()
    for part in gone:
        part.objects.clear()
    assert merged(gone).objects == []


def test_copies_of_copies_and_a_lost_original_are_known() -> None:
    original, middle = copies()
    late = middle.fork()
    middle.objects[0].labels.append(Label("colour", "red", 0.8))
    late.objects[0].labels.append(Label("make", "Fiat", 0.7))
    del original
    one = merged([late, middle])
    assert len(one.objects) == 2 and said(one.objects[0]) == ["estate", "Fiat", "red"]
    assert one.objects[1].parent is one.objects[0]


def test_events_readings_and_extras_once_each() -> None:
    parts = copies()
    parts[0].extras["light"] = "dusk"
    parts[1].extras |= {"light": "night", "crowd": 4}
    parts[1].events.append(Event("enter", "a", 0, "yard"))  # another one of the same kind
    parts[1].inferred.append("plates")
    one = merged(parts)
    assert one.extras == {"weather": "rain", "light": "dusk", "crowd": 4}
    assert len(one.events) == 2 and one.inferred == ["cars", "plates"]


def test_the_pixels_are_the_first_ones() -> None:
    parts = copies()
    picture = parts[1].image = parts[1].image.writable()
    picture.planes[0][:] = 0
    assert np.any(merged(parts).image.planes[0] != 0)
