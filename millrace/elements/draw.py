"""What was found, drawn into the picture."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import SettingError
from ..core.item import Item, StreamStart
from ..devices import part
from ..imaging.base import Imaging
from ..imaging.overlay import Style, Trails, colours_from, draw_objects, draw_rule, draw_rule_caption
from ..media import Frame

EIGHT_BIT = {"P010": "NV12", "GRAY16": "GRAY8"}


class Draw(Element):
    """Draw boxes, captions, trails, lines and zones: `draw: {trails: 3, colours: {car: "#ff8000"}}`.

    Pixels are drawn on where they are, without converting colours; a picture that others look at too is copied
    first. Pictures of 10 and 16 bits leave with 8.
    """

    boxes: bool = setting(default=True, help="boxes of objects", live=True)
    labels: bool = setting(default=True, help="their labels, with what classifiers and readers said", live=True)
    confidence: bool = setting(default=True, help="their confidence", live=True)
    ids: bool = setting(default=True, help="their identities", live=True)
    trails: Seconds = setting(
        default=2.0, help="seconds of the way that tracked objects came, 0 for none", minimum=0, live=True
    )
    rules: bool = setting(default=True, help="lines and zones with their counts", live=True)
    thickness: int | None = setting(
        default=None, help="pixels of outlines; default: by the picture", minimum=1, live=True
    )
    text_size: int | None = setting(
        default=None, help="pixels of a line of text; default: by the picture", minimum=6, live=True
    )
    colour_by: str = setting(default="class", help="what shares a colour", choices=("class", "identity"), live=True)
    colours: dict[str, str] = setting(factory=dict, help='colours of labels, {car: "#rrggbb"}')
    font: str = setting(default="sans", help="sans, italic, uni, or the path of a .ttf or .otf file")

    imagings: dict[str, Imaging] = state(dict)
    paths: dict[str, Trails] = state(dict)

    def validate(self) -> None:
        try:
            self.chosen = colours_from(self.colours)
        except ValueError as error:
            raise SettingError("draw", "colours", self.colours, str(error)) from None

    def open(self, context: Context) -> None:
        self.validate()

    def start_stream(self, start: StreamStart) -> StreamStart:
        if start.discontinuity or start.stream not in self.paths:
            self.paths[start.stream] = Trails()
        given = start.caps.get("format")
        if given not in EIGHT_BIT:
            return start
        caps = start.caps.replace(format=EIGHT_BIT[given])
        return StreamStart(start.stream, caps, start.live, start.epoch, start.discontinuity)

    def process_frame(self, frame: Frame) -> None:
        memory = frame.image.memory
        if memory not in self.imagings:
            self.imagings[memory] = part(memory, "imaging")(memory)
        rules = frame.extras.get("analytics", ()) if self.rules else ()
        trails = self.paths[frame.stream]
        trails.update(frame.objects, frame.pts, self.trails)
        if not frame.objects and not rules and frame.image.format not in EIGHT_BIT:
            return
        canvas = self.imagings[memory].canvas(frame.image, self.font)
        style = self._style(frame)
        for rule in rules:
            draw_rule(canvas, rule, style)
        if self.trails:
            trails.draw(canvas, frame.objects, style)
        draw_objects(canvas, frame.objects, style)
        for rule in rules:
            draw_rule_caption(canvas, rule, style)
        frame.image = canvas.image

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.paths.pop(stream, None)
        return super().end_stream(stream)

    def _style(self, frame: Frame) -> Style:
        style = Style(
            boxes=self.boxes, labels=self.labels, confidence=self.confidence, ids=self.ids,
            by_identity=self.colour_by == "identity", colours=self.chosen,
        )  # fmt: skip
        return style.fitted(frame.image.width, frame.image.height, self.thickness, self.text_size)
