"""What was found, drawn into the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.element import Context, Element, Seconds, setting, state
from ..core.errors import SettingError
from ..core.item import Item, StreamStart
from ..devices import part
from ..imaging.base import Imaging
from ..imaging.heat import Heat
from ..imaging.overlay import Trails, draw_clock, draw_objects, draw_readings, draw_rule, draw_rule_caption
from ..imaging.style import Style, colours_from, skeletons_from, styles_from
from ..media import Frame

EIGHT_BIT = {"P010": "NV12", "GRAY16": "GRAY8"}


class Draw(Element):
    """Draw what was found: `draw: {trails: 3, styles: {person: {colour: "#ff8800", thickness: 3, fill: 0.2}}}`.

    Boxes (turned ones too), masks, keypoints with skeletons, captions, trails, lines and zones, a heatmap, a clock.
    Pixels are drawn on where they are, without converting colours; a picture that others look at too is copied
    first. Pictures of 10 and 16 bits leave with 8.
    """

    boxes: bool = setting(default=True, help="boxes of objects", live=True)
    labels: bool = setting(default=True, help="their labels, with what classifiers and readers said", live=True)
    confidence: bool = setting(default=True, help="their confidence", live=True)
    ids: bool = setting(default=True, help="their identities", live=True)
    masks: bool = setting(default=True, help="their masks, blended", live=True)
    keypoints: bool = setting(default=True, help="their keypoints and skeletons", live=True)
    keypoint_confidence: float = setting(
        default=0.3, help="least confidence of a keypoint that is shown", minimum=0, maximum=1, live=True
    )
    maps: float = setting(
        default=0.4,
        help="opacity of class maps and depth maps over the frame, 0 for none",
        minimum=0,
        maximum=1,
        live=True,
    )
    skeletons: dict[str, Any] = setting(
        factory=dict, help="edges by label, {hand: [[0, 1], [1, 2]]}; 17 keypoints are COCO's person"
    )
    trails: Seconds = setting(
        default=2.0, help="seconds of the way that tracked objects came, 0 for none", minimum=0, live=True
    )
    rules: bool = setting(default=True, help="lines and zones with their counts", live=True)
    heatmap: float = setting(
        default=0.0,
        help="opacity of a map of where objects have been (that of analyze, if it makes one), 0 for none",
        minimum=0,
        maximum=1,
        live=True,
    )
    heatmap_memory: Seconds | None = setting(
        default=None, help="seconds of stream time in which the heatmap fades by half; none: never", minimum=0.001
    )
    clock: str = setting(
        default="none", help="pts: stream time, wall: UTC where the source has it", choices=("none", "pts", "wall"),
        live=True,
    )  # fmt: skip
    thickness: int | None = setting(
        default=None, help="pixels of outlines; default: by the picture", minimum=1, live=True
    )
    text_size: int | None = setting(
        default=None, help="pixels of a line of text; default: by the picture", minimum=6, live=True
    )
    colour_by: str = setting(default="class", help="what shares a colour", choices=("class", "identity"), live=True)
    colours: dict[str, str] = setting(factory=dict, help='colours of labels, {car: "#rrggbb"}')
    styles: dict[str, Any] = setting(
        factory=dict,
        help="by label, or * for all: colour, thickness, text_size, fill, mask_opacity, boxes, labels, masks, …",
    )
    font: str = setting(default="sans", help="sans, italic, uni, or the path of a .ttf or .otf file")

    imagings: dict[str, Imaging] = state(dict)
    paths: dict[str, Trails] = state(dict)
    heats: dict[str, Heat] = state(dict)
    fitted: dict[tuple[int, int], Style] = state(dict)

    def validate(self) -> None:
        from ..imaging.text import check_font

        self.plain = Style()
        for name, read in (("colours", colours_from), ("skeletons", skeletons_from), ("styles", styles_from)):
            field = "classes" if name == "styles" else name
            try:
                setattr(self.plain, field, read(getattr(self, name)))
            except ValueError as error:
                raise SettingError("draw", name, getattr(self, name), str(error)) from None
        try:
            check_font(self.font)
        except ValueError as error:
            raise SettingError("draw", "font", self.font, str(error)) from None
        self.fitted.clear()

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
        rules = frame.extras.get("analytics", ()) if self.rules else ()
        trails, heat = self.paths[frame.stream], self._heat(frame)
        trails.update(frame.objects, frame.pts, self.trails)
        marked = frame.objects or frame.readings or rules or heat is not None or self.clock != "none"
        if not marked and frame.image.format not in EIGHT_BIT:
            return
        canvas = self._imaging(frame.image.memory).canvas(frame.image, self.font)
        style = self._style(frame)
        if heat is not None:
            canvas.heat(heat.density, self.heatmap)
        draw_readings(canvas, frame.readings, style, self.maps)
        for rule in rules:
            draw_rule(canvas, rule, style)
        if self.trails:
            trails.draw(canvas, frame.objects, style)
        draw_objects(canvas, frame.objects, style)
        for rule in rules:
            draw_rule_caption(canvas, rule, style)
        if self.clock != "none":
            draw_clock(canvas, frame, self.clock, style.text_size)
        frame.image = canvas.finish()

    def end_stream(self, stream: str) -> Iterator[Item]:
        self.paths.pop(stream, None)
        self.heats.pop(stream, None)
        return super().end_stream(stream)

    def apply(self, prepared: Any) -> None:
        super().apply(prepared)
        self.fitted.clear()

    def _imaging(self, memory: str) -> Imaging:
        if memory not in self.imagings:
            self.imagings[memory] = part(memory, "imaging")(memory)
        return self.imagings[memory]

    def _heat(self, frame: Frame) -> Any:
        """The map of `analyze` where it makes one, else our own."""
        if not self.heatmap:
            return None
        if "heatmap" in frame.extras:
            return frame.extras["heatmap"]
        size = (frame.image.width, frame.image.height)
        heat = self.heats.get(frame.stream)
        if heat is None or heat.size != size:
            heat = self.heats[frame.stream] = Heat(*size)
        heat.update(frame.objects, frame.pts, self.heatmap_memory)
        return heat

    def _style(self, frame: Frame) -> Style:
        size = (frame.image.width, frame.image.height)
        if size not in self.fitted:
            if len(self.fitted) > 64:
                self.fitted.clear()
            for name in ("boxes", "labels", "confidence", "ids", "masks", "keypoints", "keypoint_confidence"):
                setattr(self.plain, name, getattr(self, name))
            self.plain.by_identity = self.colour_by == "identity"
            self.fitted[size] = self.plain.fitted(*size, self.thickness, self.text_size)
        return self.fitted[size]
