"""One run in several processes: a GPU each, or a share of the streams each, under one supervisor with one view."""

from .cores import kept
from .shards import is_fleet, places
from .supervisor import Fleet

__all__ = ["Fleet", "is_fleet", "kept", "places"]
