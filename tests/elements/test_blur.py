"""blur: who is to be hidden is hidden, in every frame, before anything is encoded."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.core import Caps, Context, SettingError, StreamStart
from millrace.elements.blur import Blur
from millrace.media import Frame, Image, Object, box
from millrace.testing.clips import write_video

SIZE = (160, 120)


def noise(stream: str = "a", index: int = 0, objects: list[Object] | None = None) -> Frame:
    rng = np.random.default_rng(5)
    planes = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in ((120, 160), (60, 80), (60, 80))]
    return Frame(stream, index, index * 100_000_000, Image("I420", planes, *SIZE), objects=objects or [])


def thing(label: str = "person", at=(40, 40, 80, 100), **more) -> Object:
    return Object(box(at), 0, label, 0.9, **more)


def blur(*streams: str, **settings) -> Blur:
    element = Blur(**settings)
    element.open(Context("blur"))
    for stream in streams or ("a",):
        element.start_stream(StreamStart(stream, Caps("frames")))
    return element


def hidden(shown: Frame) -> np.ndarray:
    return shown.image.planes[0] != noise().image.planes[0]


def test_only_the_classes_that_were_asked_for():
    shown = noise(objects=[thing("face", (10, 10, 40, 40)), thing("car", (90, 60, 150, 110))])
    element = blur(classes=["person", "face"], margin=0)
    element.process_frame(shown)
    marks = hidden(shown)
    assert marks[12:38, 12:38].mean() > 0.9
    marks[10:40, 10:40] = False
    assert not marks.any()


def test_by_default_every_object_and_a_margin():
    shown = noise(objects=[thing("face", (40, 40, 60, 60)), thing("car", (100, 60, 140, 110))])
    blur(margin=0.2).process_frame(shown)
    marks = hidden(shown)
    assert marks[37:63, 37:63].mean() > 0.9 and marks[60:110, 100:140].mean() > 0.9
    assert not marks[:34].any()


def test_zones_are_always_hidden_of_the_streams_they_name():
    points = [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]
    element = blur("a", "b", zones={"door": {"points": points, "streams": ["a"]}})
    first, second = noise("a"), noise("b", objects=[thing()])
    for shown in (first, second):
        element.process_frame(shown)
    assert hidden(first)[:58, :78].mean() > 0.9 and not hidden(first)[62:, :].any()
    assert not hidden(second).any()  # with zones, objects only where classes are given


@pytest.mark.parametrize("identity", [None, 7])
def test_what_is_missed_for_a_moment_stays_hidden(identity):
    element = blur(hold=0.35)
    counts = []
    for index in range(8):
        shown = noise(index=index, objects=[thing(id=identity)] if index in (0, 1) else [])
        element.process_frame(shown)
        counts.append(bool(hidden(shown).any()))
    assert counts == [True, True, True, True, True, False, False, False]
    assert not element.seen["a"]


def test_a_moving_object_leaves_no_trail_of_hidden_places():
    element = blur(margin=0)
    for index in range(5):
        for identity in (None, 3):
            shown = noise(index=index, objects=[thing(at=(index * 20, 40, index * 20 + 20, 80), id=identity)])
        element.process_frame(shown)
    assert hidden(shown)[:, 82:98].any() and not hidden(shown)[:, :78].any()


def test_state_is_freed_with_the_stream_and_at_a_discontinuity():
    element = blur("a", "b")
    for stream in "ab":
        element.process_frame(noise(stream, objects=[thing(id=1)]))
    element.start_stream(StreamStart("b", Caps("frames"), epoch=1, discontinuity=True))
    assert element.seen["a"] and not element.seen["b"]
    assert list(element.end_stream("a")) == [] and "a" not in element.seen


def test_turned_boxes_and_others_pictures():
    shown = noise(objects=[thing(at=(60, 50, 100, 60), angle=np.pi / 2)])
    other = shown.fork()
    blur(margin=0).process_frame(shown)
    rows, columns = np.nonzero(hidden(shown))
    assert 34 <= rows.min() <= 38 and 72 <= rows.max() <= 76 and columns.min() >= 72 and columns.max() <= 88
    assert np.array_equal(other.image.planes[0], noise().image.planes[0])


@pytest.mark.parametrize(
    "zone", [{"points": [[0, 0], [1, 1]]}, {"points": "x"}, [[0, 0]], {"points": [[0, 0]] * 3, "x": 1}]
)
def test_a_wrong_zone_is_an_error(zone):
    with pytest.raises(SettingError, match=r"blur: zones.door=.*at least 3"):
        blur(zones={"door": zone})


def test_nothing_of_it_is_in_the_encoded_file(tmp_path):
    """A picture of fine stripes goes through the whole chain; in the file the stripes of the zone are gone."""
    import millrace

    stripes = np.zeros((96, 128, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = (250, 250, 30)
    write_video(tmp_path / "in.mp4", [stripes] * 5, options={"crf": "1"})
    points = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
    flow = millrace.open(str(tmp_path / "in.mp4")).blur(zones={"left": {"points": points}})
    flow.encode(quality=1).file(path=str(tmp_path / "out.mp4")).run()
    frames = list(millrace.open(str(tmp_path / "out.mp4")))
    assert len(frames) == 5
    for frame in frames:
        luma = frame.image.planes[0].astype(int)
        assert np.abs(np.diff(luma[:, 4:58], axis=1)).max() <= 12  # cells of many stripes, all alike
        assert np.abs(np.diff(luma[:, 70:], axis=1)).max() > 120
        assert frame.image.planes[1][:, 4:28].std() < 3
