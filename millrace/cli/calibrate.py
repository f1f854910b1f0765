"""`millrace calibrate`: pairs of points → the table `world` of analyze, and how well it fits."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import typer

from ..analytics.world import Homography
from ..core.errors import ConfigError, OutputError

_WRITTEN = "it is written x,y=X,Y: pixels of the picture, then metres on the ground"
Pairs = list[tuple[list[float], list[float]]]


def calibrate(
    pairs: list[str], points: Path | None, out: Path | None, stream: str | None, size: str | None, at: list[str]
) -> None:
    """Fit, say how good it is, write the YAML."""
    given = [pair(text) for text in pairs] + (read_points(points) if points is not None else [])
    image, world = [a for a, _ in given], [b for _, b in given]
    try:
        fit = Homography.fit(image, world)
    except ValueError as error:
        raise ConfigError(f"calibrate: {error}") from None
    table: dict[str, Any] = {"image": image, "world": world}
    if size is not None:
        table["size"] = numbers(size.replace("x", ","), 2, "--size: it is written WIDTHxHEIGHT")
    for line in quality(fit, image, world):
        typer.echo(line)
    for text in at:
        x, y = numbers(text, 2, f"--at {text!r}: it is written x,y")
        place = fit.ground((x, y))
        where = "at the horizon or above it" if place is None else f"{place[0]:.2f}, {place[1]:.2f} m"
        typer.echo(f"{x:g}, {y:g} is {where}")
    write(out, stream, table)


def quality(fit: Homography, image: list[list[float]], world: list[list[float]]) -> list[str]:
    """The error of each pair and over all; with more than four pairs also that of each pair left out of the fit."""
    error = fit.error(image, world)
    more = len(image) > 4
    left = [_left_out(image, world, n) for n in range(len(image))] if more else []
    lines = []
    for n, (a, b) in enumerate(zip(image, world, strict=True)):
        line = f"{a[0]:g},{a[1]:g} = {b[0]:g},{b[1]:g}: {error.pixels[n]:.2f} px, {error.metres[n]:.3f} m"
        lines.append(line + (f"; left out of the fit: {left[n]:.3f} m" if more and left[n] is not None else ""))
    rms_px, rms_m = (float(np.sqrt((values**2).mean())) for values in (error.pixels, error.metres))
    lines.append(f"error (root of the mean square): {rms_px:.2f} px, {rms_m:.3f} m over {len(image)} pairs")
    if not more:
        lines.append("four pairs always fit; a fifth would show how good the calibration is")
    return lines


def pair(text: str) -> tuple[list[float], list[float]]:
    """`100,400=0,5` as picture point and ground point. Raises ConfigError."""
    left, equals, right = text.partition("=")
    if not equals:
        raise ConfigError(f"calibrate: {text!r}: {_WRITTEN}")
    return numbers(left, 2, f"{text!r}: {_WRITTEN}"), numbers(right, 2, f"{text!r}: {_WRITTEN}")


def read_points(path: Path) -> Pairs:
    """Pairs from a CSV file of x,y,X,Y, or from YAML with `image` and `world`. Raises ConfigError."""
    if path.suffix.lower() in (".yaml", ".yml"):
        from ..config.text import read

        data = read(path).data
        data = data.get("world", data) if isinstance(data, dict) and "image" not in data else data
        if not isinstance(data, dict) or not {"image", "world"} <= set(data):
            raise ConfigError(f"{path}: it is a table of `image` and `world`, lists of points [x, y]")
        if len(data["image"]) != len(data["world"]):
            raise ConfigError(f"{path}: as many points in `image` as in `world` are needed")
        return [
            ([float(v) for v in a], [float(v) for v in b]) for a, b in zip(data["image"], data["world"], strict=True)
        ]
    out: Pairs = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                if not row or row[0].startswith("#") or not row[0].strip():
                    continue
                values = numbers(",".join(row), 4, f"{path}: {','.join(row)!r}: a line is x,y,X,Y")
                out.append((values[:2], values[2:]))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return out


def numbers(text: str, count: int, wrong: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise ConfigError(f"calibrate: {wrong}")
    return values


def write(out: Path | None, stream: str | None, table: dict[str, Any]) -> None:
    """Print it, or put it into a file beside the streams that stand there."""
    import yaml

    world: dict[str, Any] = {stream: table} if stream is not None else table
    if out is not None and out.exists():
        from ..config.text import read

        data = read(out).data or {}
        if not isinstance(data, dict) or set(data) - {"world"}:
            raise ConfigError(f"calibrate: {out} holds more than a calibration and is left as it is: name another file")
        before = data.get("world", {})
        if stream is not None and before and "image" not in before:
            world = {**before, stream: table}
    text = yaml.safe_dump({"world": world}, default_flow_style=None, sort_keys=False)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(str(out), error) from error
    typer.echo(f"written to {out}: `analyze: {{config: {out}}}`")


def _left_out(image: list[list[float]], world: list[list[float]], n: int) -> float | None:
    """How far the others put this point from where it is, metres."""
    try:
        fit = Homography.fit(image[:n] + image[n + 1 :], world[:n] + world[n + 1 :])
    except ValueError:
        return None
    return float(fit.error([image[n]], [world[n]]).metres[0])
