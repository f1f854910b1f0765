"""What lies at an angle comes upright: against pictures drawn upright."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from millrace.imaging.convert import convert
from millrace.imaging.straighten import straighten
from millrace.media import Image


def card():
    """A card of 60 x 24 whose four quarters differ."""
    out = np.zeros((24, 60, 3), np.uint8)
    out[:12, :30], out[:12, 30:] = (250, 40, 40), (40, 250, 40)
    out[12:, :30], out[12:, 30:] = (40, 40, 250), (220, 220, 60)
    return out


def scene(angle, centre=(100, 80)):
    """The card turned clockwise by an angle about a point of a grey picture."""
    way = cv2.getRotationMatrix2D((30, 12), -math.degrees(angle), 1)
    way[:, 2] += (centre[0] - 30, centre[1] - 12)
    out = np.full((160, 200, 3), 128, np.uint8)
    return cv2.warpAffine(card(), way, (200, 160), out, borderMode=cv2.BORDER_TRANSPARENT)


@pytest.mark.parametrize("angle", [0.0, 0.3, -0.8, math.pi / 2, 3.0])
@pytest.mark.parametrize("format", ["RGB", "I420"])
def test_the_card_comes_upright(angle, format):
    image = Image("RGB", [scene(angle)], 200, 160)
    image = convert(image, format) if format != "RGB" else image
    out = straighten(image, (70, 68, 130, 92), angle)
    assert (out.format, out.width, out.height) == ("RGB", 60, 24)
    far = np.abs(out.planes[0].astype(int) - card().astype(int))
    inner = np.ones((24, 60), bool)
    inner[10:14], inner[:, 28:32] = False, False
    inner[:2] = inner[-2:] = inner[:, :2] = inner[:, -2:] = False
    assert far[inner].mean() < (4 if format == "RGB" else 14)


def test_what_reaches_beyond_the_picture_repeats_its_edge():
    out = straighten(Image("GRAY8", [np.full((40, 40), 77, np.uint8)], 40, 40), (20, -10, 60, 10), 0.5)
    assert (out.width, out.height) == (40, 20) and (out.planes[0] == 77).all()
