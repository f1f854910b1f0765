"""join: what branches found in copies of one frame becomes one frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from ..core.element import Element, Seconds, setting
from ..core.item import Item
from ..core.join import Parts
from ..media.merging import merged


class Join(Element):
    """Merges the branches of a tee: every frame goes on once, with the objects, labels and extras of all of them.

    Frames leave in the order in which they entered the tee, one by one. An object that was known before the tee stays
    one object: of what the branches say of it, the first in the order of the file wins, and the others add what it
    does not know. An object found in a branch is added. The picture is that of the first branch.

    A branch that drops a frame adds nothing to it; a frame that all drop is gone. On a live stream a branch may also
    be late: after `max_wait` the frame goes on without it and says `extras["partial"]`. Files are always waited for,
    so two runs give the same.

        - tee:
            plates: [{infer: {model: plates.onnx}}]
            colours: [{infer: {model: colours.onnx}}]
        - join: {max_wait: 100ms}
    """

    joins: ClassVar[bool] = True

    max_wait: Seconds | None = setting(
        default=None, minimum=0, help="seconds that a frame of a live stream waits for a late branch; none: for ever"
    )

    def process(self, item: Any) -> Iterator[Item]:
        if not isinstance(item, Parts):
            yield item
            return
        frame = merged([part for part in item.parts if part is not None])
        if item.partial:
            frame.extras["partial"] = True
        yield frame
