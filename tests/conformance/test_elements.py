"""What every element must keep, whoever wrote it: run over all names of the registry."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import frame

from millrace import registry
from millrace.core import FRAMES, PACKETS, Caps, Context, Element, StreamEnd, StreamStart
from millrace.core.node import Node
from millrace.flow import Flow
from millrace.media import Batch, Frame, Object, box

NAMES = registry.names()
CAPS = Caps(
    FRAMES, format="I420", width=16, height=8, time_base=None, fps=None, frames=2, duration=None, matrix="bt601",
    full_range=False, memory="cpu",
)  # fmt: skip


@pytest.fixture
def element(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Element:
    """An element made by the registry, with values for what must be given."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # a window that nobody sees
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))  # where what waits is kept
    return registry.create(request.param, **required(request.param, tmp_path))


def required(name: str, folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = {"path": str(folder / "out.mp4"), "count": 2, "call": lambda item: None, "size": 1}
    if name == "infer":
        values["model"] = small_model(folder)
    values["streams"] = ["a"]
    if name in ("gst", "gstout"):
        values["launch"] = need_gstreamer(name)
    values["broker"] = f"file:{folder / 'messages.jsonl'}"
    if name == "preprocess":
        values["input"] = {"width": 8, "height": 8}
    if name == "identify":
        from millrace.testing.models import make_vector_model

        (folder / "people").mkdir(exist_ok=True)
        (folder / "vectors.yaml").write_text("kind: embedding\n")
        values |= {"gallery": str(folder / "people"), "model": make_vector_model(folder / "vectors.onnx")}
    if name == "postprocess":
        values["stage"] = "model"
    if name == "hls":
        values["path"] = str(folder / "out.m3u8")
    if name == "push":
        values["url"] = "udp://127.0.0.1:9"
    if name == "segments":
        values["path"] = str(folder / "out-%05d.mp4")
    if name == "dump":
        values["path"] = str(folder / "out.csv")
    if name in ("json", "record"):
        values["path"] = str(folder / "out.jsonl")
    (folder / "labels.jsonl").write_text('{"stream":"a","frame":0,"pts":0,"width":16,"height":8,"objects":[]}\n')
    whole = {
        "rate": {"fps": 10},
        "resize": {"width": 16, "height": 16},
        "dewarp": {"surfaces": [{"projection": "perspective-perspective", "width": 16, "height": 16, "fov": 60}]},
        "labels": {"path": str(folder / "labels.jsonl")},
        "images": {"path": str(folder / "{stream}-{index}.png")},
    }
    if name in whole:
        return whole[name]
    wanted = [setting.name for setting in registry.settings_of(registry.get(name)) if setting.required]
    assert set(wanted) <= set(values), f"{name}: this suite does not know what to give for {wanted}"
    wanted += {"preprocess": ["input"], "postprocess": ["stage"]}.get(name, [])
    return {setting: values[setting] for setting in wanted}


def need_gstreamer(name: str) -> str:
    """A fragment for the element; skips where no Python has GStreamer's bindings, but not in CI."""
    from millrace.core.errors import ConfigError
    from millrace.gstreamer.process import python

    try:
        python()
    except ConfigError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
    return "identity" if name == "gst" else "fakesink"


def small_model(folder: Path) -> str:
    from millrace.testing.models import make_detector

    return make_detector(folder / "model.onnx", [(8, 8, 40, 40, 0.9, 0)])


each = pytest.mark.parametrize("element", NAMES, indirect=True)
each_name = pytest.mark.parametrize("name", NAMES)


class Host:
    """Takes what a node reports; fails the test for errors."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []

    def element_failed(self, node: Any, error: Exception) -> None:
        self.failures.append(error)

    def output_failed(self, node: Any, error: Exception) -> None:
        self.failures.append(error)

    def stream_failed(self, node: Any, error: Exception) -> None:
        self.failures.append(error)

    def item_skipped(self, node: Any, error: Exception, stream: str | None) -> None:
        self.failures.append(error)

    def warned(self, node: Any, message: str, stream: str | None) -> None: ...

    def unwanted(self, node: Any, stream: str, again: bool = False) -> None: ...

    def stream_passed(self, node: Any, stream: str) -> None: ...


class Sink:
    def __init__(self) -> None:
        self.items: list[Any] = []

    def push(self, item: Any) -> None:
        self.items.append(item)


@dataclasses.dataclass
class Rig:
    """An element in a node, as the engine would run it, in this thread."""

    node: Node
    host: Host
    sink: Sink

    def push(self, *items: Any) -> list[Any]:
        for item in items:
            self.node.push(item)
        assert not self.host.failures
        return self.sink.items


@pytest.fixture
def rig(element: Element) -> Iterator[Rig]:
    host, sink = Host(), Sink()
    node = Node("tested", element, host)
    node.targets = [sink]
    node.open(lambda: None)
    element.expect(("a",))
    yield Rig(node, host, sink)
    node.close()


@each_name
def test_the_class_is_named_after_the_file_and_says_what_it_does(name: str) -> None:
    cls = registry.get(name)
    assert cls.__name__.lower() == name.replace("_", "")
    first = (cls.__doc__ or "").strip().partition("\n")[0]
    assert 10 < len(first) <= 140 and "(*" not in first  # a dataclass writes its signature where there is no docstring
    assert cls.takes in (FRAMES, PACKETS, None) and cls.gives in (FRAMES, PACKETS, None)
    assert not hasattr(Flow, name), "an element must not hide behind a method of Flow"


@each_name
def test_every_setting_is_described(name: str) -> None:
    for setting in registry.settings_of(registry.get(name)):
        assert setting.help, f"{name}.{setting.name} has no help text"
        seconds = setting.help.startswith("seconds")
        assert not seconds or "seconds" in setting.type_name, f"{name}.{setting.name}: type it as core.Seconds"
        assert isinstance(setting.schema(), dict)


@each_name
def test_defaults_are_allowed(name: str) -> None:
    for setting in registry.settings_of(registry.get(name)):
        if not setting.required and setting.default is not None:
            assert setting.check(name, setting.default) == setting.default


@each
def test_open_and_close_twice_and_close_without_open(element: Element) -> None:
    element.close()
    for _ in range(2):
        element.open(Context("tested"))
        element.close()
    element.close()


@each
def test_the_end_of_an_unknown_stream_is_harmless(element: Element) -> None:
    element.open(Context("tested"))
    assert list(element.end_stream("never-started")) == []
    assert list(element.flush("never-started")) == []
    element.close()


@each
def test_markers_pass_in_order_and_nothing_comes_after_the_end(rig: Rig) -> None:
    if not takes_frames(rig):
        pytest.skip("works on packets")
    out = rig.push(StreamStart("a", CAPS), frame("a", 0), frame("a", 1), StreamEnd("a"))
    assert isinstance(out[0], StreamStart) and isinstance(out[-1], StreamEnd)
    assert sum(isinstance(item, StreamStart) for item in out) == 1
    assert sum(isinstance(item, StreamEnd) for item in out) == 1


@each
def test_a_stream_may_come_again(rig: Rig) -> None:
    if not takes_frames(rig):
        pytest.skip("works on packets")
    for _ in range(2):
        out = rig.push(StreamStart("a", CAPS), frame("a", 0), StreamEnd("a"))
    assert sum(isinstance(item, StreamEnd) for item in out) == 2


@each
def test_a_shared_frame_is_not_changed(rig: Rig) -> None:
    if not takes_frames(rig):
        pytest.skip("works on packets")
    original = frame("a", 0, grey=90)
    original.objects.append(Object(box([2, 2, 12, 7]), 0, "car", 0.9))
    pixels = [plane.copy() for plane in original.image.planes]
    rig.push(StreamStart("a", CAPS), original.fork(), StreamEnd("a"))
    assert all(np.array_equal(before, now) for before, now in zip(pixels, original.image.planes, strict=True))
    assert len(original.objects) == 1 and original.objects[0].id is None
    assert np.array_equal(original.objects[0].box, [2, 2, 12, 7])
    assert original.events == [] and original.extras == {} and original.inferred == []


def takes_frames(rig: Rig) -> bool:
    return rig.node.element.takes != PACKETS or rig.node.element.gives == FRAMES  # decode passes frames on


@each
def test_frames_come_out_in_order_and_none_twice(rig: Rig) -> None:
    if not takes_frames(rig) or rig.node.element.gives == PACKETS:
        pytest.skip("does not give frames")
    out = rig.push(StreamStart("a", CAPS), *(frame("a", index) for index in range(2)), StreamEnd("a"))
    frames: list[Frame] = []
    for item in out:
        frames += item.frames if isinstance(item, Batch) else [item] if isinstance(item, Frame) else []
    indices = [item.index for item in frames]
    merged = rig.node.element.merges is not None  # it has a pace of its own
    assert indices in ([0, 1], []) or (merged and indices == list(range(len(frames))))
