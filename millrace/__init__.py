"""millrace: real-time video analytics in Python."""

from ._version import __version__

__all__ = ["__version__"]
