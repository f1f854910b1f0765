"""What is counted at every boundary, by nodes and channels, never by an element."""

from __future__ import annotations

from dataclasses import dataclass


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
        self.time_in += other.time_in
        self.time_blocked += other.time_blocked
        self.time_idle += other.time_idle
