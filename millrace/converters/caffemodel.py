"""Caffe's files as a net: layers in order, each with its parameters and its weights.

The structure is read from the prototxt (text), the weights from the caffemodel: protocol buffers on the wire
(https://protobuf.dev/programming-guides/encoding/), of which only names and blobs are looked at. Field numbers are
those of BVLC's caffe.proto: NetParameter.layer 100 (layers 2 in files of before 2014), LayerParameter.name 1 (4) and
blobs 7 (6), BlobProto.data 5, double_data 8, shape 7, num…width 1–4.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .prototext import Message, parse

Array = NDArray[np.float32]
# Layers that feed or judge a training: no part of the network that is used.
_TRAINING = {"Accuracy", "Silence", "SoftmaxWithLoss", "MultiBoxLoss", "EuclideanLoss", "SmoothL1Loss",
             "SigmoidCrossEntropyLoss", "DetectionEvaluate"}  # fmt: skip
_SOURCES = {"Data", "ImageData", "AnnotatedData", "HDF5Data", "MemoryData", "DummyData", "WindowData", "VideoData"}


@dataclass(slots=True)
class Layer:
    """A step of a net: what it reads (`bottoms`) and writes (`tops`), its parameters and weights."""

    name: str
    type: str
    bottoms: list[str]
    tops: list[str]
    text: Message
    blobs: list[Array] = field(default_factory=list)

    def parameters(self, *names: str) -> Message:
        """The message with the layer's own parameters: `convolution_param`."""
        return next((self.text.message(name) for name in names if name in self.text), Message())


@dataclass(slots=True)
class Net:
    name: str
    inputs: dict[str, tuple[int, ...]]
    layers: list[Layer]

    @property
    def outputs(self) -> list[str]:
        """What is written and never read, in order. A layer in place writes what it reads: the last one counts."""
        unread: dict[str, None] = {}
        for layer in self.layers:
            for bottom in layer.bottoms:
                unread.pop(bottom, None)
            unread |= dict.fromkeys(layer.tops)
        return list(unread)


