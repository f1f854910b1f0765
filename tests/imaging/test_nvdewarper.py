"""Files of nvdewarper."""

from __future__ import annotations

import pytest

from millrace.core import ConfigError
from millrace.imaging.dewarp import ways
from millrace.imaging.nvdewarper import read_nvdewarper

FILE = """[property]
output-width=640
output-height=360
num-batch-buffers=2
dewarp-dump-frames=3
[surface0]
projection-type=4
surface-index=1
width=800
height=400
top-angle=20
bottom-angle=-30
pitch=10
roll=-38
focal-length=350;340
distortion=0.1;0.2
src-x0=300
rot-axes=ZXY
cuda-address-mode=1
[surface1]
projection-type=17
focal-length=200
control=1
dst-focal-length=100
dst-principal-point=50;60
rot-matrix=1;0;0;0;1;0;0;0;1
[surface2]
projection-type=1
focal-length=100
"""


def write(path, text: str = FILE) -> str:
    path.write_text(text)
    return str(path)


def test_surfaces_of_a_file(tmp_path):
    found = read_nvdewarper(write(tmp_path / "dewarper.txt"))
    assert found.size == (640, 360) and len(found.surfaces) == 2
    first, second = found.surfaces
    assert (first.projection, first.index, first.width, first.height) == ("fisheye-perspective", 1, 800, 400)
    assert (first.top, first.bottom, first.pitch, first.yaw, first.roll) == (20, -30, 10, 0, -38)
    assert (first.focal, first.distortion, first.centre, first.axes) == ((350, 340), (0.1, 0.2), (300, None), "ZXY")
    assert first.border and first.control == 0.6
    assert (second.projection, second.control, second.out_focal) == ("equirect-stereographic", 1, (100,))
    assert second.out_centre == (50, 60) and second.matrix == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    said = {f"{each.group} {each.key}": each for each in found.report.findings()}
    assert said["property dewarp-dump-frames"].status == "ignored"
    assert "num-batch-buffers is 2" in said["surface2 projection-type"].why
    assert not [each for each in found.report.findings() if each.status in ("unknown", "wrong")]


def test_defaults_are_the_references(tmp_path):
    found = read_nvdewarper(write(tmp_path / "d.txt", "[property]\n[surface0]\nprojection-type=3\nsrc-fov=60\n"))
    assert found.size == (960, 752) and found.surfaces[0].focal == () and found.surfaces[0].fov == 60
    assert read_nvdewarper(write(tmp_path / "e.txt", FILE.replace("num-batch-buffers=2\n", "")), 1).surfaces[1:] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[surface0]\nprojection-type=4\nfocal-length=3\n", r"\[property\] output-width: the group"),
        ("[property]\n", r"\[property\] surface0: there is no group \[surfaceN\]"),
        ("[property]\n[surface0]\nfocal-length=3\n", r"d.txt:2: \[surface0\] projection-type: is missing"),
        (
            "[property]\n[surface0]\nprojection-type=19\n",
            r":3: \[surface0\] projection-type: '19' is not one of 1 \(fish",
        ),
        ("[property]\n[surface0]\nprojection-type=4\n", "give focal"),
        ("[property]\nnum-batch-buffers=5\n[surface0]\nprojection-type=4\nfocal-length=3\n", "num-batch-buffers"),
    ],
)
def test_files_that_are_wrong(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read_nvdewarper(write(tmp_path / "d.txt", text))


def test_what_the_reference_passes_over_is_told(tmp_path):
    text = (
        "[property]\n[surface0]\nprojection-type=4\nfocal-length=3\nrot-axes=XX\nrot-matrix=1;2\ncuda-address-mode=7\n"
    )
    found = read_nvdewarper(write(tmp_path / "d.txt", text + "dst-principal-point=4\nfocus=3\n"))
    said = {each.key: each for each in found.report.findings()}
    assert found.surfaces[0].axes == "YXZ" and found.surfaces[0].matrix is None and not found.surfaces[0].border
    assert "YXZ is taken" in said["rot-axes"].why and said["focus"].status == "unknown"
    assert said["rot-matrix"].status == said["dst-principal-point"].status == "ignored"
    assert ways(found.surfaces[0], 40, 30).x.shape == (30, 40)
