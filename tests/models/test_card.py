"""Model cards: what is read, what is refused and where."""

from __future__ import annotations

import pytest

from millrace.core.errors import ConfigError
from millrace.models.card import find_card, read_card


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
