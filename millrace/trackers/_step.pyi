from typing import Any

def gather(
    objects: list[Any], detections: Any, kinds: dict[tuple[str | None, int], int], known: list[Any], /
) -> None: ...
def publish(objects: list[Any], match: Any, table: Any, n: int, boxes: Any, filter: int, now: float, /) -> int: ...
def unseen(
    table: Any, n: int, filter: int, now: float, coast: float, unlooked: bool, longest: float, /
) -> list[Any]: ...
def predict(table: Any, n: int, life: Any, seconds: float, /) -> None: ...
def step(
    table: Any,
    n: int,
    detections: Any,
    m: int,
    stages: Any,
    life: Any,
    now: float,
    first: bool,
    serial: float,
    match: Any,
    gone: Any,
    extras: Any,
    /,
) -> tuple[int, int, int, float]: ...
