"""Every function of DeepStream that is known by name has a parser."""

from __future__ import annotations

from millrace import parsers
from millrace.models.symbols import SYMBOLS


def test_each_names_a_parser_that_there_is():
    for name, symbol in SYMBOLS.items():
        assert symbol.parser in parsers.names(), f"{name}: {symbol.parser}"
