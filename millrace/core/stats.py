"""What is counted at every boundary, by nodes and channels, never by an element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class NodeStats:
    """One element's counts since the start. Times are seconds."""

    name: str
    items_in: int = 0
    items_out: int = 0
    skipped: int = 0  # items lost to errors under on_error: skip
    drops: int = 0  # items that its channel dropped by policy
    peak_depth: int = 0  # most items of one stream that waited in its channel
    depth: int = 0  # items that wait there now
    waiting: dict[str | None, int] = field(default_factory=dict)  # depth by stream; None: what spans streams
    lost: dict[str | None, int] = field(default_factory=dict)  # drops by stream
    away: bool = False  # a source that has lost what it reads, and tries to get it back
    time_in: float = 0.0  # inside the element's own code
    time_blocked: float = 0.0  # its thread had an item and no room for the result
    time_idle: float = 0.0  # its thread had nothing to do

    def add(self, other: NodeStats) -> None:
        """Sum up the parts of a partitioned element."""
        self.items_in += other.items_in
        self.items_out += other.items_out
        self.skipped += other.skipped
        self.drops += other.drops
        self.peak_depth = max(self.peak_depth, other.peak_depth)
        self.depth += other.depth
        _sum_up(self.waiting, other.waiting)
        _sum_up(self.lost, other.lost)
        self.away = self.away or other.away
        self.time_in += other.time_in
        self.time_blocked += other.time_blocked
        self.time_idle += other.time_idle


def _sum_up(into: dict[str | None, int], other: Mapping[str | None, int]) -> None:
    for stream, count in other.items():
        into[stream] = into.get(stream, 0) + count
