"""`millrace run … --view`: a browser page beside whatever else a run does."""

from __future__ import annotations

import os
import re
import socket
import sys
import webbrowser
from collections.abc import Callable

from ..config.build import class_of
from ..config.plan import Line, Step, Tee
from ..core.caps import PACKETS
from ..core.errors import ConfigError
from ..elements.web import Web
from ..summary import Run

PORT = 8080
_ADDRESS = re.compile(r"^(?:(?P<host>[\w.-]+|\[[\da-fA-F:]+\]):)?(?P<port>\d{1,5})$")


def address(text: str | None) -> tuple[str, int]:
    """Host and port of `0.0.0.0:8080` or `8080`; None: loopback, and a port that is free. Raises ConfigError."""
    if text is None:
        return "127.0.0.1", PORT if _is_free(PORT) else 0
    match = _ADDRESS.match(text.removeprefix(":"))
    if match is None or int(match["port"]) > 65535:
        raise ConfigError(f"--view-on {text!r}: it is written HOST:PORT, as in 0.0.0.0:8080")
    return (match["host"] or "127.0.0.1").strip("[]"), int(match["port"])


def add_page(line: Line, on: str | None, draw: bool) -> None:
    """Put a branch with the page into a line, behind what it draws, or before what it encodes."""
    host, port = address(on)
    page = Step("web", {"host": host, "port": port})
    drawn = [n for n, step in enumerate(line) if isinstance(step, Step) and step.element == "draw"]
    ends = [n for n, step in enumerate(line) if isinstance(step, Step) and PACKETS in _kinds(step)]
    if drawn:
        line.insert(drawn[-1] + 1, Tee({"view": [page]}, side=True))
    else:
        at = next((n for n in ends if line[n].element != "decode"), len(line))  # type: ignore[union-attr]
        line.insert(at, Tee({"view": [*([Step("draw")] if draw else []), page]}, side=True))


def _kinds(step: Step) -> tuple[str | None, str | None]:
    cls = class_of(step)
    return cls.takes, cls.gives


def opening(run: Run, quiet: bool, tick: Callable[[Run], None], say: Callable[[str], None]) -> Callable[[Run], None]:
    """A tick that says where the page is, and opens it in a browser where there is one, once it is there."""
    told: list[str] = []

    def first(run: Run) -> None:
        if not told:
            for node in run.pipeline.graph.nodes.values():
                if isinstance(node.element, Web) and node.element.server is not None:
                    told.append(_url(node.element))
                    say(f"watch: {told[0]}")
                    if not quiet and _has_browser():
                        webbrowser.open(told[0])
                    break
        tick(run)

    return first


def _url(element: Web) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(element.host, element.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{element.listens_on}/"


def _has_browser() -> bool:
    """Whether this is a terminal on a desktop: in a container or over ssh a text browser would take the terminal."""
    desktop = sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER")
    )
    return desktop and sys.stderr.isatty()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
