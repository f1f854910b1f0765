"""nvdspreprocess's files: regions, objects and sequences."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.core.errors import ConfigError
from millrace.deepstream.keyfile import parse_keyfile
from millrace.deepstream.yamlfile import parse_yamlfile
from millrace.models.nvdspreprocess import nvdspreprocess_card
from millrace.models.preprocess_card import RegionCard, SequenceCard

PROPERTY = """[property]
target-unique-ids=1;2
network-input-order=0
network-input-shape=8;3;368;640
processing-width=640
processing-height=368
network-color-format=1
tensor-data-type=0
tensor-name=input_1
scaling-filter=1
scaling-pool-memory-type=0
custom-lib-path=lib.so
custom-tensor-preparation-function=CustomTensorPreparation
"""
USER = "[user-configs]\npixel-normalization-factor=0.5\noffsets=10;20;30\n"


def read(text: str):
    return nvdspreprocess_card(parse_keyfile(text, "f"))


def test_regions_of_frames():
    card, report = read(
        PROPERTY + "maintain-aspect-ratio=1\nprocess-on-frame=1\n" + USER + "[group-0]\nsrc-ids=0;1\nprocess-on-roi=1\n"
        "roi-params-src-0=0;540;900;500;960;0;900;500\ninterval=2\ncustom-input-transformation-function=F\n"
        "[group-1]\nsrc-ids=-1\nprocess-on-roi=0\ndraw-roi=0\nroi-color=1;0;0;1\n"
    )
    assert (card.id, card.enabled, card.targets, card.shape) == (15, True, (1, 2), (8, 3, 368, 640))
    spec = card.input
    assert (spec.name, spec.width, spec.height, spec.colour, spec.fit) == (
        "input_1", 640, 368, "BGR", "letterbox-top-left",
    )  # fmt: skip
    assert (spec.mean, spec.std, spec.dtype) == ((10, 20, 30), (2, 2, 2), "float32")  # 0.5 * (x - mean)
    assert card.regions == (
        RegionCard(streams=(0, 1), rois={0: [(0, 540, 900, 500), (960, 0, 900, 500)]}, every=3),
        RegionCard(draw=False, colour=(1, 0, 0, 1)),
    )
    assert set(report.counts()) == {"applied", "ignored"}


def test_objects():
    card, _ = read(
        PROPERTY + "process-on-frame=0\noperate-on-gie-id=1\n[group-0]\nsrc-ids=0\nprocess-on-all-objects=1\n"
        "input-object-min-width=100\noperate-on-class-ids=0;2\n"
    )
    (region,) = card.regions
    assert (region.objects.stage, region.objects.classes, region.objects.min_width) == (1, [0, 2], 100)
    assert (region.rois, region.colour) == (None, (0, 1, 1, 1))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("4;3;32;224;224", SequenceCard(length=32, stride=1, skip=1)),
     ("4;96;224;224", SequenceCard(length=32, stride=1, skip=1, in_depth=False))],
)  # fmt: skip
def test_sequences(shape, expected):
    text = PROPERTY.replace("8;3;368;640", shape).replace("=CustomTensor", "=CustomSequenceTensor")
    text += "[user-configs]\nchannel-scale-factors=0.25;0.5;1\nchannel-mean-offsets=1;2;3\nstride=1\nsubsample=1\n"
    card, _ = read(text + "[group-0]\nsrc-ids=0\nprocess-on-roi=1\nroi-params-src-0=0;0;10;10\n")
    assert card.sequence == expected and card.input.std == (4, 2, 1)


def test_keys_for_other_libraries_are_kept():
    card, report = read(PROPERTY + "[user-configs]\naffine=1;2\npixel-normalization-factor=1;2;4\n")
    assert card.extras == {"affine": "1;2"} and card.input.std == (1, 0.5, 0.25)
    assert report.counts()["unknown"] == 0


def test_the_same_in_yaml():
    lines = [line.replace("=", ": ") for line in PROPERTY.splitlines()[1:]]
    text = "property:\n" + "".join(f"  {line}\n" for line in lines)
    text += "group-0:\n  src-ids: 0;1\n  process-on-roi: 1\n  roi-params-src-1: 1;2;3;4\n"
    card, _ = nvdspreprocess_card(parse_yamlfile(text, "f"))
    assert card.regions[0].rois == {1: [(1, 2, 3, 4)]} and card.shape == (8, 3, 368, 640)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[property]\nenable=1\n", "f:1: [property] tensor-name: is missing"),
        (PROPERTY + "[group-0]\nprocess-on-roi=0\n", "f:14: [group-0] src-ids: is missing"),
        (PROPERTY + "[group-0]\nsrc-ids=0\n", "process-on-roi: is missing"),
        (PROPERTY + "[group-0]\nsrc-ids=0\nprocess-on-roi=1\n", "no region is given"),
        (PROPERTY + "[group-0]\nsrc-ids=0\nprocess-on-roi=1\nroi-params-src-0=1;2;3\n", "left;top;width;height"),
        (PROPERTY + "[group-0]\nsrc-ids=0\nprocess-on-roi=1\nroi-params-src-0=1;2;0;4\n", "a region without area"),
        (PROPERTY.replace("type=0", "type=4"), "DeepStream's library makes FP32"),
        (PROPERTY + "[user-configs]\noffsets=1;2\n", "offsets: is not one number for each of 3 channels"),
        (PROPERTY + "[user-configs]\npixel-normalization-factor=0\n", "none of them 0"),
        (PROPERTY.replace("8;3;368;640", "8"), "is not a shape"),
    ],
)
def test_wrong_values_have_a_line(text, said):
    with pytest.raises(ConfigError) as error:
        read(text)
    assert said in str(error.value)


VALUES = st.text(alphabet="0123;.-x ", max_size=9)


@settings(max_examples=200, deadline=None)
@given(shape=VALUES, offsets=VALUES, ids=VALUES, rois=VALUES)
def test_any_values_give_a_card_or_an_error_with_a_line(shape, offsets, ids, rois):
    text = PROPERTY.replace("8;3;368;640", shape).replace("=CustomTensor", "=CustomSequenceTensor")
    text += f"[user-configs]\noffsets={offsets}\n[group-0]\nsrc-ids={ids}\nprocess-on-roi=1\nroi-params-src-0={rois}\n"
    try:
        card, _ = read(text)
    except ConfigError as error:
        assert str(error).startswith("f:")
    else:
        assert card.sequence is not None and card.regions[0].rois
