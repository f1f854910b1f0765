"""Dewarping: rays against formulas written another way, pictures made by the opposite projection."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest

from millrace.imaging.cpu import open_imaging
from millrace.imaging.dewarp import PROJECTIONS, Surface, surface_of, ways
from millrace.media import Image

imaging = open_imaging()


def at(surface: Surface, column: int, row: int, width: int = 800, height: int = 600) -> tuple[float, float]:
    made = ways(surface, width, height)
    return float(made.x[row, column]), float(made.y[row, column])


def test_an_equidistant_fisheye_becomes_perspective():
    """r = f tan(a) there is r = f a here."""
    surface = Surface("fisheye-perspective", 401, 301, (200.0,), out_focal=(150.0,), out_centre=(200.0, 150.0))
    x, y = at(surface, 350, 150)
    assert (x, y) == (pytest.approx(399.5 + 200 * math.atan(1.0), abs=1e-3), pytest.approx(299.5, abs=1e-3))
    x, y = at(surface, 200, 0)
    assert (x, y) == (pytest.approx(399.5, abs=1e-3), pytest.approx(299.5 - 200 * math.atan(1.0), abs=1e-3))


@pytest.mark.parametrize(
    ("turn", "place"),
    [({"pitch": 30}, (0, -1)), ({"yaw": 30}, (1, 0)), ({"yaw": -30}, (-1, 0)), ({"pitch": -30}, (0, 1))],
)
def test_pitch_looks_up_and_yaw_to_the_right(turn, place):
    surface = Surface("fisheye-perspective", 101, 101, (300.0,), out_centre=(50.0, 50.0), **turn)
    x, y = at(surface, 50, 50)
    reach = 300 * math.radians(30)
    assert (x - 399.5, y - 299.5) == (
        pytest.approx(place[0] * reach, abs=1e-3), pytest.approx(place[1] * reach, abs=1e-3)
    )  # fmt: skip


def test_roll_turns_the_viewer_clockwise_in_the_order_of_the_axes():
    surface = Surface("fisheye-perspective", 101, 101, (300.0,), out_centre=(50.0, 50.0), roll=90)
    x, y = at(surface, 90, 50)  # what lies to the right of one who lies on his right side is below
    assert x == pytest.approx(399.5, abs=1e-3) and y > 299.5 + 30
    first = Surface("fisheye-perspective", 101, 101, (300.0,), out_centre=(50.0, 50.0), roll=90, pitch=30, axes="ZXY")
    x, y = at(first, 50, 50)  # rolled first, then up: which is to the right of the room
    assert (x - 399.5, y - 299.5) == (pytest.approx(300 * math.radians(30), abs=1e-3), pytest.approx(0, abs=1e-3))


def test_a_matrix_is_what_the_angles_are():
    cos, sin = math.cos(math.radians(-60)), math.sin(math.radians(-60))
    matrix = (cos, sin, 0, -sin, cos, 0, 0, 0, 1)  # DeepStream's example: the same as roll = -60
    one = Surface("fisheye-fisheye", 200, 100, (100.0,), matrix=matrix)
    other = Surface("fisheye-fisheye", 200, 100, (100.0,), roll=-60)
    assert np.allclose(ways(one, 300, 200).x, ways(other, 300, 200).x, atol=1e-3)


@pytest.mark.parametrize("view", ["perspective", "fisheye", "equirect", "cylinder", "vertical-cylinder", "pushbroom",
                                  "panini", "stereographic"])  # fmt: skip
def test_top_and_bottom_are_the_angles_of_the_middle_column(view):
    surface = Surface(f"fisheye-{view}", 201, 101, (300.0,), top=40, bottom=-20)
    made = ways(surface, 800, 600)
    assert made.x[0, 100] == pytest.approx(399.5, abs=1e-2)
    assert 299.5 - made.y[0, 100] == pytest.approx(300 * math.radians(40), abs=0.05)
    assert made.y[100, 100] - 299.5 == pytest.approx(300 * math.radians(20), abs=0.05)


def test_a_cylinder_and_an_equirect_go_by_angles_along_the_row():
    for view in ("cylinder", "equirect"):
        surface = Surface(f"equirect-{view}", 360, 3, out_focal=(180 / math.pi,), out_centre=(179.5, 1.0))
        made = ways(surface, 720, 360)
        steps = np.diff(made.x[1])
        assert np.allclose(steps, 2.0, atol=1e-3)
    surface = Surface("equirect-vertical-cylinder", 3, 180, out_focal=(180 / math.pi,), out_centre=(1.0, 89.5))
    assert np.allclose(np.diff(ways(surface, 720, 360).y[:, 1]), 2.0, atol=1e-3)


@pytest.mark.parametrize("control", [0.0, 0.5, 1.0])
def test_panini_and_stereographic_by_their_formulas(control):
    for view in ("panini", "stereographic"):
        surface = Surface(f"equirect-{view}", 301, 3, out_focal=(100.0,), out_centre=(150.0, 1.0), control=control)
        made = ways(surface, 3600, 1800)
        angle = (made.x[1, 200] - (3600 / 2 - 0.5)) / (3600 / (2 * math.pi))  # 50 pixels right of the centre: h = 0.5
        h = (control + 1) * math.sin(angle) / (control + math.cos(angle))
        assert h == pytest.approx(0.5, abs=1e-3), view


def test_distortion_is_opencvs():
    """cv2 knows both lenses; its order of numbers is k1 k2 p1 p2 k3."""
    points = np.array([[0.3, -0.2, 1.0], [-0.5, 0.4, 1.0]])
    camera = np.array([[500.0, 0, 399.5], [0, 480.0, 299.5], [0, 0, 1]])
    zero = np.zeros(3)
    plain = {"width": 401, "height": 301, "focal": (500.0, 480.0), "out_focal": (100.0,), "out_centre": (200.0, 150.0)}
    for lens, k in (("perspective", (-0.1, 0.02, -0.003, 0.004, 0.005)), ("fisheye", (0.05, -0.01, 0.002, 0.001))):
        made = ways(Surface(f"{lens}-perspective", distortion=k, **plain), 800, 600)
        if lens == "fisheye":
            wanted, _ = cv2.fisheye.projectPoints(points[:, None], zero, zero, camera, np.array(k))
        else:
            wanted, _ = cv2.projectPoints(points, zero, zero, camera, np.array([k[0], k[1], k[3], k[4], k[2]]))
        for (x, y, _), place in zip(points, wanted.reshape(-1, 2), strict=True):
            column, row = round(200 + 100 * x), round(150 + 100 * y)
            assert (made.x[row, column], made.y[row, column]) == pytest.approx(tuple(place), abs=2e-3), lens


def test_a_field_of_view_gives_the_focal_length():
    surface = Surface("fisheye-fisheye", 600, 600, fov=180)
    made = ways(surface, 600, 600)
    assert np.allclose(made.x, np.arange(600)[None], atol=1e-3) and np.allclose(
        made.y, np.arange(600)[:, None], atol=1e-3
    )
    x, _ = at(Surface("fisheye-perspective", 3, 3, fov=180, yaw=90, out_centre=(1.0, 1.0)), 1, 1, 600, 600)
    assert x == pytest.approx(299.5 + 300, abs=1e-2)
    with pytest.raises(ValueError, match="fov 200 is more than a perspective lens shows"):
        ways(Surface("perspective-panini", 10, 10, fov=200), 600, 600)


def test_every_projection_gives_places_or_none():
    for projection in PROJECTIONS:
        made = ways(Surface(projection, 64, 48, (40.0,), pitch=70, yaw=120, top=60, bottom=-60), 80, 60)
        known = np.isfinite(made.x) & np.isfinite(made.y)
        assert made.x.shape == (48, 64) and (known.any() or projection.startswith("perspective"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"projection": "fish"}, "projection 'fish' is not one of fisheye-perspective"),
        ({"focal": 100, "focus": 1}, "'focus' is no field of a surface"),
        ({"width": 100}, "give focal, pixels a radian, or fov"),
        ({"focal": [1, 2, 3]}, "focal has 3 numbers; allowed are 0, 1, 2"),
        ({"focal": 100, "top": -10, "bottom": 10}, "it is the greater of the two"),
        ({"focal": 100, "top": 90, "bottom": -90}, "top and bottom of perspective lie between -90 and 90"),
        ({"focal": 100, "axes": "XYX"}, "axes 'XYX' is not one of XYZ"),
        ({"focal": -5}, "focal lengths are more than 0 pixels"),
        ({"focal": 100, "matrix": [1, 0]}, "matrix has 2 numbers; allowed are 0, 9"),
    ],
)
def test_surfaces_that_are_none(given, said):
    with pytest.raises(ValueError, match=said):
        surface_of(given)


def chart(width: int, height: int) -> Image:
    y, x = np.mgrid[0:height, 0:width].astype(float)
    rgb = np.stack([128 + 90 * np.sin(x / 25), 128 + 90 * np.sin(y / 20), 128 + 60 * np.sin((x + y) / 40)], axis=2)
    return imaging.convert(Image("RGB", [rgb.astype(np.uint8)], width, height), "I420")


@pytest.mark.parametrize("format", ["I420", "NV12", "RGB"])
def test_there_and_back(format):
    """A fisheye picture made of a flat one by OpenCV's own projection is the flat one when it is straightened."""
    flat = imaging.convert(chart(640, 480), format)
    focal = 260.0
    y, x = np.mgrid[0:480, 0:640].astype(np.float64)
    rays = np.stack([(x - 319.5) / focal, (y - 239.5) / focal], axis=2).reshape(-1, 1, 2)
    points = cv2.fisheye.undistortPoints(rays, np.eye(3), np.zeros(4)).reshape(480, 640, 2) * 300 + (319.5, 239.5)
    bent_rgb = cv2.remap(flat.to_rgb(), *points.astype(np.float32).transpose(2, 0, 1), cv2.INTER_CUBIC)
    bent = imaging.convert(Image("RGB", [bent_rgb], 640, 480), format)
    surface = Surface("fisheye-perspective", 640, 480, (focal,), out_focal=(300.0,), out_centre=(319.5, 239.5))
    straight = imaging.remap(bent, ways(surface, 640, 480))
    assert straight.format == format
    inner = np.s_[100:380, 130:510]
    difference = np.abs(straight.to_rgb().astype(int) - flat.to_rgb().astype(int))[inner]
    assert difference.mean() <= 2.0, difference.mean()


