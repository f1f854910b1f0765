"""Model cards: what is read, what is refused and where."""

from __future__ import annotations

from dataclasses import fields

import pytest

from millrace.core.errors import ConfigError
from millrace.models.card import ClassCard, InputCard, ModelCard, ObjectsCard, find_card, read_card


def card(tmp_path, text):
    path = tmp_path / "m.yaml"
    path.write_text(text)
    return path


def test_all_keys_are_read(tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n\n")
    got = read_card(
        card(
            tmp_path,
            "model: m.onnx\ndescription: a test\nlicence: CC0\nparser: ssd\n"
            "input: {width: 32, height: 16, colour: BGR, fit: stretch, scale: 1.0, mean: 127, std: [1, 2, 3]}\n"
            "labels: names.txt\nconfidence: 0.4\niou: 0.5\ntop_k: 10\nclasses: [dog, 0]\nclass_agnostic: true\n"
            "background: 3\nthresholds: {dog: 0.6, 0: 0.7}\nextras: {order: x1 y1 x2 y2 class score}\n",
        )
    )
    assert got.near(got.model) == tmp_path / "m.onnx"
    assert got.names() == {0: "cat", 1: "dog"}
    assert got.classes == ["dog", 0]
    assert got.thresholds == {"dog": 0.6, 0: 0.7}
    known = got.input.known()
    assert (known["mean"], known["std"], known["fit"]) == ((127.0, 127.0, 127.0), (1.0, 2.0, 3.0), "stretch")
    assert "layout" not in known


@pytest.mark.parametrize(
    ("labels", "names"), [("[a, b]", {0: "a", 1: "b"}), ("{1: person, 3: car}", {1: "person", 3: "car"})]
)
def test_labels_as_list_or_mapping(tmp_path, labels, names):
    assert read_card(card(tmp_path, f"labels: {labels}\n")).names() == names


def test_an_empty_card_says_nothing(tmp_path):
    empty = read_card(card(tmp_path, ""))
    assert empty.names() is None and empty.input.known() == {} and empty.parser is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parser: ssd\nlables: [a]\n", r"m\.yaml:2: lables: unknown key. Did you mean 'labels'\?"),
        ("input:\n  width: 3\n  color: RGB\n", r"m\.yaml:3: input\.color: unknown key. Did you mean 'colour'\?"),
        ("input:\n  colour: PINK\n", r"m\.yaml:2: input\.colour: .*RGB"),
        ("thresholds:\n  a: 0.2\n  b: much\n", r"m\.yaml:3: thresholds\.b: "),
        ("a: [1\n", r"m\.yaml:\d: not YAML"),
        ("[1, 2]\n", "a mapping of keys"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_card(card(tmp_path, text))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        read_card(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"cannot read the labels .*gone\.txt"):
        read_card(card(tmp_path, "labels: gone.txt\n")).names()


def test_the_card_beside_a_model_is_found(tmp_path):
    assert find_card(tmp_path / "m.onnx") is None
    path = card(tmp_path, "")
    assert find_card(tmp_path / "m.onnx") == path


def test_every_key_is_described():
    for one in (ModelCard, InputCard, ObjectsCard, ClassCard):
        for key in fields(one):
            assert key.name in ("source", "theirs", "no_model", "warnings") or key.metadata["help"], key.name


def test_rules_of_classes_fall_back(tmp_path):
    got = read_card(
        card(
            tmp_path,
            "confidence: 0.3\niou: 0.5\nthresholds: {bag: 0.4}\nevery_class: {top_k: 20, min_width: 8}\n"
            "by_class: {person: {top_k: 5, confidence: 0.1}, 1: {iou: 0.2, border: [1, 0, 0, 1]}}\n",
        )
    )
    person, bag, car = got.rule(0, "person"), got.rule(1, "bag"), got.rule(2, "car")
    assert (person.confidence, person.iou, person.top_k, person.min_width) == (0.1, 0.5, 5, 8)
    assert (bag.confidence, bag.iou, bag.top_k, bag.border) == (0.4, 0.2, 20, (1, 0, 0, 1))
    assert (car.confidence, car.iou, car.top_k, car.eps) == (0.3, 0.5, 20, None)


def test_second_models_and_heads(tmp_path):
    (tmp_path / "two.txt").write_text("red;green;blue\nvan; car;\n\n")
    (tmp_path / "one.txt").write_text("cat\ndog\n")
    text = "kind: classifier\nattribute: [colour, type]\nlabels: two.txt\n"
    text += "objects: {stage: 1, classes: [car], refresh: 30}\n"
    got = read_card(card(tmp_path, text))
    assert got.heads() == [["red", "green", "blue"], ["van", "car"]]
    assert (got.objects.stage, got.objects.classes, got.objects.refresh, got.objects.wait) == (1, ["car"], 30, True)
    assert read_card(card(tmp_path, "labels: one.txt\n")).heads() == [["cat", "dog"]]
    assert read_card(card(tmp_path, "labels: [[a, b], [c]]\n")).names() == {0: "a", 1: "b"}
    assert read_card(card(tmp_path, "labels: {1: b}\n")).heads() == [["", "b"]]
    assert read_card(card(tmp_path, "")).heads() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iou: 2\n", r"m\.yaml:1: iou: .*less than or equal to 1"),
        ("by_class:\n  car: {min_widht: 3}\n", r"m\.yaml:2: by_class\.car\.min_widht: unknown key. .*'min_width'"),
        ("objects:\n  stag: 1\n", r"m\.yaml:2: objects\.stag: unknown key. .*'stage'"),
        ("kind: detecter\n", r"m\.yaml:1: kind: .*detector"),
        ("batch: 0\n", r"m\.yaml:1: batch: "),
    ],
)
def test_values_out_of_range_are_named(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_card(card(tmp_path, text))
