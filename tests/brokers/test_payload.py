"""Payloads: our own form by its schema, DeepStream's by the field tables of its source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from pictures import frame as picture
from referencing import Registry, Resource

from millrace.brokers.deepstream_proto import message_class
from millrace.brokers.payload import Body, Texts, open_converter, schema
from millrace.core.errors import ConfigError
from millrace.media import Event, Frame, Label, Object, box
from millrace.outputs import jsonl
from millrace.outputs.masks import polygons

TEXTS = Texts(jsonl.frame_line, jsonl.event_text)
ALL = ("frames", "objects", "events")
WALL = 1_700_000_000_123_000_000
CONFIG = """
[sensor0]
enable=1
type=Camera
id=GATE
location=45.29;-75.83;48.15
description=Entrance
coordinate=5.2;10.1;11.2
[place0]
enable=1
id=7
type=garage
name=XYZ
location=30.32;-40.55;100.0
coordinate=1.0;2.0;3.0
place-sub-field1=walsh
place-sub-field2=lane1
place-sub-field3=P2
[analytics0]
enable=1
id=XYZ_1
description=Vehicle Detection
source=OpenALR
version=1.0
"""


@pytest.fixture
def frame() -> Frame:
    made = picture("gate", 3)
    made.wall = WALL
    car = Object(box([1.9, 2, 30.7, 40]), 2, "car", 0.8125, id=5)
    car.labels = [Label("colour", "red", 0.9), Label("make", "acme", 0.8)]
    car.embedding = np.array([0.5, 0.25], np.float32)
    dog = Object(box([5, 6, 7, 8]), 9, "dog", 0.5)
    dog.keypoints = np.array([[5.5, 6.5, 0.75], [6, 7, 0.0]], np.float32)
    made.objects = [car, dog]
    made.events = [Event("line", "gate", made.pts, "door", object_id=5, label="car", direction="in")]
    return made


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "msgconv.txt"
    path.write_text(CONFIG)
    return str(path)


def convert(name: str, frame: Frame, due: bool = True, **options: Any) -> list[Body]:
    return list(open_converter(name, ALL, TEXTS, options)(frame, due))


def test_our_own_messages_keep_their_schema(frame: Frame) -> None:
    registry: Any = Registry().with_resource("urn:millrace:frame:1", Resource.from_contents(jsonl.schema()))
    validator = jsonschema.Draft202012Validator(schema(), registry=registry)
    validator.check_schema(schema())
    bodies = convert("millrace", frame)
    messages = [json.loads(body.data) for body in bodies]
    for message in messages:
        validator.validate(message)
    assert [message["kind"] for message in messages] == ["frame", "object", "object", "event"]
    assert messages[0]["frame"] == json.loads(jsonl.frame_line(frame))
    assert messages[0]["time"] == "2023-11-14T22:13:20.123Z"
    assert messages[3]["event"]["name"] == "door" and messages[3]["object"]["label"] == "car"
    assert len({message["id"] for message in messages}) == 4
    assert all(body.id == message["id"] for body, message in zip(bodies, messages, strict=True))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**messages[0], "more": 1})


def test_between_the_frames_that_are_due_only_events_are_sent(frame: Frame) -> None:
    assert [json.loads(body.data)["kind"] for body in convert("millrace", frame, due=False)] == ["event"]
    frame.events.clear()
    assert convert("millrace", frame, due=False) == []


def test_full_schema(frame: Frame, config: str) -> None:
    car, dog = (json.loads(body.data) for body in convert("deepstream", frame, config=config))
    assert list(car) == [
        "messageid", "mdsversion", "@timestamp", "place", "sensor", "analyticsModule", "object", "event", "videoPath",
    ]  # fmt: skip
    assert car["mdsversion"] == "1.0" and car["@timestamp"] == "2023-11-14T22:13:20.123Z" and car["videoPath"] == ""
    assert car["place"] == {
        "id": "7", "name": "XYZ", "type": "garage", "location": {"lat": 30.32, "lon": -40.55, "alt": 100.0},
        "aisle": {"id": "walsh", "name": "lane1", "level": "P2", "coordinate": {"x": 1.0, "y": 2.0, "z": 3.0}},
    }  # fmt: skip
    assert car["sensor"] == {
        "id": "GATE", "type": "Camera", "description": "Entrance",
        "location": {"lat": 45.29, "lon": -75.83, "alt": 48.15}, "coordinate": {"x": 5.2, "y": 10.1, "z": 11.2},
    }  # fmt: skip
    assert car["analyticsModule"] == {
        "id": "XYZ_1", "description": "Vehicle Detection", "source": "OpenALR", "version": "1.0",
    }  # fmt: skip
    found = car["object"]
    assert list(found)[:6] == ["id", "speed", "direction", "orientation", "vehicle", "bbox"]
    assert found["id"] == "5" and found["speed"] == found["direction"] == found["orientation"] == 0
    assert found["vehicle"] == {
        "type": "", "make": "acme", "model": "", "color": "red", "licenseState": "", "license": "",
        "confidence": 0.8125,
    }  # fmt: skip
    assert found["bbox"] == {"topleftx": 1, "toplefty": 2, "bottomrightx": 30, "bottomrighty": 40}  # cut, not rounded
    assert found["location"] == {"lat": 0.0, "lon": 0.0, "alt": 0.0}
    assert found["coordinate"] == {"x": 0.0, "y": 0.0, "z": 0.0} and found["pose"] == {}
    assert found["embedding"] == {"embedding_length": 2, "embedding_vector": [0.5, 0.25]}
    assert car["event"]["type"] == "entry"
    assert dog["event"]["type"] == "moving" and dog["object"]["dog"] == {} and dog["object"]["id"] == "-1"
    assert dog["object"]["pose"] == {"0": {"x": 5, "y": 6, "confidence": 0.75}} and "embedding" not in dog["object"]


def test_full_schema_of_the_new_interface(frame: Frame, config: str) -> None:
    car = json.loads(convert("deepstream-new", frame, config=config)[0].data)
    assert car["object"]["car"] == {"confidence": 0.8125, "colour": "red", "make": "acme"}
    assert car["object"]["location"] == {} and car["event"]["type"] == ""
    assert list(car["place"]["place-sub-field"]) == ["id", "name", "level", "coordinate"]


def test_minimal_schema(frame: Frame, config: str) -> None:
    (body,) = convert("deepstream-minimal", frame, config=config)
    assert json.loads(body.data) == {
        "version": "4.0", "id": "3", "@timestamp": "2023-11-14T22:13:20.123Z", "sensorId": "GATE",
        "objects": [
            "5|1.9|2|30.7|40|Vehicle|#||acme||red|||0.8125|#|embedding|0.5,0.25|", "-1|5|6|7|8|dog|0.5",
        ],
    }  # fmt: skip
    (body,) = convert("deepstream-minimal", frame, newapi=True)
    told = json.loads(body.data)
    assert told["sensorId"] == "gate"
    assert told["objects"] == ["5|1.9|2|30.7|40|car|#|red|acme|0.8125", "-1|5|6|7|8|dog"]
    frame.objects.clear()
    assert convert("deepstream-minimal", frame) == []
    assert json.loads(convert("deepstream-minimal", frame, dummy=True)[0].data)["objects"] == []


def test_protobuf(frame: Frame, config: str) -> None:
    (body,) = convert("deepstream-protobuf", frame, config=config)
    told = message_class("Frame").FromString(body.data)
    assert (told.version, told.id, told.sensorId) == ("4.0", "3", "GATE")
    assert (told.timestamp.seconds, told.timestamp.nanos) == (1_700_000_000, 123_000_000)
    car, dog = told.objects
    assert (car.id, car.type, car.confidence) == ("5", "Vehicle", 0.8125) and dog.type == "dog"
    assert [round(v, 3) for v in (car.bbox.leftX, car.bbox.topY, car.bbox.rightX, car.bbox.bottomY)] == [
        1.9, 2, 30.7, 40,
    ]  # fmt: skip
    assert car.info["color"] == "red" and car.info["make"] == "acme" and list(car.embedding.vector) == [0.5, 0.25]
    assert dog.pose.type == "pose2D" and list(dog.pose.keypoints[0].coordinates) == [5.5, 6.5, 0.75]


def test_protobuf_field_numbers_on_the_wire(frame: Frame) -> None:
    frame.objects.clear()
    data = convert("deepstream-protobuf", frame)[0].data
    # version (field 1), id (2), timestamp (3) with seconds (1) and nanos (2), sensorId (4)
    assert data.startswith(b"\x0a\x034.0\x12\x013\x1a") and data.endswith(b"\x22\x04gate")


PICTURE = {"type": "image/jpeg", "width": 3, "height": 2, "data": "AAAA"}
TEXTS_WITH_MORE = Texts(
    jsonl.frame_line, jsonl.event_text, polygons, lambda frame, found: PICTURE if found.id else None
)


def more(name: str, frame: Frame, **options: Any) -> list[Any]:
    return [json.loads(body.data) for body in open_converter(name, ALL, TEXTS_WITH_MORE, options)(frame)]


@pytest.fixture
def person(frame: Frame) -> Frame:
    """One person with 17 joints, of which two are seen, a mask of half its box, a signature and a custom message."""
    found = Object(box([10, 10, 20, 30]), 0, "person", 0.75, id=8)
    found.keypoints = np.zeros((17, 3), np.float32)
    found.keypoints[0], found.keypoints[5] = (15.25, 11.5, 0.5), (12, 15, 0.25)
    found.mask = np.zeros((20, 10), bool)
    found.mask[:10] = True
    found.extras["signature"] = np.array([0.5, 1.5])
    frame.objects, frame.events = [found], []
    frame.extras["custom_message"] = ["hello", 7]
    return frame


def test_masks_joints_signatures_and_messages_of_a_program(person: Frame, config: str) -> None:
    joints = {"nose": {"x": 15, "y": 11, "confidence": 0.5}, "left-shoulder": {"x": 12, "y": 15, "confidence": 0.25}}
    outline = polygons(person.objects[0], person.image.width, person.image.height)
    for name in ("deepstream", "deepstream-new"):
        [told] = more(name, person, config=config)
        found = told["object"]
        assert found["maskoutline"] == outline and found["signature"] == [0.5, 1.5] and found["pose"] == joints
        names = list(found)
        assert names.index("bbox") + 1 == names.index("maskoutline") == names.index("signature") - 1
        assert names[names.index("signature") + 1 :] == ["location", "coordinate", "pose", "image"]
        assert told.get("customMessage") == (["hello", "7"] if name == "deepstream-new" else None)
    [told] = more("deepstream-minimal", person)
    assert told["objects"] == [
        "8|10|10|20|30|Person|#||||||#|pose2D|nose,15.25,11.5,0.5|left-shoulder,12,15,0.25||0.75"
    ]
    edges = "|".join(f"{value:g}" for value in outline[0])
    assert told["masks"] == [f"8|1|{edges}"] and "customMessage" not in told
    [told] = more("deepstream-minimal", person, newapi=True)
    assert told["customMessage"] == ["hello", "7"] and "masks" not in told
    person.extras["custom_message"] = "one"
    assert more("deepstream-minimal", person, newapi=True)[0]["customMessage"] == ["one"]
    person.objects[0].keypoints = np.ones((18, 3), np.float32)
    [told] = more("deepstream", person, config=config)
    assert list(told["object"]["pose"])[:4] == ["nose", "neck", "right-shoulder", "right-elbow"]


def test_pictures_masks_and_embeddings_in_our_own_form(frame: Frame) -> None:
    registry: Any = Registry().with_resource("urn:millrace:frame:1", Resource.from_contents(jsonl.schema()))
    validator = jsonschema.Draft202012Validator(schema(), registry=registry)
    frame.objects[0].mask = np.ones((4, 4), bool)
    told = more("millrace", frame, masks="polygon", embeddings=True)
    for message in told:
        validator.validate(message)
    car, dog = told[0]["frame"]["objects"]
    assert car["image"]["data"] == "AAAA" and car["embedding"] == [0.5, 0.25] and car["mask"] and "image" not in dog
    assert told[1]["object"]["image"] == told[3]["object"]["image"] == car["image"]
    with pytest.raises(ConfigError, match="masks='rl' is not allowed: one of none, rle, polygon"):
        more("millrace", frame, masks="rl")


def half(frame: Frame) -> list[Any]:
    return [{"half": frame.index / 2}, b"\x00", "text"]


def test_a_function_of_the_users_own(frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    bodies = convert("test_payload:half", frame)
    assert [body.data for body in bodies] == [b'{"half": 1.5}', b"\x00", b"text"]


def test_names_that_are_not_known() -> None:
    with pytest.raises(ConfigError, match=r"'deepstrem' is not known\. Did you mean 'deepstream'\?"):
        open_converter("deepstrem", ALL, TEXTS, {})
    with pytest.raises(ConfigError, match="cannot be loaded"):
        open_converter("nowhere:half", ALL, TEXTS, {})
    with pytest.raises(ConfigError, match="does not take these options: colour"):
        open_converter("deepstream", ALL, TEXTS, {"colour": 1})
