"""DeepStream's protobuf payload (payload-type 2): one `nv.Frame` for each frame, version 4.0.

Field numbers are those of DeepStream 9.1's schema.proto. The messages are made from the table below, so no generated
code is needed; google.protobuf comes with ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from ..media import Frame, Object
from .deepstream_json import ATTRIBUTES, attributes, joints, kind_of
from .msgconv import Msgconv
from .payload import Body, Texts

# message: {field: (number, type)}; `*` before a type: repeated, `map`: string to string
SCHEMA: dict[str, dict[str, tuple[int, str]]] = {
    "Frame": {"version": (1, "string"), "id": (2, "string"), "timestamp": (3, "Timestamp"), "sensorId": (4, "string"),
              "objects": (5, "*Object")},
    "Object": {"id": (1, "string"), "bbox": (2, "Bbox"), "type": (3, "string"), "confidence": (4, "float"),
               "info": (5, "map"), "embedding": (6, "Embedding"), "pose": (7, "Pose"), "gaze": (8, "Gaze"),
               "lipActivity": (9, "LipActivity"), "speed": (10, "float"), "dir": (11, "*float"),
               "coordinate": (12, "Coordinate"), "location": (13, "Location")},
    "Bbox": {"leftX": (1, "float"), "topY": (2, "float"), "rightX": (3, "float"), "bottomY": (4, "float")},
    "Embedding": {"vector": (1, "*float"), "info": (2, "map")},
    "Pose": {"type": (1, "string"), "keypoints": (2, "*Keypoint"), "actions": (3, "*Action")},
    "Keypoint": {"name": (1, "string"), "coordinates": (2, "*float"), "quaternion": (3, "*float")},
    "Action": {"type": (1, "string"), "confidence": (2, "float")},
    "Gaze": {"x": (1, "float"), "y": (2, "float"), "z": (3, "float"), "theta": (4, "float"), "phi": (5, "float")},
    "LipActivity": {"classLabel": (1, "string")},
    "Coordinate": {"x": (1, "double"), "y": (2, "double"), "z": (3, "double")},
    "Location": {"lat": (1, "double"), "lon": (2, "double"), "alt": (3, "double")},
}  # fmt: skip
VERSION = "4.0"


class Protobuf:
    """`nv.Frame` messages; `config` is nvmsgconv's file."""

    def __init__(self, what: tuple[str, ...], texts: Texts, config: str | None = None) -> None:
        self._config = Msgconv(config)
        self.expect = self._config.expect

    def __call__(self, frame: Frame, due: bool = True) -> Iterator[Body]:
        if not due:
            return
        import time

        message = message_class("Frame")()
        message.version, message.id = VERSION, str(frame.index)
        message.sensorId = self._config.sensor_id(frame.stream)
        wall = frame.wall if frame.wall is not None else time.time_ns()
        message.timestamp.seconds, message.timestamp.nanos = divmod(wall, 1_000_000_000)
        for found in frame.objects:
            _write(found, message.objects.add())
        yield Body(message.SerializeToString(), "application/x-protobuf")


def _write(found: Object, target: Any) -> None:
    target.id = str(found.id if found.id is not None else -1)
    target.bbox.leftX, target.bbox.topY, target.bbox.rightX, target.bbox.bottomY = found.box.tolist()
    kind = kind_of(found.label)
    target.type = kind.capitalize() if kind else found.label
    target.confidence = found.confidence
    known = attributes(found)
    for name in ATTRIBUTES.get(kind, ()):
        target.info[name] = known.get(name, "")
    for name, value in known.items():
        target.info[name] = value
    if found.embedding is not None:
        target.embedding.vector.extend(found.embedding.tolist())
    if found.keypoints is not None:
        target.pose.type = "pose2D"
        for name, point in joints(found):
            joint = target.pose.keypoints.add()
            joint.name = name
            joint.coordinates.extend(point)


@cache
def message_class(name: str) -> Any:
    """The class of a message of the schema, by google.protobuf."""
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_timestamp())
    pool.AddSerializedFile(_file())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"nv.{name}"))


def _timestamp() -> bytes:
    from google.protobuf import timestamp_pb2

    data: bytes = timestamp_pb2.DESCRIPTOR.serialized_pb
    return data


@cache
def _file() -> bytes:
    from google.protobuf import descriptor_pb2 as pb

    kinds = pb.FieldDescriptorProto
    scalars = {"string": kinds.TYPE_STRING, "float": kinds.TYPE_FLOAT, "double": kinds.TYPE_DOUBLE}
    file = pb.FileDescriptorProto(name="nv/schema.proto", package="nv", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            many = kind.startswith("*") or kind == "map"
            made = message.field.add(
                name=field, number=number, label=kinds.LABEL_REPEATED if many else kinds.LABEL_OPTIONAL
            )
            kind = kind.removeprefix("*")
            if kind in scalars:
                made.type = scalars[kind]
                continue
            made.type = kinds.TYPE_MESSAGE
            if kind == "map":
                entry = message.nested_type.add(name=f"{field.capitalize()}Entry")
                entry.options.map_entry = True
                for at, part in enumerate(("key", "value"), 1):
                    entry.field.add(name=part, number=at, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_STRING)
                made.type_name = f".nv.{name}.{entry.name}"
            else:
                made.type_name = ".google.protobuf.Timestamp" if kind == "Timestamp" else f".nv.{kind}"
    data: bytes = file.SerializeToString()
    return data
