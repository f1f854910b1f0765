"""Takes items and gives none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.element import Element
from ..core.item import Item


class Discard(Element):
    """Drops every item: the end of a line whose results are not wanted, as in a measurement.

    Example: `- discard` right after `- decode` decodes as fast as it can.
    """

    takes = None

    def process(self, item: Any) -> Iterator[Item]:
        yield from ()
