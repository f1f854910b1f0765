"""Every function of DeepStream that is known by name has a parser."""

from __future__ import annotations

from millrace import parsers
from millrace.models.nvinfer import read_nvinfer
from millrace.models.symbols import SYMBOLS


def test_each_names_a_parser_that_there_is():
    for name, symbol in SYMBOLS.items():
        assert symbol.parser in parsers.names(), f"{name}: {symbol.parser}"


def test_plates_have_their_characters_from_a_file_of_their_own(tmp_path):
    text = "[property]\nonnx-file=lpr.onnx\nlabelfile-path=labels.txt\nnetwork-type=1\n"
    (tmp_path / "lpr.txt").write_text(text + "parse-classifier-func-name=NvDsInferParseCustomNVPlate\n")
    assert read_nvinfer(tmp_path / "lpr.txt")[0].labels == str(tmp_path / "labels.txt")
    (tmp_path / "dict.txt").write_text("A\nB\n")
    card, report = read_nvinfer(tmp_path / "lpr.txt")
    assert card.parser == "lprnet" and card.labels == str(tmp_path / "dict.txt")
    assert report.counts()["ignored"] == 1
