from __future__ import annotations

from dataclasses import replace
from functools import cache

import av
import numpy as np
import pytest
from numpy.random import default_rng

from millrace.testing.figures import Walker
from millrace.testing.scene import Scene, write_clip
from millrace.testing.shapes import van
from millrace.testing.traffic import PERSON, VAN, Actor, Path
from millrace.testing.truth import line_crossings


@cache
def small(seed=3, **kwargs):
    return Scene(seed, 320, 180, frame_count=50, **kwargs)


def still(body, class_id, x, y, identity):
    """Somebody who stands at a place."""
    return Actor(identity, class_id, body, Path([(x, y), (x, y + 1)]), 0.0, 0.0)


def alone(*actors, **kwargs):
    """An empty street, without shadows, with these actors."""
    scene = Scene(4, 640, 360, frame_count=5, view="along", noise=0, **kwargs)
    scene.actors = list(actors)
    scene.shaded = scene.background
    return scene


def test_the_same_seed_gives_the_same_scene():
    again = Scene(3, 320, 180, frame_count=50)
    for index in (0, 31):
        picture, objects = small().frame(index)
        same, known = again.frame(index)
        assert np.array_equal(picture, same) and objects == known
    assert not np.array_equal(small().frame(0)[0], small(4).frame(0)[0])


def test_truth_without_painting_is_the_same():
    assert small().frame(17)[1] == small().objects(17) == small().truth.frames[17]


@pytest.mark.parametrize(("make", "class_id"), [(van, VAN), (Walker, PERSON)])
def test_boxes_are_tight(make, class_id):
    actor = still(make(default_rng(5)), class_id, 1.0, 16.0, 1)
    scene = alone(actor)
    picture, objects = scene.frame(0)
    scene.actors = []
    empty, _ = scene.frame(0)
    changed = np.abs(picture.astype(int) - empty).max(axis=2) > 12
    y, x = np.nonzero(changed)
    assert objects[0].visible == pytest.approx(1.0, abs=0.06)
    assert np.allclose(objects[0].box, (x.min(), y.min(), x.max() + 1, y.max() + 1), atol=1.6)


def test_twice_as_far_is_half_as_high():
    body = Walker(default_rng(5))
    heights = []
    for y in (15.0, 30.0):
        scene = alone(still(body, PERSON, 0.0, y, 1))
        box = scene.objects(0)[0].box
        heights.append(box[3] - box[1])
    assert heights[0] / heights[1] == pytest.approx(2.0, rel=0.1)


def test_who_stands_behind_a_van_is_hidden():
    person = still(Walker(default_rng(5)), PERSON, 0.0, 24.0, 1)
    camera = alone().camera
    toward = (camera.position[0] * (1 - 18.0 / 24.0), 18.0)
    big = still(van(default_rng(6)), VAN, *toward, 2)
    seen = {o.id: o for o in alone(person, big).objects(0)}
    before = alone(person).objects(0)[0]
    assert before.visible > 0.94 and seen[1].visible < 0.5 and seen[2].visible > 0.94
    assert seen[1].box == before.box  # the box is that of the whole person


def test_a_body_half_outside_is_half_visible():
    camera = alone().camera
    places = np.array([(x, 10.0, 1.0) for x in np.arange(-30, 30, 0.02)])
    at, _ = camera.project(places)
    edge = places[np.argmin(np.abs(at[:, 0])), 0]
    (found,) = alone(still(Walker(default_rng(5)), PERSON, edge, 10.0, 1)).objects(0)
    assert found.box[0] == 0 and found.visible == pytest.approx(0.5, abs=0.15)


def test_all_classes_move_both_ways():
    seen = {o.label for seed in (1, 2) for frame in small(seed).truth.frames for o in frame if o.visible > 0.5}
    assert seen == {"car", "van", "bicycle", "person"}
    ways = {c.direction for seed in (1, 2, 5, 9) for c in small(seed).truth.crossings}
    assert ways == {"in", "out"}


def test_a_crowd_is_a_crowd():
    counted = [sum(o.visible >= 0.3 for o in small(2, crowd=18).objects(k)) for k in (0, 25, 49)]
    assert all(15 <= n <= 40 for n in counted)


def test_dusk_is_darker():
    assert small(6, dusk=True).frame(0)[0].mean() < 0.7 * small(6).frame(0)[0].mean()


def test_line_and_zone_lie_in_the_picture():
    for seed in range(1, 7):
        scene = small(seed)
        for x, y in (*scene.line, *scene.zone):
            assert 0 <= x <= 320 and 0 <= y <= 180
        assert np.hypot(scene.line[1][0] - scene.line[0][0], scene.line[1][1] - scene.line[0][1]) > 80
        assert len(scene.zone) >= 3


def test_crossings_are_those_of_the_boxes():
    truth = small(1).truth
    assert truth.crossings and truth.crossings == line_crossings(truth.frames, truth.line)


def test_a_clip_has_every_frame_and_the_scene_s_truth(tmp_path):
    scene = Scene(3, 320, 180, frame_count=12, fps=12.5)
    truth = write_clip(tmp_path / "scene.mp4", scene)
    assert truth == scene.truth
    with av.open(str(tmp_path / "scene.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [float(f.pts * f.time_base) for f in frames] == [k / 12.5 for k in range(12)]
    difference = frames[7].to_ndarray(format="rgb24").astype(int) - scene.frame(7)[0]
    assert np.abs(difference).mean() < 6


def test_light_comes_from_the_sun():
    scene = alone(still(van(default_rng(5)), VAN, 0.0, 16.0, 1))
    scene.light = replace(scene.light, dusk=False, sun=(0.0, -0.5, 0.87), ambient=0.5)
    lit = scene.frame(0)[0].astype(int)
    scene.light = replace(scene.light, sun=(0.0, 0.5, 0.87))
    assert (scene.frame(0)[0].astype(int) - lit).min() < -20  # the side towards the camera is now in shade
