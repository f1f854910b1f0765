"""join: what branches found in copies of one frame becomes one frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import SettingError
from ..core.item import Item
from ..core.join import Parts
from ..media import Frame
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

    `keep` says of which streams what a model found is kept, by the model's name or number: `{cars: [gate, yard]}`; of
    other streams its objects and readings are left out. `config` names a file of DeepStream's nvdsmetamux instead.
    """

    joins: ClassVar[bool] = True

    max_wait: Seconds | None = setting(
        default=None, minimum=0, help="seconds that a frame of a live stream waits for a late branch; none: for ever"
    )

    first: int = setting(
        default=0, minimum=0, help="the number of the branch, from 0, whose picture and facts count first"
    )
    keep: dict[Any, Any] = setting(
        factory=dict, help="{model: [streams]}: what it found is kept of these streams only, by names or numbers"
    )
    config: str | None = setting(default=None, help="a file of nvdsmetamux, instead of first and keep")

    order: list[str] = state(list)

    def validate(self) -> None:
        if self.config:
            from ._metamux import read_metamux

            found = read_metamux(self.config)
            self.first, self.keep = found.first, {model: list(streams) for model, streams in found.keep.items()}
        for model, streams in self.keep.items():
            if not isinstance(streams, (list, tuple)) or not all(isinstance(each, (str, int)) for each in streams):
                raise SettingError("join", f"keep.{model}", streams, "it is a list of streams, names or numbers from 0")

    def open(self, context: Context) -> None:
        self.validate()
        self.order.clear()

    def expect(self, streams: Sequence[str]) -> None:
        self.order += [stream for stream in streams if stream not in self.order]

    def process(self, item: Any) -> Iterator[Item]:
        if not isinstance(item, Parts):
            yield item
            return
        parts = list(item.parts)
        parts.insert(0, parts.pop(min(self.first, len(parts) - 1)))
        frame = merged([part for part in parts if part is not None])
        if self.keep:
            self._leave_out(frame)
        if item.partial:
            frame.extras["partial"] = True
        yield frame

    def _leave_out(self, frame: Frame) -> None:
        """What models found in streams that are not kept of them."""
        number = self.order.index(frame.stream) if frame.stream in self.order else None
        numbers = {name: model for model, name in frame.extras.get("models", {}).items()}

        def stays(stage: str | None) -> bool:
            kept = self.keep.get(stage, self.keep.get(numbers.get(stage)))
            return kept is None or frame.stream in kept or number in kept

        frame.objects = [found for found in frame.objects if stays(found.stage)]
        frame.readings = [reading for reading in frame.readings if stays(reading.stage)]
