"""Class names from metadata, and those of COCO."""

from __future__ import annotations

import pytest

from millrace.models.labels import COCO, from_metadata, known_names


def test_coco_has_eighty_different_names():
    assert len(set(COCO)) == 80
    assert (COCO[0], COCO[2], COCO[29], COCO[67], COCO[79]) == ("person", "car", "frisbee", "cell phone", "toothbrush")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'a', 1: \"b's\"}", {0: "a", 1: "b's"}),
        ("['a', 'b']", {0: "a", 1: "b"}),
        ("{'x': 1}", None),
        ("{}", None),
        ("__import__('os')", None),
        ("", None),
    ],
)
def test_names_of_the_exporter(text, names):
    assert from_metadata({"names": text}) == names


def test_coco_stands_in_only_where_it_fits():
    assert known_names(80)[0] == "person"
    assert known_names(3) == {}
    assert known_names(None, "detr_coco_320.onnx")[0] == "person"
    assert known_names(None, "detr.onnx") == {}
