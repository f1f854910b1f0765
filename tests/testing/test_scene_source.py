from __future__ import annotations

import numpy as np
import pytest

import millrace
from millrace.core.errors import SourceError
from millrace.testing.run import run
from millrace.testing.scene import Scene
from millrace.testing.scene_source import SceneSource

ADDRESS = "scene:?seed=5&seconds=0.2&width=320&height=180"


def test_a_scene_is_read_as_it_is_rendered():
    frames = run(millrace.open(ADDRESS))
    scene = Scene(5, 320, 180, 25, 5)
    assert [frame.pts for frame in frames] == [i * 40_000_000 for i in range(5)]
    for frame, (rgb, _) in zip(frames, scene.frames(), strict=True):
        difference = np.abs(frame.image.to_rgb().astype(int) - rgb)
        assert np.median(difference) <= 3 and difference.mean() < 8, "chroma is halved"


def test_the_same_scene_twice_and_its_truth():
    one, two = run(millrace.open(ADDRESS)), run(millrace.open(ADDRESS))
    assert all((a.image.planes[0] == b.image.planes[0]).all() for a, b in zip(one, two, strict=True))
    source = SceneSource(seed=5, seconds=0.2, width=320, height=180)
    assert len(run(millrace.open(source))) == 5 == len(source.scene.truth.frames)


def test_loops_and_parts():
    frames = run(millrace.open(ADDRESS, start=0.08, stop=0.16, loop=2))
    assert [frame.pts // 1_000_000 for frame in frames] == [80, 120, 160, 200]


def test_an_odd_size_is_refused():
    with pytest.raises(SourceError, match="even width and height, not 321x180"):
        run(millrace.open("scene:?width=321&height=180"))