def test_the_known_fisheye_clip(corpus):
    """The clip was made of frames 180 to 249 of another; straightened, it must give them back: 3 levels at most."""
    import av

    from millrace.decoders.libav import image_of

    folder = corpus / "videos"
    known = json.loads((folder / "derived/car_fisheye_equidistant_720.json").read_text())
    flat = known["perspective"]
    surface = Surface(
        "fisheye-perspective", flat["width"], flat["height"], (known["focal_px"],), centre=(known["cx"], known["cy"]),
        out_focal=(flat["fx"], flat["fy"]), out_centre=(flat["cx"], flat["cy"]),
    )  # fmt: skip
    way = ways(surface, known["width"], known["height"])
    inside = np.hypot(way.x - known["cx"], way.y - known["cy"]) < known["circle_radius"] - 2
    assert inside.mean() > 0.9
    reformatter, errors = av.video.reformatter.VideoReformatter(), []
    with (
        av.open(str(folder / "car-detection.mp4")) as one,
        av.open(str(folder / "derived/car_fisheye_equidistant_720.mp4")) as other,
    ):
        bent = other.decode(video=0)
        for index, wanted in enumerate(one.decode(video=0)):
            if 180 <= index < 250:
                straight = imaging.remap(image_of(next(bent), reformatter), way).planes[0]
                errors.append(np.abs(straight.astype(int) - image_of(wanted, reformatter).planes[0])[inside].mean())
    assert len(errors) == 70 and np.mean(errors) <= 2.0 and max(errors) <= 3.0, (np.mean(errors), max(errors))


