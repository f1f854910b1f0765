"""Camera motion, on pictures that were moved by a known amount."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from millrace.core.caps import Caps
from millrace.core.errors import ConfigError
from millrace.core.item import StreamStart
from millrace.elements.track import Track
from millrace.media import Frame, Image, Object, box
from millrace.trackers.camera import Camera

W, H = 640, 360


def ground(size: int = 1600) -> np.ndarray:
    """Something to look at."""
    noise = np.random.default_rng(4).integers(0, 255, (size // 8, size // 8)).astype(np.uint8)
    return cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)


def view(scene: np.ndarray, x: float, y: float, turn: float = 0.0, zoom: float = 1.0) -> Image:
    """What a camera sees whose middle is at (x, y)."""
    warp = cv2.getRotationMatrix2D((x, y), turn, zoom)
    warp[:, 2] += (W / 2 - x, H / 2 - y)
    return Image("GRAY8", [cv2.warpAffine(scene, warp, (W, H))], W, H)


@pytest.mark.parametrize(("turn", "zoom"), [(0.0, 1.0), (1.0, 1.0), (0.0, 1.02)])
def test_shift_turn_and_zoom(turn: float, zoom: float) -> None:
    scene, camera = ground(), Camera()
    assert camera.warp(view(scene, 800, 800), []) is None
    warp = camera.warp(view(scene, 806, 797, turn, zoom), [])
    assert warp is not None
    point = np.array([W / 2, H / 2])
    assert warp[:, :2] @ point + warp[:, 2] - point == pytest.approx(np.array([-6, 3]), abs=0.5)
    assert np.sqrt(np.linalg.det(warp[:, :2])) == pytest.approx(zoom, abs=0.003)
    assert np.degrees(np.arctan2(warp[0, 1], warp[0, 0])) == pytest.approx(turn, abs=0.1)


def test_a_still_camera_and_what_cannot_be_seen() -> None:
    scene, camera = ground(), Camera()
    for _ in range(3):
        assert camera.warp(view(scene, 800, 800), []) is None
    grey = Image("GRAY8", [np.full((H, W), 90, np.uint8)], W, H)
    assert camera.warp(grey, []) is None
    assert camera.warp(grey, []) is None


def test_what_moves_by_itself_does_not_count() -> None:
    scene, other = ground(), ground()[::-1]
    camera = Camera()
    found = [Object(box((140, 60, 500, 300)), 0, "lorry", 0.9)]
    for n in range(2):
        picture = view(scene, 800, 800)
        picture.planes[0][60:300, 140:500] = view(other, 800 - 9 * n, 800).planes[0][60:300, 140:500]
        assert camera.warp(picture, found) is None


@pytest.mark.parametrize("fmt", ["RGB", "P010", "I420"])
def test_every_format(fmt: str) -> None:
    scene, camera = ground(), Camera()
    warps = []
    for x in (800, 808):
        grey = view(scene, x, 800).planes[0]
        plane = {"RGB": np.repeat(grey[..., None], 3, 2), "P010": grey.astype(np.uint16) << 8, "I420": grey}[fmt]
        warps.append(camera.warp(Image(fmt, [plane], W, H), []))  # type: ignore[arg-type]
    assert warps[1][:, 2] == pytest.approx(np.array([-8, 0]), abs=0.3)


def test_pictures_on_a_device_are_an_error() -> None:
    with pytest.raises(ConfigError, match="memory of cuda:0"):
        Camera().warp(Image("NV12", [None, None], W, H, memory="cuda:0"), [])


@pytest.mark.parametrize("on", [False, True])
def test_identities_survive_a_jolt(on: bool) -> None:
    """Two that stand still, close together; the camera jumps by as much as they are apart."""
    track, scene = Track(camera_motion=on), ground()
    track.start_stream(StreamStart("a", Caps("frames", width=W, height=H)))
    for n in range(12):
        x = 800 + (45 if n >= 8 else 0)
        places = [(1000 - x + k * 45, 150) for k in (0, 1)]
        found = [Object(box((left, y, left + 40, y + 80)), 0, "person", 0.9) for left, y in places]
        frame = Frame("a", n, n * 40_000_000, view(scene, x, 800), objects=found, inferred=["detector"])
        track.process_frame(frame)
        ids = [o.id for o in frame.objects[:2]]
    assert (ids == [1, 2]) is on
