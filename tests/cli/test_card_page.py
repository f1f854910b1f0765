"""The page on model cards is made of the card's own keys."""

from __future__ import annotations

from pathlib import Path

from millrace.cli import OK, invoke
from millrace.cli.card_page import page
from millrace.models.card import ModelCard

PAGE = Path(__file__).parents[2] / "docs" / "model-card.md"


def test_the_page_is_up_to_date(capsys):
    assert page() == PAGE.read_text(encoding="utf-8"), "docs/model-card.md is not up to date: run `make docs`"
    assert invoke(["inspect", "--card"]) == OK
    assert capsys.readouterr().out == page()


def test_each_key_has_a_row_with_a_readable_type():
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 70
    assert {"model", "kind", "clustering", "by_class"} <= set(ModelCard.__slots__)
    for row in rows:
        assert not any(word in row for word in ("Annotated", "Interval", "Literal", "None", "MISSING")), row
