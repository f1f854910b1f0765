from typing import Any

def to_source(
    boxes: list[Any],
    scale_x: float,
    scale_y: float,
    offset_x: float,
    offset_y: float,
    width: float,
    height: float,
    /,
) -> tuple[bytearray, list[bool]] | None: ...
