"""Lines of gst-launch as plans: `load_launch("filesrc location=a.mp4 ! decodebin ! autovideosink").plan`.

See docs/launch-lines.md; elements.yaml says what each element is here.
"""

from .launch import Launch, load_launch
from .text import LaunchError

__all__ = ["Launch", "LaunchError", "load_launch"]
