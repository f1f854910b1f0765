"""Importing openvino starts a thread of its own (telemetry); it shall not be blamed on a test."""

from contextlib import suppress

with suppress(ImportError):
    import openvino  # noqa: F401