def files(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """(prototxt, caffemodel) of either, which lie side by side. Raises ValueError for one that is missing."""
    path = Path(path)
    pair = (path, path.with_suffix(".caffemodel")) if path.suffix == ".prototxt" else (_prototxt(path), path)
    for file in pair:
        if not file.is_file():
            raise ValueError(f"{path}: a Caffe model is a .prototxt and a .caffemodel; there is no file {file}")
    return pair


def _prototxt(model: Path) -> Path:
    """The same name, or the only one in the folder."""
    beside = model.with_suffix(".prototxt")
    others = [] if beside.is_file() else sorted(model.parent.glob("*.prototxt"))
    return others[0] if len(others) == 1 else beside


def read_net(prototxt: str | os.PathLike[str], caffemodel: str | os.PathLike[str]) -> Net:
    """Read both files. Raises ValueError naming the file and what is wrong with it."""
    try:
        text = parse(Path(prototxt).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{prototxt} is not a prototxt: {error}") from error
    layers = [_layer(message) for message in (text.all("layer") or text.all("layers")) if _is_used(message)]
    if not layers:
        raise ValueError(f"{prototxt} has no layers: it is not the prototxt of a net")
    try:
        weights = dict(_weights(Path(caffemodel).read_bytes()))
    except (ValueError, IndexError, struct.error, OSError) as error:
        raise ValueError(f"{caffemodel} is not a caffemodel, or is cut off: {error}") from error
    for layer in layers:
        layer.blobs = weights.get(layer.name, [])
    net = Net(str(text.one("name", "")), _inputs(text, layers, prototxt), [x for x in layers if x.type != "Input"])
    _check(net, prototxt)
    return net


def _layer(message: Message) -> Layer:
    kind = str(message.one("type", ""))
    # Before 2014 types were an enum: INNER_PRODUCT. Their other names differ by case and underscores alone.
    if kind.isupper() and (len(kind) > 3 or "_" in kind):
        kind = _OLD.get(kind, "".join(part.capitalize() for part in kind.split("_")))
    names = [[str(name) for name in message.all(key)] for key in ("bottom", "top")]
    return Layer(str(message.one("name", "")), kind, names[0], names[1], message)


_OLD = {"RELU": "ReLU", "PRELU": "PReLU", "TANH": "TanH", "ABSVAL": "AbsVal", "LRN": "LRN", "BNLL": "BNLL",
        "SOFTMAX_LOSS": "SoftmaxWithLoss", "ARGMAX": "ArgMax", "MVN": "MVN"}  # fmt: skip


def _is_used(message: Message) -> bool:
    """Whether a layer is part of the net that is used, not of its training."""
    kind = str(message.one("type", ""))
    phases = [str(rule.one("phase", "")) for rule in message.all("include") if isinstance(rule, Message)]
    without = [str(rule.one("phase", "")) for rule in message.all("exclude") if isinstance(rule, Message)]
    return not (kind in _TRAINING or ("TRAIN" in phases and "TEST" not in phases) or "TEST" in without)


def _inputs(text: Message, layers: list[Layer], path: Any) -> dict[str, tuple[int, ...]]:
    shapes = [_dims(shape) for shape in text.all("input_shape")]
    flat = [int(dim) for dim in text.all("input_dim")]
    shapes += [tuple(flat[at : at + 4]) for at in range(0, len(flat), 4)]
    found = dict(zip(map(str, text.all("input")), shapes, strict=False))
    for layer in layers:
        if layer.type == "Input":
            given = [_dims(shape) for shape in layer.parameters("input_param").all("shape")]
            found |= {top: given[min(n, len(given) - 1)] for n, top in enumerate(layer.tops) if given}
        elif layer.type in _SOURCES:
            raise ValueError(
                f"{path}: layer {layer.name!r} reads training data ({layer.type}); use the deploy.prototxt of the net"
            )
    if not found or not all(found.values()):
        raise ValueError(f"{path} names no input with a shape (`input_shape` or a layer of type Input)")
    return found


def _dims(shape: Message) -> tuple[int, ...]:
    return tuple(int(dim) for dim in shape.all("dim"))


def _check(net: Net, path: Any) -> None:
    known = set(net.inputs)
    for layer in net.layers:
        for bottom in layer.bottoms:
            if bottom not in known:
                raise ValueError(f"{path}: layer {layer.name!r} reads {bottom!r}, which no layer before it writes")
        known.update(layer.tops)


def _weights(data: bytes) -> Iterator[tuple[str, list[Array]]]:
    """The blobs of each layer by name."""
    for number, value in _wire(data):
        if number in (100, 2) and isinstance(value, bytes):
            name_at, blobs_at = (1, 7) if number == 100 else (4, 6)
            fields = list(_wire(value))
            name = next((v.decode() for n, v in fields if n == name_at and isinstance(v, bytes)), "")
            yield name, [_blob(v) for n, v in fields if n == blobs_at and isinstance(v, bytes)]


def _blob(data: bytes) -> Array:
    shape: list[int] = []
    old = [1, 1, 1, 1]
    values: list[Array] = []
    for number, value in _wire(data):
        if number == 7 and isinstance(value, bytes):
            for key, dims in _wire(value):
                if key == 1:
                    shape.extend([dims] if isinstance(dims, int) else _varints(dims))
        elif number in (1, 2, 3, 4) and isinstance(value, int):
            old[number - 1] = value
            shape = shape or []
        elif number in (5, 8):
            kind = "<f4" if number == 5 else "<f8"
            raw = value if isinstance(value, bytes) else b""
            values.append(np.frombuffer(raw, kind).astype(np.float32))
    flat = np.concatenate(values) if values else np.zeros(0, np.float32)
    sizes = shape or old
    if int(np.prod(sizes)) != flat.size:
        raise ValueError(f"a blob of shape {sizes} has {flat.size} numbers")
    return flat.reshape(sizes)


def _wire(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a message: an int for varints, bytes for all else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if number == 0 or at + size > len(data):
            raise ValueError(f"a field of {size} bytes at byte {at} of {len(data)}")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError(f"a number without an end at byte {at}")


def _varints(data: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers
