"""What agreement allows a choice."""

from __future__ import annotations

from millrace.builder.accuracy import Accuracy


def test_what_may_be_chosen():
    assert Accuracy(1e-5, 0, 0.2, "F1", 0).fits(0.97)  # equal: nothing need be found
    assert Accuracy(0.5, 0.1, 0.98, "F1", 100).fits(0.97)
    assert not Accuracy(0.5, 0.1, 0.96, "F1", 100).fits(0.97)
    assert not Accuracy(0.5, 0.1, 1.0, "F1", 5).fits(0.97)  # too few to judge by
