"""Class maps as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.element import Context, Element, setting, state
from ..core.errors import ConfigError, SettingError
from ..core.item import StreamStart
from ..devices import part
from ..imaging.base import Colour, Imaging
from ..imaging.mapping import map_frame, shifted
from ..imaging.palette import colour_of, parse_colour
from ..media import Frame, Reading

EIGHT_BIT = {"P010": "NV12", "GRAY16": "GRAY8"}


class Segview(Element):
    """Shows what a segmentation model said of each pixel, a colour for each class: `segview: {original: true}`.

    Instead of the frame, or with `original` blended over it by `alpha`. A class called background and pixels of no
    class are black, or left as they are. Frames without a class map keep their picture. With width and height the
    picture gets that size, and all that was found is scaled along.
    """

    width: int | None = setting(default=None, help="of the picture that leaves; default: the frame's", minimum=16)
    height: int | None = setting(default=None, help="of the picture that leaves; default: the frame's", minimum=16)
    alpha: float = setting(default=1.0, help="opacity of the colours over the frame", minimum=0, maximum=1, live=True)
    original: bool = setting(default=False, help="over the frame, not instead of it", live=True)
    colours: dict[str, str] = setting(factory=dict, help='colours of classes by name or number, {road: "#rrggbb"}')

    imagings: dict[str, Imaging] = state(dict)
    own: dict[str, Colour] = state(dict)

    def validate(self) -> None:
        if bool(self.width) != bool(self.height):
            raise ConfigError("segview: give width and height, or neither")
        try:
            self.own = {str(name): parse_colour(colour) for name, colour in self.colours.items()}
        except ValueError as error:
            raise SettingError("segview", "colours", self.colours, str(error)) from None

    def open(self, context: Context) -> None:
        self.validate()

    def start_stream(self, start: StreamStart) -> StreamStart:
        caps: Any = start.caps
        given = caps.get("format")
        caps = caps.replace(format=EIGHT_BIT.get(given, given))
        if self.width and self.height:
            caps = caps.replace(width=self.width, height=self.height, sample_aspect=None)
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process_frame(self, frame: Frame) -> None:
        image = frame.image
        if image.memory not in self.imagings:
            self.imagings[image.memory] = part(image.memory, "imaging")(image.memory)
        imaging = self.imagings[image.memory]
        size = self.width or image.width, self.height or image.height
        if size != (image.width, image.height):
            map_frame(frame, shifted(0, 0, size[0] / image.width, size[1] / image.height), image.width, image.height)
            frame.image = imaging.scale(image, *size)
        given = frame.image.format
        if given in EIGHT_BIT:
            frame.image = imaging.convert(frame.image, EIGHT_BIT[given])
        for reading in frame.readings:
            if reading.class_map is not None and reading.class_map.size:
                self._show(frame, reading, imaging)

    def _show(self, frame: Frame, reading: Reading, imaging: Imaging) -> None:
        assert reading.class_map is not None
        numbers, places = _classes(reading.class_map)
        box: Any = (0, 0, frame.image.width, frame.image.height)
        if reading.area is not None:
            box = tuple(round(float(side)) for side in reading.area)
        if not self.original:
            table = np.array([self._colour(number, reading) for number in numbers], np.uint8)
            frame.image = imaging.lay(frame.image, table[places], box, 1.0)
            return
        canvas = imaging.canvas(frame.image)
        for number in numbers:
            if self._counts(number, reading):
                canvas.mask(reading.class_map == number, box, self._colour(number, reading), self.alpha)
        frame.image = canvas.image

    def _counts(self, number: int, reading: Reading) -> bool:
        return number >= 0 and reading.names.get(number, "").lower() != "background"

    def _colour(self, number: int, reading: Reading) -> Colour:
        name = reading.names.get(number, "")
        for key in (name, str(number)):
            if key in self.own:
                return self.own[key]
        return colour_of(number) if self._counts(number, reading) else (0, 0, 0)


def _classes(numbers: NDArray[np.int32]) -> tuple[list[int], NDArray[Any]]:
    """The classes of a map, and the place of each pixel's among them [h, w]."""
    lowest, span = int(numbers.min()), int(numbers.max()) - int(numbers.min())
    if span > 4096:
        found, places = np.unique(numbers, return_inverse=True)
        return found.tolist(), places.reshape(numbers.shape)
    there = np.bincount((numbers - lowest).ravel()) > 0  # sorting a map would take longer
    return (np.flatnonzero(there) + lowest).tolist(), (np.cumsum(there) - 1)[numbers - lowest]
