"""nvdspostprocess's files as cards without a model of their own."""

from __future__ import annotations

from millrace.deepstream.yamlfile import parse_yamlfile
from millrace.models.card import ClassCard
from millrace.models.nvdspostprocess import nvdspostprocess_card


def read(text: str):
    return nvdspostprocess_card(parse_yamlfile("%YAML:1.0\n" + text, "/c/p.yml"))


def test_keypoints_of_objects():
    card, report = read(
        "property:\n  gpu-id: 0\n  process-mode: 2\n  num-detected-classes: 17\n  gie-unique-id: 3  # of that model\n"
        "  output-blob-names: output_0\n  network-type: 4\nclass-attrs-all:\n  classifier-threshold: 0.2\n"
    )
    assert (card.kind, card.id, card.outputs, card.confidence) == ("keypoints", 3, ["output_0"], 0.2)
    assert set(report.counts()) == {"applied", "ignored"}


def test_a_detector():
    card, _ = read(
        "property:\n  network-type: 0\n  cluster-mode: 2\n  parse-bbox-func-name: NvDsInferParseCustomResnet\n"
        "  num-detected-classes: 4\n  labelfile-path: l.txt\nclass-attrs-all:\n  topk: 20\n"
    )
    assert (card.kind, card.parser, card.clustering, card.labels) == ("detector", "detectnet_v2", "nms", "/c/l.txt")
    assert (card.confidence, card.iou, card.every_class) == (0.2, 0.3, ClassCard(top_k=20))


def test_a_classifier_of_the_older_key():
    card, _ = read("property:\n  is-classifier: 1\n  classifier-threshold: 0.4\n  classifier-type: colour\n")
    assert (card.kind, card.confidence, card.attribute) == ("classifier", 0.4, "colour")
