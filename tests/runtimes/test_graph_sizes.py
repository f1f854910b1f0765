"""For which batches graphs are recorded."""

from __future__ import annotations

import pytest

from millrace.media import TensorInfo
from millrace.runtimes.graph_sizes import GraphSizes, asked_sizes

FREE, FIXED, SCALAR = (TensorInfo("x", shape, "float32") for shape in ((None, 3), (6, 3), ()))


def test_the_next_power_of_two_where_nobody_says_more():
    sizes = GraphSizes([FREE])
    assert [sizes.of(count) for count in (0, 1, 2, 3, 8, 9)] == [1, 1, 2, 4, 8, 16]


def test_those_that_are_asked_for_are_taken_whatever_is_left_empty():
    sizes = GraphSizes([FREE], asked_sizes([32, 3]))
    assert [sizes.of(count) for count in (1, 3, 4, 32, 33)] == [3, 3, 32, 32, 64]
    assert sizes.warm([5]) == (3, 32)
    assert sizes.of(5) == 32


def test_one_that_will_come_is_taken_for_a_quarter_of_it_on():
    sizes = GraphSizes([FREE])
    assert sizes.warm([12]) == (12,)
    assert [sizes.of(count) for count in (2, 3, 12, 13)] == [2, 12, 12, 16]


def test_of_two_who_share_a_network_each_keeps_his_sizes():
    sizes = GraphSizes([FREE])
    sizes.warm([6])
    assert sizes.warm([4]) == (4, 6)
    assert [sizes.of(count) for count in (4, 5, 6)] == [4, 6, 6]


def test_a_network_of_one_batch_has_that():
    assert [GraphSizes([FIXED]).of(count) for count in (1, 6, 7)] == [6, 6, 8]
    assert GraphSizes([FIXED, SCALAR]).fixed is None


@pytest.mark.parametrize("graphs", ["4", [], [0], [True], [2.0], (4,), 4])
def test_what_sizes_cannot_be_is_an_error(graphs):
    with pytest.raises(ValueError, match=r"true, false, or the sizes of batches, such as \[4, 16\]"):
        asked_sizes(graphs)


def test_without_sizes_none_are_asked_for():
    assert [asked_sizes(graphs) for graphs in (None, True, False)] == [[]] * 3
