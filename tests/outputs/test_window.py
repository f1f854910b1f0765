"""The thread of the windows, with a pygame that only pretends: what breaks there is told to those who wait."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from millrace.core.errors import ConfigError
from millrace.outputs import window


@pytest.fixture
def pygame(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = SimpleNamespace(
        error=RuntimeError, display=SimpleNamespace(quit=lambda: None), event=SimpleNamespace(get=lambda: []),
        K_q=1, K_ESCAPE=2, QUIT=3, WINDOWCLOSE=4, KEYDOWN=5,
    )  # fmt: skip
    monkeypatch.setattr(window, "_pygame", lambda: made)
    return made


def test_what_fails_is_raised_where_it_was_asked_for(pygame: Any) -> None:
    desk = window.connect()
    try:
        with pytest.raises(ZeroDivisionError):
            desk.do(lambda: 1 / 0)
        assert desk.do(lambda: 5) == 5
    finally:
        desk.release()


def test_nobody_waits_for_a_display_that_is_gone(pygame: Any) -> None:
    desk = window.connect()
    try:

        def gone() -> Any:
            raise RuntimeError("the X server has gone")

        pygame.event.get = gone
        with pytest.raises(ConfigError, match="the X server has gone"):
            while True:
                desk.do(lambda: None)
    finally:
        desk.release()


def test_what_cannot_begin_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise OSError("no library")

    monkeypatch.setattr(window, "_pygame", broken)
    with pytest.raises(OSError, match="no library"):
        window.connect()


def test_who_shows_pictures_hears_that_the_display_is_gone(pygame: Any) -> None:
    desk = window.connect()
    pygame.Window = lambda *_, **__: SimpleNamespace(get_surface=lambda: None, size=(64, 48))
    screen = window.Screen(desk, "a", 64, 48)
    try:
        failure = AttributeError("no such event")

        def wrong() -> Any:
            raise failure

        pygame.event.get = wrong
        with pytest.raises(ConfigError, match="any more: AttributeError: no such event") as caught:
            while True:
                screen.show(np.zeros((48, 64, 3), np.uint8))
        assert caught.value.__cause__ is failure
    finally:
        desk.release()
