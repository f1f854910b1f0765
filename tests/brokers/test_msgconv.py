"""nvmsgconv's configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.brokers.msgconv import Msgconv
from millrace.core.errors import ConfigError

YAML = """
sensor0:
  enable: 1
  type: Camera
  id: NORTH
  location: 1.5;2;3
  coordinate: 4;5;6
sensor1:
  enable: 0
  id: SOUTH
place0:
  enable: 1
  id: 1
  name: yard
  type: garage
  location: 1;2;3
  coordinate: 4;5;6
  place-sub-field1: a
  place-sub-field2: b
  place-sub-field3: c
"""


def test_yaml_says_the_same_as_ini(tmp_path: Path) -> None:
    path = tmp_path / "conv.yml"
    path.write_text(YAML)
    conv = Msgconv(str(path))
    assert conv.sensor_id("first") == "NORTH" and conv.sensor("first")["location"] == {"lat": 1.5, "lon": 2, "alt": 3}
    assert conv.place("first", "entrance", ("name", "lane", "level"))["entrance"] == {
        "name": "a", "lane": "b", "level": "c", "coordinate": {"x": 4, "y": 5, "z": 6},
    }  # fmt: skip
    assert conv.sensor_id("second") == "0" and conv.sensor("second") is None  # not enabled
    assert conv.analytics("first") is None


def test_csv_rows_are_streams(tmp_path: Path) -> None:
    path = tmp_path / "conv.csv"
    path.write_text("cameraId,sensorId,desc,camIDString,one,two,three\n0,NORTH,the gate,x,a,b,c\n1,SOUTH\n")
    conv = Msgconv(str(path))
    assert conv.sensor_id("first") == "NORTH" and conv.sensor("first")["description"] == "the gate"
    place = conv.place("first", "aisle", ("id", "name", "level"))
    assert place["name"] == "endeavor" and place["type"] == "building/garage" and place["aisle"]["level"] == "c"
    assert conv.sensor_id("second") == "SOUTH" and conv.analytics("second")["version"] == "1.0"


def test_without_a_file_streams_are_known_by_their_names() -> None:
    conv = Msgconv()
    assert conv.sensor_id("gate") == "gate" and conv.place("gate", "aisle", ("id", "name", "level"))["id"] == ""


def test_a_place_needs_three_numbers(tmp_path: Path) -> None:
    path = tmp_path / "conv.txt"
    path.write_text("[place0]\nenable=1\nlocation=1;2\n")
    with pytest.raises(ConfigError, match=r"conv\.txt:3: \[place0\] location: has 2 numbers, not 3"):
        Msgconv(str(path))


def test_every_file_of_the_corpus(deepstream_corpus: Path) -> None:
    files = [path for path in deepstream_corpus.rglob("*msgconv*") if path.suffix in (".txt", ".yml", ".csv")]
    assert len(files) >= 11
    named = 0
    for path in files:
        conv = Msgconv(str(path))
        assert conv.report is None or not conv.report.warnings(), path
        named += conv.sensor_id("first") != "0"  # the first stream has a sensor, but for templates
    assert named >= len(files) - 2
