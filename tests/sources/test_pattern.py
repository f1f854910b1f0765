from __future__ import annotations

import itertools

import numpy as np
import pytest

import millrace
from millrace.core.errors import ConfigError
from millrace.sources import open_source
from millrace.sources.pattern import BARS, bars
from millrace.sources.patterns import MOVING, NAMES
from millrace.testing.run import run


def test_settings_stand_in_the_address():
    frames = run(millrace.open("pattern:?width=321&height=181&fps=50&frames=6"))
    assert [frame.pts for frame in frames] == [i * 20_000_000 for i in range(6)]
    assert {(f.image.width, f.image.height, f.image.format, f.stream) for f in frames} == {
        (321, 181, "I420", "pattern")
    }
    assert [plane.shape for plane in frames[0].image.planes] == [(181, 321), (91, 161), (91, 161)]


def test_seconds_and_caps():
    start, *frames = open_source("a", "pattern:", seconds=0.5, fps=30).read()
    assert len(frames) == 15 and start.caps["frames"] == 15 and start.caps["duration"] == 500_000_000
    assert start.caps.kind == "frames" and start.caps["fps"] == 30


def test_without_an_end_it_goes_on():
    items = open_source("a", "pattern:", width=32, height=32).read()
    assert next(items).caps["frames"] is None
    assert next(itertools.islice(items, 500, None)).index == 500


def test_bars_have_their_colours():
    frame = run(millrace.open("pattern:?width=700&height=200&frames=1"))[0]
    rgb = frame.image.to_rgb()[20, 50::100].astype(int)
    wanted = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)]
    assert len(BARS) == 7 and np.abs(rgb - wanted).max() <= 4, "75 % of 255 is 191"


def test_every_picture_differs_and_is_the_same_each_time():
    first, second = (run(millrace.open("pattern:?width=160&height=90&frames=30")) for _ in range(2))
    seen = {frame.image.planes[0].tobytes() for frame in first}
    assert len(seen) == 30
    assert all((a.image.planes[0] == b.image.planes[0]).all() for a, b in zip(first, second, strict=True))


def test_pictures_may_be_written_on():
    frames = run(millrace.open("pattern:?width=64&height=64&frames=2").map(lambda frame: frame.image.planes[1].fill(0)))
    assert len(frames) == 2
    assert bars(64, 64)[1].any() and not frames[1].image.planes[1].any()


def test_a_part_and_loops():
    frames = run(millrace.open("pattern:?frames=10&width=32&height=32", start=0.2, stop=0.3, loop=2))
    assert [frame.pts // 1_000_000 for frame in frames] == [200, 240, 280, 300, 340, 380]


def test_what_is_wrong_is_said():
    with pytest.raises(ConfigError, match="width=4 is not allowed: at least 16"):
        millrace.open("pattern:?width=4").pipeline()
    with pytest.raises(ConfigError, match=r"no setting 'hight'\. Did you mean 'height'"):
        millrace.open("pattern:?hight=4").pipeline()


def rgb(name: str, width: int = 280, height: int = 180, index: int = 0, **settings) -> np.ndarray:
    source = open_source("a", "pattern:", pattern=name, width=width, height=height, **settings)
    return source.picture(index).to_rgb().astype(int)


@pytest.mark.parametrize("name", NAMES)
def test_every_named_picture_at_every_size(name):
    for size in ((280, 180), (33, 17)):
        source = open_source("a", "pattern:", pattern=name, width=size[0], height=size[1])
        first, again, later = source.picture(0), source.picture(0), source.picture(7)
        half = ((size[1] + 1) // 2, (size[0] + 1) // 2)
        assert [plane.shape for plane in first.planes] == [size[::-1], half, half]
        assert all(np.array_equal(a, b) for a, b in zip(first.planes, again.planes, strict=True))
        same = all(np.array_equal(a, b) for a, b in zip(first.planes, later.planes, strict=True))
        assert same == (name not in MOVING)
        first.planes[0].fill(0)  # it is given away
        assert np.array_equal(source.picture(0).planes[0], again.planes[0])


def test_colours_of_named_pictures():
    assert np.abs(rgb("smpte100")[90, 20::40] - np.array(
        [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255)]
    )).max() <= 4  # fmt: skip
    assert np.abs(rgb("smpte")[10, 20::40] - rgb("smpte75")[10, 20::40]).max() == 0
    assert np.abs(rgb("smpte")[125, 20] - (0, 0, 191)).max() <= 4  # blue stands below white
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255)), ("black", (0, 0, 0)), ("white", (255,) * 3)):
        assert np.abs(rgb(name) - colour).max() <= 3
    assert np.abs(rgb("solid-color", colour="#ff8000") - (255, 128, 0)).max() <= 4
    squares = rgb("checkers-8")
    assert np.abs(squares[4, 4] - (0, 255, 0)).max() <= 3 and np.abs(squares[4, 12] - (255, 0, 0)).max() <= 3
    assert rgb("gradient")[0].max() <= 2 and rgb("gradient")[-1].min() >= 253
    assert rgb("blink", index=0).max() <= 2 and rgb("blink", index=1).min() >= 253


def test_the_ball_moves_and_patterns_scroll():
    centres = []
    for index in (0, 50):
        rows, columns = np.nonzero(rgb("ball", index=index)[..., 0] > 128)
        centres.append((columns.mean(), rows.mean()))
    assert centres[0] == pytest.approx((139.5, 89.5), abs=0.6) and centres[1][0] == pytest.approx(280 - 15.5, abs=0.6)
    still, gone = rgb("bar"), rgb("bar", index=3, speed=4)
    assert np.array_equal(np.roll(still, -12, axis=1), gone)


def test_settings_of_named_pictures_that_are_wrong():
    with pytest.raises(ConfigError, match=r"smtpe.*smpte"):
        run(millrace.open("pattern:?pattern=smtpe&frames=1"))
    with pytest.raises(ConfigError, match=r"colour='red'.*like #ff8000"):
        rgb("solid-color", colour="red")
