"""An element of your own, with a setting and state for each stream: python examples/custom_element.py street.mp4"""

import sys

import millrace
from millrace import Element, Frame, setting, state


class Brightness(Element):
    """Notes how bright each picture is, smoothed over time: `Brightness(smooth=0.9)`."""

    smooth: float = setting(default=0.9, help="share of the past", minimum=0, maximum=1, live=True)
    levels: dict[str, float] = state(dict)

    def process_frame(self, frame: Frame) -> None:
        now = float(frame.image.planes[0].mean())  # the plane of brightness, 0..255
        before = self.levels.get(frame.stream, now)
        self.levels[frame.stream] = frame.extras["brightness"] = self.smooth * before + (1 - self.smooth) * now

    def end_stream(self, stream: str):
        self.levels.pop(stream, None)  # a stream that comes again starts anew
        return super().end_stream(stream)


for frame in millrace.open(sys.argv[1]).add(Brightness(smooth=0.5)):
    if frame.index % 10 == 0:
        print(f"frame {frame.index}: {frame.extras['brightness']:.1f}")
