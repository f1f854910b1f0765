"""only: some of the streams go on."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.element import Element, setting
from ..core.errors import ConfigError
from ..core.item import Item
from ..media import Batch, Frame


class Only(Element):
    """Lets frames of these streams pass and drops those of others: `only: {streams: [gate, yard]}`.

    It is for a branch of a tee: what comes behind it sees these streams alone, and `join` waits for no others.
    """

    streams: list[str] = setting(help="names of the streams that pass")

    def validate(self) -> None:
        if not self.streams:
            raise ConfigError("only: streams must name one stream or more")

    def process(self, item: Frame | Batch) -> Iterator[Item]:
        if isinstance(item, Batch):
            kept = [frame for frame in item.frames if frame.stream in self.streams]
            if kept:
                yield item if len(kept) == len(item.frames) else Batch(kept)
        elif item.stream in self.streams:
            yield item