def test_what_lies_outside_is_black_or_the_edge():
    white = Image("I420", [np.full((60, 80), 235, np.uint8), *[np.full((30, 40), 128, np.uint8)] * 2], 80, 60)
    flat = {"width": 80, "height": 60, "focal": (20.0,)}
    edge = imaging.remap(white, ways(Surface("fisheye-fisheye", out_focal=(8.0,), **flat), 80, 60))
    black = imaging.remap(white, ways(Surface("fisheye-fisheye", out_focal=(8.0,), border=True, **flat), 80, 60))
    assert edge.planes[0][30, 0] == 16  # more than 180 degrees from the axis: there is no such ray
    assert edge.planes[0][30, 22] == 235 and black.planes[0][30, 22] == 16
    assert black.planes[0][30, 40] == 235


def test_an_equirect_picture_goes_around():
    """Turned by half, the seam lies in the middle, and nothing is seen of it."""
    columns = (128 + 80 * np.sin(np.arange(256) / 256 * 2 * math.pi)).astype(np.uint8)
    planes = [np.tile(columns, (128, 1)), np.tile(columns[::2], (64, 1)), np.full((64, 128), 128, np.uint8)]
    around = Image("I420", planes, 256, 128)
    out = imaging.remap(around, ways(Surface("equirect-equirect", 256, 128, yaw=180), 256, 128))
    assert np.abs(out.planes[0][64].astype(int) - np.roll(columns, 128)).max() <= 2
    assert np.abs(out.planes[1][32].astype(int) - np.roll(columns[::2], 64)).max() <= 3


def test_a_surface_is_scaled_to_the_size_that_leaves():
    surface = Surface("fisheye-perspective", 400, 100, (100.0,), top=30, bottom=-30)
    whole, small = ways(surface, 300, 300), ways(surface, 300, 300, (200, 80))
    assert small.x.shape == (80, 200) and np.isnan(small.y[51:]).all() and np.isfinite(small.y[:49]).all()
    assert small.x[25, 100] == pytest.approx((whole.x[50, 200] + whole.x[51, 201]) / 2, abs=0.2)


def test_a_picture_without_a_height_gives_no_focal_length():
    with pytest.raises(ValueError, match="a picture of 16x1 is too small"):
        ways(surface_of({"fov": 90, "width": 20, "height": 20}), 16, 1)
