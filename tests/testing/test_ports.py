"""Ports for servers of tests."""

from __future__ import annotations

import random

import pytest

from millrace.testing.ports import free_port


def test_no_port_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server with several ports asks for all of them before it takes one."""
    first = free_port()
    numbers = iter([first, first, 31_999, 31_998, 31_997])
    monkeypatch.setattr(random, "randrange", lambda *limits: next(numbers))
    assert free_port() != first
