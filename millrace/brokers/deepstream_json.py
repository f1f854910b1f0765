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
_SIDES = ("shoulder", "elbow", "hand")
JOINTS = {  # names by how many there are: COCO's 17, and the 18 of DeepStream's pose type 0
    17: ["nose", *(f"{side}-{part}" for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
                   for side in ("left", "right"))],
    18: ["nose", "neck", *(f"{side}-{part}" for side in ("right", "left") for part in _SIDES),
         *(f"{side}-{part}" for side in ("right", "left") for part in ("hip", "knee", "foot")),
         "right-eye", "left-eye", "right-ear", "left-ear"],
}  # fmt: skip
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
        self._config, self._texts = Msgconv(config), texts
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
                "object": self._object(frame, found),
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

    def _object(self, frame: Frame, found: Object) -> dict[str, Any]:
        kind, known = kind_of(found.label), attributes(found)
        if kind in ATTRIBUTES:
            about: dict[str, Any] = {name: known.get(name, "") for name in ATTRIBUTES[kind]}
            if kind != "product":
                about["confidence"] = float(found.confidence)
            part = {kind: about}
        else:
            part = {found.label: {}}
        return {**_head(found), **part, **_geometry(found), **_outline(frame, found, self._texts), **_signature(found),
                "location": _location(), "coordinate": _coordinate(), "pose": pose(found), **_embedding(found),
                **_image(frame, found, self._texts)}  # fmt: skip


class FullNew:
    """payload-type 0 with `msg2p-newapi`: from the metadata itself; classifiers' answers by their own names."""

    def __init__(self, what: tuple[str, ...], texts: Texts, config: str | None = None) -> None:
        self._config, self._texts = Msgconv(config), texts
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
                "object": {**_head(found), found.label: about, **_geometry(found),
                           **_outline(frame, found, self._texts), **_signature(found), "location": {}, "coordinate": {},
                           "pose": pose(found), **_embedding(found), **_image(frame, found, self._texts)},
                "event": {"id": str(uuid.uuid4()), "type": ""},
                "videoPath": "", **_custom(frame),
            }  # fmt: skip
            yield Body(json.dumps(tree, indent=2).encode(), id=message)


class Minimal:
    """payload-type 1: one message a frame, each object a string. `dummy` sends frames without objects, too."""

    def __init__(
        self, what: tuple[str, ...], texts: Texts, config: str | None = None, dummy: bool = False, newapi: bool = False
    ) -> None:
        self._config, self._texts = Msgconv(config), texts
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
        if self._newapi:
            tree |= _custom(frame)
        elif masks := [_mask(frame, found, self._texts) for found in frame.objects if found.mask is not None]:
            tree["masks"] = masks
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


def _outline(frame: Frame, found: Object, texts: Texts) -> dict[str, Any]:
    """`maskoutline`: the edges of the mask, one list x, y, x, y, … for each part."""
    if found.mask is None:
        return {}
    return {"maskoutline": texts.outlines(found, frame.image.width, frame.image.height)}


def _signature(found: Object) -> dict[str, Any]:
    """What a program has put into the object's extras under that name."""
    return {"signature": finite(found.extras["signature"])} if "signature" in found.extras else {}


def _custom(frame: Frame) -> dict[str, Any]:
    """`customMessage`: the texts that a program has put into the frame's extras as `custom_message`."""
    said = frame.extras.get("custom_message")
    if said is None:
        return {}
    return {"customMessage": [said] if isinstance(said, str) else [str(each) for each in said]}


def _image(frame: Frame, found: Object, texts: Texts) -> dict[str, Any]:
    """The picture of the object: ours, DeepStream's schema has none."""
    image = texts.crop(frame, found) if texts.crop is not None else None
    return {} if image is None else {"image": image}


def joints(found: Object) -> list[tuple[str, list[float]]]:
    """The names of the keypoints that were seen, with x, y and perhaps the confidence."""
    if found.keypoints is None:
        return []
    count = len(found.keypoints)
    named = found.extras.get("keypoint_names") or JOINTS.get(count) or range(count)
    points = zip(named, found.keypoints.tolist(), strict=False)
    return [(str(name), point) for name, point in points if len(point) < 3 or point[2] > 0]


def pose(found: Object) -> dict[str, Any]:
    """Joints that were seen: {"nose": {x, y, confidence}}; x and y are whole numbers."""
    return {
        name: {"x": int(x), "y": int(y), "confidence": float(rest[0]) if rest else 1.0}
        for name, (x, y, *rest) in joints(found)
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
    if kind == "person" and (seen := joints(found)):
        points = (",".join([name, *map(_number, (*point, 1.0)[:3])]) for name, point in seen)
        parts += ["#", "pose2D", *points, ""]
    text = "|".join([*parts, _number(found.confidence)])
    if found.embedding is not None:
        text += "|#|embedding|" + ",".join(map(_number, found.embedding.tolist())) + "|"
    return text


def _mask(frame: Frame, found: Object, texts: Texts) -> str:
    """An entry of `masks`: the identity, how many parts there are, and the edges of each."""
    parts = texts.outlines(found, frame.image.width, frame.image.height)
    edges = "|#|".join("|".join(map(_number, part)) for part in parts)
    return "|".join([str(found.id if found.id is not None else -1), str(len(parts)), *([edges] if parts else [])])


def _minimal_new(found: Object) -> str:
    parts = [str(found.id if found.id is not None else -1), *map(_number, found.box.tolist()), found.label]
    if found.labels:
        parts += ["#", *(each.value for each in found.labels), _number(found.confidence)]
    return "|".join(parts)
