"""One run in several processes: a GPU each, or a share of the streams each, under one supervisor with one view."""

from .cores import on_cores
from .shards import is_fleet, places
from .supervisor import Fleet

__all__ = ["Fleet", "is_fleet", "on_cores", "places"]
