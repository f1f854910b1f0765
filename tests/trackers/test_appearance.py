"""Embeddings of targets: galleries, and the tracker that weighs them."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.core.errors import ConfigError, SettingError
from millrace.media import Object, box
from millrace.trackers import open_tracker
from millrace.trackers.appearance import Appearance, Galleries, alike, covered
from millrace.trackers.base import Tracker
from millrace.trackers.reassociation import Lost, Terms, heir_of
from millrace.trackers.table import COUNT, RING, SERIAL, WIDTH

MS = 1_000_000
RED, BLUE, GREEN = np.eye(3, dtype=np.float32)


def seen(x: float, look: np.ndarray | None, y: float = 50.0, sure: float = 0.9) -> Object:
    found = Object(box((x, y, x + 40, y + 80)), 0, "person", sure)
    found.embedding = look
    return found


def table(*serials: int) -> np.ndarray:
    rows = np.zeros((len(serials), WIDTH))
    rows[:, SERIAL] = serials
    rows[:, :4] = [(100.0 * n + 20, 90, 40, 80) for n in range(len(serials))]
    return rows


def learnt(rules: Appearance, *looks: np.ndarray) -> Galleries:
    """A gallery whose targets 1, 2, … look so."""
    out = Galleries(rules)
    objects = [seen(100.0 * n, look) for n, look in enumerate(looks)]
    for each in objects:
        each.detected_box = each.box
    serials = range(1, len(looks) + 1)
    out.learn(table(*serials), objects, np.arange(len(looks), dtype=np.int32), 0.0)
    return out


def test_likeness_is_the_largest_cosine_to_any_look_that_is_kept() -> None:
    known = learnt(Appearance(history=2, unknown=0.3), RED, BLUE)
    known._put(1, GREEN, 1.0)
    found = [seen(0, RED), seen(100, (RED + GREEN) / np.sqrt(2)), seen(200, None)]
    near = known.likeness(table(1, 2, 3), found)
    assert near == pytest.approx(np.array([[1, 0.7071, 0.3], [0, 0, 0.3], [0.3, 0.3, 0.3]]), abs=1e-4)
    known._put(1, GREEN, 2.0)  # two are kept: red is forgotten
    again = known.likeness(table(1), found[:1])
    assert again is not None and again[0, 0] == pytest.approx(0)
    assert known.likeness(table(3), found) is None


def test_what_is_hidden_or_doubtful_is_not_learnt() -> None:
    known = learnt(Appearance(least_visible=0.6, least_confidence=0.5), RED, BLUE)
    front, behind = seen(100, RED), seen(110, GREEN, 40.0)
    for each in (front, behind):
        each.detected_box = each.box
    match = np.array([0, 1], np.int32)
    known.learn(table(1, 2), [front, behind], match, 1.0)
    looks = known.of(2)
    assert looks is not None and np.array_equal(looks, [BLUE])
    assert covered(np.array([front.box, behind.box], float))[0] == 0
    behind.box = behind.detected_box = box((300, 40, 340, 120))
    behind.confidence = 0.4
    known.learn(table(1, 2), [front, behind], match, 2.0)
    looks = known.of(2)
    assert looks is not None and np.array_equal(looks, [BLUE])


def test_what_was_looked_at_a_moment_ago_is_not_asked_for_again() -> None:
    known = learnt(Appearance(interval=1.0), RED, BLUE)
    boxes = np.array([(0, 50, 40, 130), (50, 50, 90, 130), (100, 50, 140, 130)], float)
    assert known.due(table(1, 2), boxes, 0.5).tolist() == [False, True, False]
    assert known.due(table(1, 2), boxes, 1.5).all()
    once = learnt(Appearance(interval=-1.0), RED)
    assert once.due(table(1), boxes[:1], 99.0).tolist() == [False]
    assert learnt(Appearance(interval=0.0), RED).due(table(1), boxes[:1], 0.0).all()


def test_places_of_galleries_are_used_again() -> None:
    known = learnt(Appearance(history=2), RED, BLUE)
    for serial in range(3, 1000):
        known.forget([serial - 2])
        known._put(serial, GREEN, 0.0)
    assert len(known.vectors) == 8
    assert len(known.slots) == 2


def test_embeddings_of_two_models_are_an_error() -> None:
    with pytest.raises(ConfigError, match="5 numbers, those before had 3"):
        learnt(Appearance(), RED).likeness(table(1), [seen(0, np.ones(5, np.float32))])


def test_galleries_are_alike_as_their_nearest_looks_are() -> None:
    assert alike(np.stack([RED, BLUE]), np.stack([BLUE, GREEN])) == pytest.approx(0.5)


def exchanged(tracker: Tracker) -> tuple[list[int | None], list[int | None]]:
    """Red and blue come towards each other, meet, and turn back: where motion leads, the other one is."""
    before: list[int | None] = []
    after: list[int | None] = []
    for n in range(30):
        way = 6.0 * (n if n < 15 else 29 - n)
        found = [seen(way, RED), seen(190 - way, BLUE)]
        if n in (14, 15):
            found = found[:1]
        tracker.update(found, n * 40 * MS, True)
        if n == 10:
            before = [each.id for each in found]
        after = [each.id for each in found]
    return before, after


def test_who_turns_back_is_known_by_looks() -> None:
    before, after = exchanged(open_tracker("deepsort"))
    assert before == after == [1, 2]


def came_back(tracker: Tracker, look: np.ndarray, away: float) -> list[int | None]:
    """One is seen for a second, is away, and something with a look comes near where it was."""
    for n in range(25):
        tracker.update([seen(100, RED), seen(400, BLUE)], n * 40 * MS, True)
    start = 25 + round(away * 25)
    for n in range(25, start):
        tracker.update([seen(400, BLUE)], n * 40 * MS, True)
    found: list[Object] = []
    for n in range(start, start + 10):
        found = [seen(160, look), seen(400, BLUE)]
        tracker.update(found, n * 40 * MS, True)
    return [each.id for each in found]


def test_who_comes_back_is_known_by_looks() -> None:
    near = (RED + 0.3 * GREEN) / np.linalg.norm(RED + 0.3 * GREEN)
    assert came_back(open_tracker("deepsort", max_age=1.0), near, 2.5) == [1, 2]
    assert came_back(open_tracker("deepsort", max_age=1.0), GREEN, 2.5) == [3, 2]
    both = (RED + BLUE) / np.sqrt(2)  # as like to one in view: it may be another
    assert came_back(open_tracker("deepsort", max_age=1.0, least_again=0.5), both, 2.5) == [3, 2]
    assert came_back(open_tracker("deepsort", max_age=1.0, reassociate=2.0), near, 6.0) == [3, 2]


def test_without_embeddings_it_runs_on_motion() -> None:
    tracker, plain = open_tracker("deepsort"), open_tracker("default")
    for n in range(20):
        ours, theirs = ([seen(4.0 * n, None), seen(200 - 4.0 * n, None, 100)] for _ in range(2))
        tracker.update(ours, n * 40 * MS, True)
        plain.update(theirs, n * 40 * MS, True)
        assert [each.id for each in ours] == [each.id for each in theirs]


def test_it_asks_for_what_it_can_use() -> None:
    tracker = open_tracker("deepsort", classes=["person"])
    found = [seen(0, None), seen(100, RED), seen(200, None, sure=0.05), Object(box((0, 0, 9, 9)), 1, "dog", 0.9)]
    assert tracker.wanting(found, 0) == found[:1]
    assert open_tracker("default").wanting(found, 0) == []


@pytest.mark.parametrize(
    ("tracker", "wrong", "said"),
    [("deepsort", {"history": 0}, "at least one look"), ("dcf", {"points": 0}, "at least 8"),
     ("dcf", {"sigma": 0.0}, "at least 0.1")],
)  # fmt: skip
def test_settings_that_leave_nothing_to_compare(tracker: str, wrong: dict[str, float], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        open_tracker(tracker, **wrong)


def test_an_identity_whose_box_has_no_inside_is_no_error() -> None:
    target = np.zeros(WIDTH)
    target[[COUNT, RING]] = 1, 2.0
    looks = RED[None]
    lost = [Lost(1, 0.0, 0.0, 1.0, 9, [0.0] * 8, looks), Lost(2, 0.0, 0.0, 1.0, 9, [50.0, 50.0] + [0.0] * 6, looks)]
    heir = heir_of(target, lost, Terms(within=5.0, least_look=0.5), looks)
    assert heir is not None and heir.id == 1
    assert heir_of(target, lost[1:], Terms(within=5.0)) is None
    assert heir_of(target, lost[1:], Terms(within=5.0, least_look=0.5, reach=0.0), looks) is None


def test_a_model_whose_cosines_are_small_counts_as_much() -> None:
    """Looks of one thing lie at 0.5 from each other, those of two at 0.1: all below what another model says."""

    def looks(who: int, n: int) -> np.ndarray:
        rng = np.random.default_rng([who, n])
        own, other = rng.normal(size=64), np.eye(64)[who] * 8
        vector = other + own
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    known = learnt(Appearance(typical=0.9, unknown=0.7), looks(0, 0), looks(1, 0))
    objects = [seen(0, None), seen(100, None)]
    for n in range(1, 30):
        for who, each in enumerate(objects):
            each.embedding, each.detected_box = looks(who, n), each.box
        assert (known.shift == 0) is (n <= 10)
        known.learn(table(1, 2), objects, np.array([0, 1], np.int32), 0.04 * n)
    for who, each in enumerate(objects):
        each.embedding = looks(who, 99)
    near = known.likeness(table(1, 2), objects)
    assert near is not None
    assert np.diag(near) == pytest.approx(np.ones(2), abs=0.2) and near[0, 1] < 0.65 and near[1, 0] < 0.65
