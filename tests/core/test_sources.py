"""The table of a pipeline's sources alone."""

from __future__ import annotations

from typing import Any

import pytest
from test_comings import Views
from test_merging import Merge
from toys import Count, Pass

from millrace.core import ConfigError, Source
from millrace.core.node import Node
from millrace.core.reader import SourceWorker
from millrace.core.sources import REMEMBERED, Sources

HOST: Any = None


def worker(name: str, given: int = 0) -> SourceWorker:
    source: Source = Count(stream=name)
    node = Node(name, source, HOST)
    node.stats.items_out = given
    return SourceWorker(name, HOST, source, [node])


def test_what_a_stream_comes_from():
    table = Sources()
    a, b = worker("a"), worker("b")
    b.seen.add("other")
    for each in (a, b):
        table.add(each)
    assert table.behind("a", [Pass()]) == [a] and table.behind("other", [Pass()]) == [b]
    assert table.behind("b.1", [Pass(), Views()]) == [b] and table.behind("b.1", [Pass()]) == []
    assert table.behind("all", [Merge(name="all")]) == [a, b]


def test_counts_of_all_lives_are_kept_and_not_for_ever():
    table = Sources()
    for given in (3, 4):
        table.add(one := worker("a", given))
        assert table.end(one) and not table.end(one) and len(table) == 0
    assert not table.end(worker("a"))  # another that was never there
    table.add(worker("a", 5))
    assert table.stats()["a"].items_out == 12 and table.names() == ["a"]
    for n in range(REMEMBERED):
        table.add(one := worker(f"s{n}"))
        table.end(one)
    assert table.stats()["a"].items_out == 5 and len(table.stats()) == REMEMBERED + 1
    with pytest.raises(ConfigError, match=r"no source is named 'b'; there are: a$"):
        table.named("b")
