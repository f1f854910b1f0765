from typing import Any

def sure(
    rows: Any, columns: tuple[int, ...], floor: float, most: int, limit: float, /
) -> tuple[list[int], bytearray, bytearray, bytearray, bool] | None: ...
