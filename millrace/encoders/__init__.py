"""Frames → packets: one file per way of encoding."""
