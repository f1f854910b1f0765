"""DeepStream's JSON: the full schema (one message an object) and the minimal one (one message a frame).

The fields are those of nvmsgconv 9.1's `eventmsg_payload.cpp` and `dsmeta_payload.cpp`, in their order. Where
DeepStream leaves a value to the application we put what a frame knows.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

from ..media import Frame, Object
from .msgconv import Msgconv
from .payload import Body, Texts, utc

TYPES = {
    "vehicle": ("car", "vehicle", "truck", "bus", "van", "motorcycle", "motorbike"),
    "person": ("person", "pedestrian"),
    "face": ("face",),
    "product": ("product",),
    "bag": ("bag", "handbag", "backpack", "suitcase"),
    "bicycle": ("bicycle", "bike", "two-wheeler"),
    "roadsign": ("roadsign", "road_sign", "traffic_sign", "stop sign"),
}
ATTRIBUTES = {
    "vehicle": ("type", "make", "model", "color", "licenseState", "license"),
    "person": ("age", "gender", "hair", "cap", "apparel"),
    "face": ("age", "gender", "hair", "cap", "glasses", "facialhair", "name", "eyecolor"),
    "product": ("brand", "type", "shape"),
}
MINIMAL = {  # the order of the attributes in a minimal object; an empty name is an empty field
    "vehicle": ("type", "make", "model", "color", "license", "licenseState"),
    "person": ("gender", "age", "hair", "cap", "apparel"),
    "face": ("gender", "age", "hair", "cap", "glasses", "facialhair", "name", "", "eyecolor"),
    "product": ("brand", "type", "shape"),
}
NAMES = {"vehicle": "Vehicle", "face": "Face", "person": "Person", "bag": "Bag", "bicycle": "Bicycle",
         "roadsign": "RoadSign", "product": "Product"}  # fmt: skip
EVENTS = {"in": "entry", "enter": "entry", "out": "exit", "exit": "exit", "leave": "exit"}
OTHER_NAMES = {"colour": "color", "vehicle type": "type", "licence": "license", "maker": "make"}


def kind_of(label: str) -> str:
    """DeepStream's object type of a label: vehicle, person, …; "" for what it has no type for."""
    return next((kind for kind, labels in TYPES.items() if label.lower() in labels), "")


def attributes(found: Object) -> dict[str, str]:
    """The answers of classifiers by their names, a licence plate's text among them."""
    known = {OTHER_NAMES.get(each.name.lower(), each.name): each.value for each in found.labels}
    return known | ({"license": found.text} if found.text and "license" not in known else {})


def timestamp(frame: Frame) -> str:
    """UTC of the sender's clock where a stream has one, else now."""
    return utc(frame.wall if frame.wall is not None else time.time_ns())


def event_type(frame: Frame, found: Object) -> str:
    """entry, exit, stopped or moving, from the events that this frame has about an object."""
    about = [event for event in frame.events if found.id is not None and event.object_id == found.id]
    kinds = (EVENTS.get(event.direction or "") or ("stopped" if event.kind == "stopped" else "") for event in about)
    return next(filter(None, kinds), "moving")


def finite(values: Any) -> list[float]:
    return [float(value) for value in values]


class Full:
    """payload-type 0 from event messages: one message for each object, as deepstream-test5 sends them."""

    def __init__(self, what: tuple[str, ...], texts: Texts, config: str | None = None) -> None:
        self._config = Msgconv(config)
        self.expect = self._config.expect

    def __call__(self, frame: Frame, due: bool = True) -> Iterator[Body]:
        for found in frame.objects if due else ():
            message = str(uuid.uuid4())
            event = event_type(frame, found)
            tree = {
                "messageid": message,
                "mdsversion": "1.0",
                "@timestamp": timestamp(frame),
                "place": self._place(frame.stream, event, kind_of(found.label)),
                "sensor": self._config.sensor(frame.stream),
                "analyticsModule": self._config.analytics(frame.stream),
                "object": self._object(found),
                "event": {"id": str(uuid.uuid4()), "type": event},
                "videoPath": "",
            }
            yield Body(json.dumps(tree, indent=2).encode(), id=message)

    def _place(self, stream: str, event: str, kind: str) -> dict[str, Any] | None:
        if event in ("moving", "stopped") or (event in ("entry", "exit") and kind == "vehicle"):
            name, fields = "aisle", ("id", "name", "level")
        else:
            name, fields = "entrance", ("name", "lane", "level")
        return self._config.place(stream, name, fields)

    def _object(self, found: Object) -> dict[str, Any]:
        kind, known = kind_of(found.label), attributes(found)
        if kind in ATTRIBUTES:
            about: dict[str, Any] = {name: known.get(name, "") for name in ATTRIBUTES[kind]}
            if kind != "product":
                about["confidence"] = float(found.confidence)
            part = {kind: about}
        else:
            part = {found.label: {}}
        return {**_head(found), **part, **_geometry(found), "location": _location(), "coordinate": _coordinate(),
                "pose": pose(found), **_embedding(found)}  # fmt: skip


