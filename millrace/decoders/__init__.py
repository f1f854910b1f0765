"""Packets → frames: one file per way of decoding."""
