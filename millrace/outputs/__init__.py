"""Packets, frames and metadata → files and screens."""