class FullNew:
    """payload-type 0 with `msg2p-newapi`: from the metadata itself; classifiers' answers by their own names."""

    def __init__(self, what: tuple[str, ...], texts: Texts, config: str | None = None) -> None:
        self._config = Msgconv(config)
        self.expect = self._config.expect

    def __call__(self, frame: Frame, due: bool = True) -> Iterator[Body]:
        for found in frame.objects if due else ():
            message = str(uuid.uuid4())
            about = {"confidence": float(found.confidence)} | {each.name: each.value for each in found.labels}
            tree = {
                "messageid": message,
                "mdsversion": "1.0",
                "@timestamp": timestamp(frame),
                "place": self._config.place(frame.stream, "place-sub-field", ("id", "name", "level")),
                "sensor": self._config.sensor(frame.stream),
                "analyticsModule": self._config.analytics(frame.stream),
                "object": {**_head(found), found.label: about, **_geometry(found), "location": {}, "coordinate": {},
                           "pose": pose(found), **_embedding(found)},
                "event": {"id": str(uuid.uuid4()), "type": ""},
                "videoPath": "",
            }  # fmt: skip
            yield Body(json.dumps(tree, indent=2).encode(), id=message)


class Minimal:
    """payload-type 1: one message a frame, each object a string. `dummy` sends frames without objects, too."""

    def __init__(
        self, what: tuple[str, ...], texts: Texts, config: str | None = None, dummy: bool = False, newapi: bool = False
    ) -> None:
        self._config = Msgconv(config)
        self.expect = self._config.expect
        self._dummy, self._newapi = dummy, newapi

    def __call__(self, frame: Frame, due: bool = True) -> Iterator[Body]:
        if not due or not (frame.objects or self._dummy or self._newapi):
            return
        write = _minimal_new if self._newapi else _minimal
        tree: dict[str, Any] = {
            "version": "4.0",
            "id": str(frame.index),
            "@timestamp": timestamp(frame),
            "sensorId": self._config.sensor_id(frame.stream),
            "objects": [write(found) for found in frame.objects],
        }
        yield Body(json.dumps(tree).encode())


def _head(found: Object) -> dict[str, Any]:
    return {"id": str(found.id if found.id is not None else -1), "speed": 0.0, "direction": 0.0, "orientation": 0.0}


def _geometry(found: Object) -> dict[str, Any]:
    x1, y1, x2, y2 = (int(side) for side in found.box)
    return {"bbox": {"topleftx": x1, "toplefty": y1, "bottomrightx": x2, "bottomrighty": y2}}


def _location() -> dict[str, float]:
    return {"lat": 0.0, "lon": 0.0, "alt": 0.0}


def _coordinate() -> dict[str, float]:
    return {"x": 0.0, "y": 0.0, "z": 0.0}


def _embedding(found: Object) -> dict[str, Any]:
    if found.embedding is None:
        return {}
    return {"embedding": {"embedding_length": len(found.embedding), "embedding_vector": finite(found.embedding)}}


def pose(found: Object) -> dict[str, Any]:
    """Joints that were seen, by number: {"0": {x, y, confidence}}; x and y are whole numbers."""
    if found.keypoints is None:
        return {}
    names = found.extras.get("keypoint_names") or [str(n) for n in range(len(found.keypoints))]
    return {
        str(name): {"x": int(x), "y": int(y), "confidence": float(rest[0]) if rest else 1.0}
        for name, (x, y, *rest) in zip(names, found.keypoints.tolist(), strict=False)
        if not rest or rest[0] > 0
    }


def _number(value: float) -> str:
    """As C++ streams write floats: six significant digits."""
    return f"{value:.6g}"


def _minimal(found: Object) -> str:
    kind, known = kind_of(found.label), attributes(found)
    parts = [str(found.id if found.id is not None else -1), *map(_number, found.box.tolist())]
    parts.append(NAMES.get(kind, found.label or "Unknown"))
    if kind in MINIMAL:
        parts += ["#", *(known.get(name, "") for name in MINIMAL[kind])]
    text = "|".join([*parts, _number(found.confidence)])
    if found.embedding is not None:
        text += "|#|embedding|" + ",".join(map(_number, found.embedding.tolist())) + "|"
    return text


def _minimal_new(found: Object) -> str:
    parts = [str(found.id if found.id is not None else -1), *map(_number, found.box.tolist()), found.label]
    if found.labels:
        parts += ["#", *(each.value for each in found.labels), _number(found.confidence)]
    return "|".join(parts)
