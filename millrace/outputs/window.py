"""A window on the desktop (pygame, which brings SDL and leaves headless OpenCV alone)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import ConfigError, MissingExtraError

CLOSING_KEYS = ("q", "escape")


def connect() -> Any:
    """pygame, connected with the display; as often as one likes.

    Raises MissingExtraError without pygame, ConfigError without a display.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")  # Ctrl+C is ours
    try:
        import pygame
    except ImportError:
        raise MissingExtraError("a window", "pygame-ce", "window") from None
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


class Screen:
    """A window of width x height pixels that can be resized. All calls come from the thread that made it."""

    def __init__(self, title: str, width: int, height: int) -> None:
        """Raises MissingExtraError without pygame, ConfigError without a display."""
        self._pygame = pygame = connect()
        pygame.display.set_caption(title)
        pygame.display.set_mode((width, height), pygame.RESIZABLE)
        self._keys = {getattr(pygame, f"K_{key.upper() if len(key) > 1 else key}") for key in CLOSING_KEYS}

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as the user has made it."""
        width, height = self._pygame.display.get_surface().get_size()
        return max(1, width), max(1, height)

    def show(self, bgr: NDArray[np.uint8]) -> None:
        """Pixels [h, w, 3] BGR at the top left."""
        height, width = bgr.shape[:2]
        picture = self._pygame.image.frombuffer(np.ascontiguousarray(bgr).tobytes(), (width, height), "BGR")
        surface = self._pygame.display.get_surface()
        surface.blit(picture, (0, 0))
        self._pygame.display.flip()

    def closed_by_user(self) -> bool:
        """Serve the desktop's events; True when the window was closed, or q or Esc pressed."""
        closed = False
        for event in self._pygame.event.get():
            pressed = event.type == self._pygame.KEYDOWN and event.key in self._keys
            closed = closed or pressed or event.type == self._pygame.QUIT
        return closed

    def close(self) -> None:
        self._pygame.display.quit()
