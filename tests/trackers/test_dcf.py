"""The tracker that looks: patches, filters, and targets that it finds where no detection does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.media import Image, Object, box
from millrace.trackers import open_tracker
from millrace.trackers.base import Tracker
from millrace.trackers.patches import cut

W, H = 320, 240
MS = 1_000_000


def texture(seed: int, width: int, height: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 255, (max(2, height // 6), max(2, width // 6), 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


GROUND, THING = texture(1, W, H) // 2, texture(2, 40, 60)


def picture(*places: tuple[int, int]) -> Image:
    """The thing at some places, left and top."""
    pixels = GROUND.copy()
    for x, y in places:
        pixels[y : y + 60, x : x + 40] = THING
    return Image("RGB", [pixels], W, H)


def found(x: int, y: int) -> Object:
    return Object(box((x, y, x + 40, y + 60)), 0, "thing", 0.9)


def zigzag(n: int) -> tuple[int, int]:
    """A way that no constant velocity leads along."""
    return 60 + 4 * n + (4 if n % 8 < 4 else -4), 80 + abs(n % 12 - 6) * 3


def followed(tracker: Tracker, every: int) -> list[float]:
    """How far the middle of its box is from the truth, in frames without detections."""
    off = []
    for n in range(32):
        x, y = zigzag(n)
        looked = n % every == 0
        out = tracker.update([found(x, y)] if looked else [], n * 40 * MS, looked, picture((x, y)))
        assert [o.id for o in out] == [1]
        if not looked:
            middle = (out[0].box[:2] + out[0].box[2:]) / 2
            off.append(float(np.abs(middle - (x + 20, y + 30)).max()))
    return off


def test_between_looks_it_follows_what_it_sees() -> None:
    seen, guessed = followed(open_tracker("dcf"), 4), followed(open_tracker("default"), 4)
    assert np.mean(seen) < 0.6 * np.mean(guessed)
    assert np.mean(seen) < 6


def test_a_missed_detection_is_bridged_while_the_thing_is_there() -> None:
    tracker = open_tracker("dcf", trust=0.4)
    for n in range(8):
        tracker.update([found(60 + 2 * n, 80)], n * 40 * MS, True, picture((60 + 2 * n, 80)))
    shown = []
    for n in range(8, 24):
        out = tracker.update([], n * 40 * MS, True, picture((60 + 2 * n, 80)))
        shown.append([o.id for o in out])
    assert shown[:9] == [[1]] * 9
    assert shown[11:] == [[]] * 5


def test_what_has_gone_is_not_seen() -> None:
    tracker = open_tracker("dcf", coast=0.0)
    for n in range(8):
        tracker.update([found(60, 80)], n * 40 * MS, True, picture((60, 80)))
    assert tracker.update([], 320 * MS, True, picture()) == []


def test_same_pictures_same_tracks() -> None:
    def run() -> list[list[float]]:
        tracker = open_tracker("dcf")
        out = []
        for n in range(16):
            x, y = zigzag(n)
            objects = [found(x, y)] if n % 3 == 0 else []
            out += [o.box.tolist() for o in tracker.update(objects, n * 40 * MS, n % 3 == 0, picture((x, y)))]
        return out

    assert run() == run()


def test_state_is_freed_with_its_target() -> None:
    tracker = open_tracker("dcf", max_age=0.1)
    for n in range(4):
        tracker.update([found(60, 80), found(200, 80)], n * 40 * MS, True, picture((60, 80), (200, 80)))
    assert len(tracker.filters.known) == 2  # type: ignore[attr-defined]
    for n in range(4, 12):
        tracker.update([found(60, 80)], n * 40 * MS, True, picture((60, 80)))
    assert len(tracker.filters.known) == 1  # type: ignore[attr-defined]
    tracker.discontinuity()
    assert not tracker.filters.known  # type: ignore[attr-defined]


def test_it_needs_pictures() -> None:
    with pytest.raises(ConfigError, match="looks at pictures"):
        open_tracker("dcf").update([], 0, True)
    with pytest.raises(ConfigError, match="memory of cuda:0"):
        cut(Image("NV12", [None, None], 8, 8, memory="cuda:0"), np.zeros((1, 4)), 8)


@pytest.mark.parametrize("fmt", ["GRAY8", "RGB", "I420", "NV12"])
def test_patches_are_the_pictures_pixels(fmt: str) -> None:
    y, x = np.mgrid[0:48, 0:64]
    luma, half = (x + 2 * y).astype(np.uint8), (x[:24, :32] * 2).astype(np.uint8)
    planes = {
        "GRAY8": [luma], "RGB": [np.stack([luma] * 3, 2)], "I420": [luma, half, half],
        "NV12": [luma, np.stack([half, half], 2)],
    }[fmt]  # fmt: skip
    patch = cut(Image(fmt, planes, 64, 48), np.array([[20.0, 16.0, 16.0, 16.0]]), 16)  # type: ignore[arg-type]
    assert patch.shape == (1, 1 if fmt == "GRAY8" else 3, 16, 16)
    assert patch[0, 0] == pytest.approx(luma[8:24, 12:28].astype(float), abs=1)
    if fmt in ("I420", "NV12"):
        assert patch[0, 1, :, 0] == pytest.approx(np.full(16, 11.5), abs=1)
