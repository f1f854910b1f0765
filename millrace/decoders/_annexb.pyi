"""The C part of annexb.py."""

from typing import Any

def write(to: memoryview | bytearray, header: bytes, packet: Any, length_size: int, /) -> int:
    """Bytes written; 0: the packet's lengths are wrong; below 0: so many bytes of room are needed in `to`."""
