"""How the camera moved from one picture to the next: what stands still tells.

Corners of the picture before (Shi and Tomasi, "Good features to track", CVPR 1994), outside of objects, are found again
by Lucas and Kanade's optical flow; the shift, turn and zoom that most of them agree on is the camera's (RANSAC). Where
that fails, phase correlation of the whole pictures gives a first guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..media import Image, Object
from .patches import rows_of

LONGER_SIDE = 384  # pixels of the picture that is looked at
CORNERS = 200
ENOUGH = 12  # corners that must agree, and be the greater part
NEAR = 10  # pixels of it around an object in which corners are not looked for: flow sees that far
STILL = 0.3  # pixels of the source: less is no motion


class Camera:
    """The camera of one stream."""

    def __init__(self) -> None:
        self.before: NDArray[np.uint8] | None = None
        self.boxes: NDArray[np.float32] = np.zeros((0, 4), np.float32)

    def warp(self, image: Image, objects: Sequence[Object]) -> NDArray[np.float64] | None:
        """[2, 3]: where what stands still has gone since the picture before, in source pixels; None: it did not move.

        `objects` are those of this picture: what may move by itself does not count in the next.
        """
        now, scale = small(image)
        before, boxes = self.before, self.boxes
        self.before = now
        self.boxes = np.array([found.box for found in objects], np.float32).reshape(-1, 4) * scale
        if before is None or before.shape != now.shape:
            return None
        found = between(before, now, boxes)
        if found is None:
            return None
        found[:, 2] /= scale
        frame = np.array([[0, 0], [image.width, 0], [0, image.height], [image.width, image.height]], np.float64)
        moved = frame @ found[:, :2].T + found[:, 2] - frame
        return found if np.abs(moved).max() >= STILL else None

    def forget(self) -> None:
        """The next picture has none before it."""
        self.before = None


def small(image: Image) -> tuple[NDArray[np.uint8], float]:
    """A picture in grey, small, and its scale."""
    import cv2

    plane: Any = rows_of(image, image.planes[0], 0, image.height)
    if plane.ndim == 3:
        plane = cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY if image.format == "RGB" else cv2.COLOR_BGR2GRAY)
    if plane.dtype == np.uint16:
        plane = (plane >> 8).astype(np.uint8)
    scale = min(1.0, LONGER_SIDE / max(image.width, image.height))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return cv2.resize(np.ascontiguousarray(plane), size, interpolation=cv2.INTER_AREA), scale


def between(
    before: NDArray[np.uint8], now: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> NDArray[np.float64] | None:
    """Shift, turn and zoom [2, 3] from one grey picture to the next; None where too little agrees."""
    import cv2

    mask = np.full(before.shape, 255, np.uint8)
    for x1, y1, x2, y2 in boxes.astype(int).tolist():
        mask[max(0, y1 - NEAR) : max(0, y2 + NEAR), max(0, x1 - NEAR) : max(0, x2 + NEAR)] = 0
    corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.01, 8, mask=mask)
    if corners is None or len(corners) < ENOUGH:
        return None
    found = _agreed(before, now, corners, corners)
    if found is None:  # too far for the eye of optical flow: where does the whole picture go?
        shift, _ = cv2.phaseCorrelate(before.astype(np.float32), now.astype(np.float32))
        found = _agreed(before, now, corners, corners + np.array(shift, np.float32))
    return found


def _agreed(before: Any, now: Any, corners: Any, guess: Any) -> NDArray[np.float64] | None:
    """What most corners agree on, looked for from a guess of where they are."""
    import cv2

    there, ok, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, guess.copy(), flags=cv2.OPTFLOW_USE_INITIAL_FLOW)
    kept = ok.reshape(-1) == 1
    if np.count_nonzero(kept) < ENOUGH:
        return None
    warp, inliers = cv2.estimateAffinePartial2D(
        corners[kept], there[kept], method=cv2.RANSAC, ransacReprojThreshold=1.0
    )
    if warp is None or inliers.sum() < max(ENOUGH, 0.5 * np.count_nonzero(kept)):
        return None
    return np.asarray(warp, np.float64)
