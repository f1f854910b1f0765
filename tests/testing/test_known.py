"""What truly happens in a scene: worked out from where everybody stands."""

from __future__ import annotations

import pytest

from millrace.testing.known import Known
from millrace.testing.scene import Scene
from millrace.testing.staged import staged_scene
from millrace.testing.traffic import Actor, Path


def test_an_actor_pauses_on_its_way() -> None:
    actor = Actor(1, 0, None, Path([(0, 0), (0, 100)]), 0.0, 2.0, ((10.0, 3.0), (20.0, 1.0)))  # type: ignore[arg-type]
    times = {0.0: 0.0, 5.0: 10.0, 7.9: 10.0, 8.5: 11.0, 13.0: 20.0, 13.9: 20.0, 14.5: 21.0}
    assert {time: actor.travelled(time) for time in times} == pytest.approx(times)


def test_the_same_actors_at_every_frame_rate() -> None:
    slow, fast = (staged_scene(3, seconds=2, fps=fps, width=320, height=180) for fps in (5, 30))
    for n in range(10):
        assert slow.objects(n) == fast.objects(6 * n)
    plain = Scene(3, 320, 180, 5, 10)
    assert {actor.id for actor in plain.actors} < {actor.id for actor in slow.actors}


def test_crossings_visits_crowds_and_pauses() -> None:
    scene = staged_scene(2, seconds=7, width=320, height=180, busy=0.4)
    known = Known(scene)
    assert [len(known.frames(fps)) for fps in (30, 15, 5)] == [210, 105, 35]
    crossings = known.crossings(scene.line)
    assert crossings
    assert crossings == sorted(crossings, key=lambda each: each.time)
    visits = known.visits(scene.zone)
    crossed = {each.id for each in crossings if 2 < each.time < 4}
    assert crossed <= {each.id for each in visits}  # the line lies in the zone
    assert any(each.seconds > 2 for each in visits)
    crowds = known.crowded(visits, 3)
    assert all(start < end for start, end in crowds)
    assert all(end - start > 0 for start, end in known.pauses().values())
    known.cut(0.4, 4.0)
    assert max(each.time for each in known.crossings(scene.line)) < 4.0
    assert len(known.frames(30)) == 108
    assert min(each.start for each in known.visits(scene.zone)) >= 0.4
    with pytest.raises(ValueError, match="30 frames a second"):
        known.frames(25)


def test_a_calibration_puts_feet_on_the_ground() -> None:
    from millrace.analytics.world import homography_of

    scene = Scene(4, 320, 180, 5, 10)
    fit = homography_of(scene.calibration, scene.width, scene.height)
    start, end = scene.way(1.5)
    assert fit.ground(start) == pytest.approx((1.5, scene.middle() - 3), abs=0.01)
    assert fit.ground(end) == pytest.approx((1.5, scene.middle() + 7), abs=0.01)
