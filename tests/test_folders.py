"""Where things are kept."""

from __future__ import annotations

from pathlib import Path

from millrace import folders


def test_the_cache_follows_the_environment(monkeypatch):
    monkeypatch.setenv("MILLRACE_CACHE", "/a/b")
    assert folders.cache() == Path("/a/b")
    monkeypatch.delenv("MILLRACE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert folders.cache() == Path("/x/millrace")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folders.cache() == Path.home() / ".cache" / "millrace"
