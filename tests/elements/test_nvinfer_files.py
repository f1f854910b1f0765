"""DeepStream's own configuration files run: a primary, a secondary on its objects, and what they say of numbers."""

from __future__ import annotations

import numpy as np
import pytest

from millrace.core import FRAMES, Caps, ConfigError, Context, StreamStart
from millrace.elements.infer import Infer
from millrace.media import Frame, Image
from millrace.testing.models import make_detector, make_level_model, make_shade_model

BOXES = [(8, 12, 24, 44, 0.9, 2), (9, 12, 25, 44, 0.8, 2), (36, 20, 56, 50, 0.7, 0), (2, 2, 6, 6, 0.5, 1)]
PRIMARY = """[property]
gpu-id=0
net-scale-factor=0.00392156862745098
onnx-file=m.onnx
labelfile-path=labels.txt
gie-unique-id=1
network-type=0
num-detected-classes=3
cluster-mode=2
output-blob-names=not;there
[class-attrs-all]
pre-cluster-threshold=0.2
nms-iou-threshold=0.5
"""
SECONDARY = """property:
  onnx-file: shade.onnx
  labelfile-path: shades.txt
  net-scale-factor: 0.00392156862745098
  gie-unique-id: 2
  process-mode: 2
  network-type: 1
  operate-on-gie-id: 1
  operate-on-class-ids: 0;2
  input-object-min-width: 16
  classifier-type: shade
"""


def scene(index=0, size=128):
    pixels = np.full((size, size, 3), 128, np.uint8)
    pixels[24:88, 16:50] = 20  # where the first box is, twice its size in the model
    return Frame("a", index, index * 40_000_000, Image("BGR", [pixels], size, size))


@pytest.fixture
def run(tmp_path):
    opened = []

    def call(name, text, *frames):
        (tmp_path / name).write_text(text)
        element = Infer(model=str(tmp_path / name))
        opened.append(element)
        element.validate()
        warned = []
        element.open(Context("infer", warn=lambda message, stream: warned.append(message)))
        element.start_stream(StreamStart("a", Caps(FRAMES), False))
        out = [o for frame in frames for o in element.process(frame)]
        out += list(element.end_stream("a"))
        return out, warned

    yield call
    for element in opened:
        element.close()


@pytest.fixture
def models(tmp_path):
    make_detector(tmp_path / "m.onnx", BOXES, "yolov8", classes=4)
    make_shade_model(tmp_path / "shade.onnx", {"shade": (0.1, 0.5, 0.9)})
    (tmp_path / "labels.txt").write_text("car\nbike\n\nperson\n")
    (tmp_path / "shades.txt").write_text("dark;middle;light\n")
    return tmp_path


def found(frame):
    return [(each.label, round(each.confidence, 3)) for each in frame.objects]


def test_a_primary_and_a_secondary(models, run):
    (frame,), warned = run("primary.txt", PRIMARY, scene())
    assert found(frame) == [("person", 0.9), ("car", 0.7), ("bike", 0.5)]  # one of two persons, and no empty line
    assert len(warned) == 1 and "outputs not, there are none of the model's; all are read" in warned[0]
    (frame,), warned = run("secondary.yml", SECONDARY, frame)
    said = [[(label.name, label.value) for label in each.labels] for each in frame.objects]
    assert said == [[("shade", "dark")], [("shade", "middle")], []] and warned == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("filter-out-class-ids=0;1\n", ["person"]),
        ("[class-attrs-2]\npre-cluster-threshold=0.95\n", ["car", "bike"]),
        ("[class-attrs-all]\ndetected-min-w=20\n", ["person", "car"]),
        ("[class-attrs-0]\nroi-top-offset=60\n", ["person", "bike"]),
        ("[class-attrs-all]\npost-cluster-threshold=0.7\n", ["person"]),
        ("[class-attrs-2]\nnms-iou-threshold=0.95\n", ["person", "person", "car", "bike"]),
        ("[class-attrs-2]\ntopk=0\n", ["car", "bike"]),
        ("num-detected-classes=2\n", ["car", "bike"]),
        ("cluster-mode=4\n", ["person", "person", "car", "bike"]),
    ],
)
def test_what_counts(models, run, keys, expected):
    text = PRIMARY.replace("[class-attrs-all]", keys + "[class-attrs-all]") if "[" not in keys else PRIMARY + keys
    (frame,), _ = run("primary.txt", text, scene())
    assert [each.label for each in frame.objects] == expected


def test_pictures_are_prepared_as_nvinfer_does(tmp_path, run):
    """The level model's x1 is 16 times the mean of red, in the model's pixels: y = f * (x - mean)."""
    make_level_model(tmp_path / "level.onnx")
    frame = Frame("a", 0, 0, Image("BGR", [np.full((32, 32, 3), (10, 20, 150), np.uint8)], 32, 32))
    text = "[property]\nonnx-file=level.onnx\nnet-scale-factor=0.01\ncluster-mode=4\n"
    cases = {
        "": 1.5, "offsets=50;0;0\n": 1.0, "model-color-format=1\n": 0.1, "mean-file=mean.ppm\noffsets=9;9;9\n": 0.75,
        "model-color-format=1\nmean-file=mean.ppm\n": 0.05,
    }  # fmt: skip
    (tmp_path / "mean.ppm").write_bytes(b"P6\n32 32\n255\n" + bytes([75, 100, 5]) * 1024)
    for keys, level in cases.items():
        (out,), _ = run("level.txt", text + keys, frame.fork())
        assert out.objects[0].box[0] == pytest.approx(16 * level, abs=0.2), keys


def test_unknown_keys_are_warned_of(models, run):
    _, warned = run("primary.txt", PRIMARY.replace("output-blob-names=not;there", "process_mode=1"))
    assert len(warned) == 1 and "[property] process_mode: unknown: Did you mean 'process-mode'?" in warned[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[property]\nonnx-file=gone.onnx\nnetwork-mode=0\n", "there is no file .*gone.onnx"),
        ("[property]\nonnx-file=/opt/nvidia/deepstream/deepstream/m.onnx\n", "MILLRACE_DEEPSTREAM_ROOT names a folder"),
        ("[property]\ntlt-encoded-model=m.etlt\n", "encrypted model"),
        ("[property]\nnetwork-mode=0\nbatch-size=x\n", r"f\.txt:3: \[property\] batch-size: 'x' is not a whole number"),
        ("[application]\n", "configures deepstream-app: it names no model"),
    ],
)
def test_files_that_cannot_run(tmp_path, run, text, said):
    with pytest.raises(ConfigError, match=said):
        run("f.txt", text)
