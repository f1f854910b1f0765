"""Windows on the desktop (pygame, which brings SDL and leaves headless OpenCV alone).

SDL wants one thread for all that it does, and has one queue of events for all windows. So there is one desk, a thread
of its own that lives as long as somebody has a window; each `Screen` hands it pictures and asks what the user has done.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, MissingExtraError, said

CLOSING_KEYS = ("q", "escape")
PAUSE = 0.02  # seconds between looks at the desktop's events


def connect() -> Desk:
    """The desk, connected with the display; give it back with `release`, as often as it was taken.

    Raises MissingExtraError without pygame, ConfigError without a display.
    """
    global _desk
    with _lock:
        if _desk is None:
            fresh = Desk()
            fresh.begin()
            _desk = fresh
        _desk.users += 1
        return _desk


class Desk:
    """The thread that all windows live in."""

    def __init__(self) -> None:
        self.users = 0
        self.screens: list[Screen] = []
        self._calls: list[tuple[Callable[[], Any], Future[Any]]] = []
        self._changed = threading.Condition()
        self._over = False
        self._failure: Exception | None = None  # that ended the thread
        self._begun: Future[None] = Future()
        self._thread = threading.Thread(target=self._main, name="millrace:windows", daemon=True)

    def begin(self) -> None:
        self._thread.start()
        try:
            self._begun.result()
        except BaseException:
            self._thread.join()
            raise

    def release(self) -> None:
        """One user less; with the last one the thread ends."""
        global _desk
        with _lock:
            self.users -= 1
            if self.users:
                return
            _desk = None
            with self._changed:
                self._over = True
                self._changed.notify()
            self._thread.join()

    def do(self, function: Callable[[], Any]) -> Any:
        """Call it in the desk's thread, and wait for what it gives. Raises ConfigError once that thread has ended."""
        done: Future[Any] = Future()
        with self._changed:
            self._check()
            self._calls.append((function, done))
            self._changed.notify()
        return done.result()

    def wake(self) -> None:
        """There is a picture to show. Raises ConfigError once the thread has ended."""
        with self._changed:
            self._check()
            self._changed.notify()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._gone(self._failure)

    def _gone(self, error: Exception) -> ConfigError:
        why = str(error) if isinstance(error, self.pygame.error) else said(error)
        failure = ConfigError(f"windows cannot be served any more: {why}")
        failure.__cause__ = error
        return failure

    def _main(self) -> None:
        try:
            self.pygame = _pygame()
        except Exception as error:  # noqa: BLE001  whoever begins it waits
            self._begun.set_exception(error)
            return
        self._begun.set_result(None)
        try:
            while self._work():
                self._serve()
        except Exception as error:  # noqa: BLE001  the display is gone, or a bug: all who have a window must hear of it
            with self._changed:
                self._failure, calls = error, self._calls
            for _, done in calls:
                done.set_exception(self._gone(error))
        self.pygame.display.quit()

    def _work(self) -> bool:
        """Do what others have asked for; False when all have gone."""
        with self._changed:
            if not (self._calls or self._over or any(screen.waiting is not None for screen in self.screens)):
                self._changed.wait(PAUSE)
            calls, self._calls = self._calls, []
            over = self._over
        for function, done in calls:
            try:
                done.set_result(function())
            except Exception as error:  # noqa: BLE001  it is raised where it was asked for
                done.set_exception(error)
        return not over

    def _serve(self) -> None:
        """What the user has done, and what there is to show."""
        pygame = self.pygame
        keys = {getattr(pygame, f"K_{key.upper() if len(key) > 1 else key}") for key in CLOSING_KEYS}
        for event in pygame.event.get():
            closes = event.type in (pygame.QUIT, pygame.WINDOWCLOSE)
            if closes or (event.type == pygame.KEYDOWN and event.key in keys):
                meant = getattr(event, "window", None)
                for screen in self.screens:
                    screen.closed = screen.closed or meant is None or meant == screen.window
        for screen in self.screens:
            screen.draw()


class Screen:
    """A window of width x height pixels that can be resized, at a place of the desktop where that is given."""

    def __init__(self, desk: Desk, title: str, width: int, height: int, place: tuple[int, int] | None = None) -> None:
        """Raises ConfigError when the desktop gives none."""
        self.desk = desk
        self.closed = False
        self.waiting: NDArray[np.uint8] | None = None  # what is to be shown next
        self.size = (width, height)  # as the user has made it

        def make() -> None:
            where = {} if place is None else {"position": place}
            self.window = desk.pygame.Window(title, (width, height), resizable=True, **where)
            self.window.get_surface()
            desk.screens.append(self)

        try:
            desk.do(make)
        except desk.pygame.error as error:
            raise ConfigError(f"a window cannot be opened: {error}") from None

    def show(self, bgr: NDArray[np.uint8]) -> None:
        """Pixels [h, w, 3] BGR at the top left; one that was not shown yet is left out."""
        self.waiting = np.ascontiguousarray(bgr)
        self.desk.wake()

    def draw(self) -> None:
        """The desk's own: bring what waits onto the screen."""
        width, height = self.window.size
        self.size = max(1, width), max(1, height)
        bgr, self.waiting = self.waiting, None
        if bgr is None or self.closed:
            return
        high, wide = bgr.shape[:2]
        picture = self.desk.pygame.image.frombuffer(bgr.tobytes(), (wide, high), "BGR")
        self.window.get_surface().blit(picture, (0, 0))
        self.window.flip()

    def closed_by_user(self) -> bool:
        """True when the window was closed, or q or Esc pressed in it."""
        return self.closed

    def close(self) -> None:
        def shut() -> None:
            if self in self.desk.screens:
                self.draw()
                self.desk.screens.remove(self)
                self.window.destroy()

        self.desk.do(shut)


def _pygame() -> Any:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")  # Ctrl+C is ours
    try:
        import pygame
    except ImportError:
        raise MissingExtraError("a window", "pygame-ce", "window") from None
    if not hasattr(pygame, "Window"):
        raise MissingExtraError("a window", "pygame-ce", "window")
    try:
        pygame.display.init()
        if pygame.display.get_driver() in ("dummy", "offscreen") and "SDL_VIDEODRIVER" not in os.environ:
            raise pygame.error("only an invisible one")
    except pygame.error as error:
        pygame.display.quit()
        raise ConfigError(
            f"a window cannot be opened: there is no display here ({error}); set DISPLAY or WAYLAND_DISPLAY, "
            "or save the video instead"
        ) from None
    return pygame


_lock = threading.Lock()
_desk: Desk | None = None
