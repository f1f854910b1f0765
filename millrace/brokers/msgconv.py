"""nvmsgconv's configuration: where each sensor stands and what it is called (`sensorN`, `placeN`, `analyticsN`).

Read from INI, YAML or CSV as DeepStream 9.1 does; N is the number of the stream in the order in which
they are declared.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..deepstream import Report, Section, read

NO_SENSOR = "0"
DS3D = "belongs to lidar and 3D fusion, which millrace does not do"


class Msgconv:
    """What a configuration says of each stream; without one, streams are known by their names."""

    def __init__(self, path: str | None = None) -> None:
        """Raises ConfigError with file and line."""
        self._sensors: dict[int, dict[str, Any]] = {}
        self._places: dict[int, dict[str, Any]] = {}
        self._analytics: dict[int, dict[str, Any]] = {}
        self._numbers: dict[str, int] = {}
        self.given = path is not None
        self.report: Report | None = None
        if path is None:
            return
        if Path(path).suffix == ".csv":
            self._read_csv(path)
            return
        self.report = self._read(Report(read(path)))
        self.report.finish()

    def sensor(self, stream: str) -> dict[str, Any] | None:
        """`sensor` of the full schema; None for a stream that the configuration does not have."""
        if not self.given:
            return {"id": stream, "type": "Camera", "description": "", **_nowhere()}
        return self._sensors.get(self._number(stream))

    def ids(self) -> dict[int, str]:
        """The ids of the sensors by their numbers."""
        return {number: sensor["id"] for number, sensor in self._sensors.items()}

    def sensor_id(self, stream: str) -> str:
        """The sensor's id, as minimal payloads and protobuf say it."""
        found = self.sensor(stream)
        return found["id"] if found else NO_SENSOR

    def analytics(self, stream: str) -> dict[str, Any] | None:
        """`analyticsModule` of the full schema."""
        if not self.given:
            return {"id": "", "description": "", "source": "millrace", "version": "1.0"}
        return self._analytics.get(self._number(stream))

    def place(self, stream: str, part: str, fields: Sequence[str]) -> dict[str, Any] | None:
        """`place` of the full schema, with its sub-fields under the name `part`."""
        found = self._places.get(self._number(stream)) if self.given else _place("", "", "")
        if found is None:
            return None
        own = dict(zip(fields, found["sub"], strict=True)) | {"coordinate": found["coordinate"]}
        return {
            "id": found["id"],
            "name": found["name"],
            "type": found["type"],
            "location": found["location"],
            part: own,
        }

    def expect(self, streams: Sequence[str]) -> None:
        """Give these streams their numbers, in this order; those that have one keep it."""
        for stream in streams:
            self._number(stream)

    def _number(self, stream: str) -> int:
        return self._numbers.setdefault(stream, len(self._numbers))

    def _read(self, report: Report) -> Report:
        for match, section in report.sections(r"sensor(\d+)"):
            values = {
                "id": section.text("id", ""), "type": section.text("type", ""),
                "description": section.text("description", ""), "location": _location(section),
                "coordinate": _coordinate(section),
            }  # fmt: skip
            if section.boolean("enable", False):
                self._sensors[int(match[1])] = values
        for match, section in report.sections(r"place(\d+)"):
            values = _place(section.text("id", ""), section.text("name", ""), section.text("type", ""))
            values["location"], values["coordinate"] = _location(section), _coordinate(section)
            values["sub"] = [section.text(f"place-sub-field{n}", "") for n in (1, 2, 3)]
            if section.boolean("enable", False):
                self._places[int(match[1])] = values
        for match, section in report.sections(r"analytics(\d+)"):
            values = {name: section.text(name, "") for name in ("id", "description", "source", "version")}
            if section.boolean("enable", False):
                self._analytics[int(match[1])] = values
        report.ignore(DS3D, r"ds3d::.*")
        return report

    def _read_csv(self, path: str) -> None:
        try:
            with open(path, newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))[1:]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from error
        for number, row in enumerate(rows):
            cells = (row + [""] * 7)[:7]
            nowhere = _nowhere()
            self._sensors[number] = {"id": cells[1], "type": "Camera", "description": cells[2], **nowhere}
            place = _place("Id", "endeavor", "building/garage")
            self._places[number] = {**place, "sub": cells[4:7]}
            self._analytics[number] = {"id": "", "description": "", "source": "", "version": "1.0"}


def _nowhere() -> dict[str, Any]:
    return {"location": {"lat": 0.0, "lon": 0.0, "alt": 0.0}, "coordinate": {"x": 0.0, "y": 0.0, "z": 0.0}}


def _place(id: str, name: str, kind: str) -> dict[str, Any]:
    return {"id": id, "name": name, "type": kind, "sub": ["", "", ""], **_nowhere()}


def _location(section: Section) -> dict[str, float]:
    return dict(zip(("lat", "lon", "alt"), _three(section, "location"), strict=True))


def _coordinate(section: Section) -> dict[str, float]:
    return dict(zip(("x", "y", "z"), _three(section, "coordinate"), strict=True))


def _three(section: Section, key: str) -> tuple[float, ...]:
    values = section.numbers(key, (0.0, 0.0, 0.0))
    if len(values) != 3:
        section.reject(key, f"has {len(values)} numbers, not 3")
        return (0.0, 0.0, 0.0)
    return values
