"""Resize, convert, compose and draw: one Protocol, one file per device."""
