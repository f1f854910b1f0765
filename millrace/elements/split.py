"""Batches → their frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.element import Element
from ..core.item import Item
from ..media import Batch


class Split(Element):
    """Takes batches apart: each frame goes on alone, in the batch's order. Example: `- split`.

    Frames then say `extras["batched"]`: none of a stream can be had before the others of its batch have gone on.
    """

    def process(self, item: Any) -> Iterator[Item]:
        if not isinstance(item, Batch):
            yield item
            return
        for frame in item.frames:
            frame.extras["batched"] = True
            yield frame
