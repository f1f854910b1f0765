"""RealSense: a stand-in for the library's interface, and, where it is installed, the library itself on a recording."""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import millrace
from millrace.core.errors import ConfigError, MillraceError, MissingExtraError, SourceError
from millrace.media import Frame, Object, box
from millrace.sources import open_source, source_class
from millrace.sources.realsense import RealSenseSource

W, H, COUNT = 64, 48, 10


def depth_steps(index: int) -> np.ndarray:
    """A wall at 2 m, a thing at 1 m that moves, an edge without a measure."""
    steps = np.full((H, W), 2000, np.uint16)
    steps[10:30, 10 + index : 30 + index] = 1000
    steps[:, -4:] = 0
    return steps


def picture(index: int) -> np.ndarray:
    pixels = np.full((H, W, 3), 40, np.uint8)
    pixels[10:30, 10 + index : 30 + index] = (200, 100, 50)
    return pixels


class FakeFrame:
    def __init__(self, data: np.ndarray, format: str) -> None:
        self._data, self.profile = data, SimpleNamespace(format=lambda: format)

    def get_data(self) -> np.ndarray:
        return self._data


class FakeSet:
    def __init__(self, fake: Fake, index: int) -> None:
        self.fake, self.index = fake, index

    def get_depth_frame(self) -> Any:
        return None if self.index in self.fake.torn else FakeFrame(self.fake.shared(depth_steps(self.index)), "z16")

    def get_color_frame(self) -> Any:
        return FakeFrame(picture(self.index), self.fake.kind) if "color" in self.fake.streams else None

    def get_timestamp(self) -> float:
        return self.fake.zero + self.index * 1000 / 30

    def get_frame_timestamp_domain(self) -> str:
        return self.fake.domain


class Fake:
    """As much of pyrealsense2 as the source uses: one camera, or one recording."""

    def __init__(self, path: str = "") -> None:
        self.path, self.streams, self.torn = path, {}, set[int]()
        self.kind, self.domain, self.zero, self.scale = "rgb8", "hardware_clock", 5000.0, 0.001
        self.stopped, self.serial, self.fails, self.silent_after = 0, "", "", COUNT
        self._index, self._buffer = 0, np.zeros((H, W), np.uint16)
        self.stream = SimpleNamespace(depth="depth", color="color")
        self.format = SimpleNamespace(z16="z16", rgb8="rgb8", bgr8="bgr8", any="any")
        self.timestamp_domain = SimpleNamespace(hardware_clock="hardware_clock", global_time="global_time")
        self.playback_status = SimpleNamespace(stopped="stopped", playing="playing")

        class Config:
            def enable_device(own, serial: str) -> None:  # noqa: N805
                self.serial = serial

            @staticmethod
            def enable_device_from_file(_: Any, path: str, repeat: bool) -> None:
                assert not repeat
                self.path = path

            def enable_stream(own, stream: str, width: int, height: int, format: str, fps: int) -> None:  # noqa: N805
                self.streams[stream] = (width, height, format, fps)

        self.config = Config

    def shared(self, data: np.ndarray) -> np.ndarray:
        """The library's own buffer, which the next frame overwrites."""
        self._buffer[:] = data
        return self._buffer

    def pipeline(self) -> Any:
        return self

    def start(self, config: Any) -> Any:
        if self.fails:
            raise RuntimeError(self.fails)
        self._index = 0
        return self

    def stop(self) -> None:
        self.stopped += 1

    def get_device(self) -> Any:
        return self

    def first_depth_sensor(self) -> Any:
        return SimpleNamespace(get_depth_scale=lambda: self.scale)

    def as_playback(self) -> Any:
        assert self.path
        done = self._index >= COUNT
        return SimpleNamespace(set_real_time=lambda real: None, current_status=lambda: "stopped" if done else "playing")

    def get_stream(self, stream: str) -> Any:
        return SimpleNamespace(fps=lambda: 30)

    def align(self, stream: str) -> Any:
        assert stream == "color"
        return SimpleNamespace(process=lambda together: together)

    def try_wait_for_frames(self, milliseconds: int) -> tuple[bool, Any]:
        if self._index >= self.silent_after:
            time.sleep(0.01)
            return False, None
        self._index += 1
        return True, FakeSet(self, self._index - 1)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setitem(sys.modules, "pyrealsense2", made)  # type: ignore[arg-type]
    return made


def check(frames: list[Frame], picture_of: Any = picture) -> None:
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert [frame.pts for frame in frames] == [pytest.approx(n * 1e9 / 30, abs=1e4) for n in range(COUNT)] and frames[
        0
    ].pts == 0
    for frame in frames:
        assert np.array_equal(frame.image.to_rgb(), picture_of(frame.index))
        [reading] = frame.readings
        assert reading.stage == "depth" and np.allclose(reading.depth, depth_steps(frame.index) / 1000, atol=1e-5)


def test_a_recording_gives_pictures_and_distances(fake: Fake) -> None:
    check(list(millrace.open("realsense:///data/yard.bag")))
    assert fake.path == "/data/yard.bag" and fake.stopped == 1
    assert fake.streams == {"depth": (0, 0, "z16", 0), "color": (0, 0, "any", 0)}
    assert len(list(millrace.open("yard.bag", loop=2))) == 2 * COUNT


def test_objects_get_their_distances(fake: Fake) -> None:
    def find(frame: Frame) -> None:
        frame.objects.append(Object(box([10 + frame.index, 10, 30 + frame.index, 30]), 0, "thing", 0.9))

    found = [frame.objects[0].depth for frame in millrace.open("yard.bag").map(find).depth()]
    assert found == [pytest.approx(1.0, rel=1e-3)] * COUNT


def test_a_camera_is_asked_for_what_is_wanted_and_its_loss_is_said(fake: Fake) -> None:
    fake.kind, fake.domain, fake.zero = "bgr8", "global_time", 1_700_000_000_000.0
    flow = millrace.open("realsense://0123", name="cam", size="640x480", fps=30, timeout=0.3)
    frames = []
    with pytest.raises(MillraceError, match=r"cam: realsense://0123 has given nothing for 0\.3 s"):
        for frame in flow:
            frames.append(frame)
    check(frames, lambda index: picture(index)[..., ::-1])
    assert frames[1].wall == pytest.approx(1_700_000_000_033_333_000, abs=1e6)
    assert fake.serial == "0123" and fake.stopped == 1
    assert fake.streams == {"depth": (640, 480, "z16", 30), "color": (640, 480, "rgb8", 30)}


def test_distances_alone(fake: Fake) -> None:
    fake.scale = 0.0001
    frames = list(millrace.open("yard.bag", colour=False))
    assert set(fake.streams) == {"depth"} and frames[3].image.format == "GRAY16"
    assert np.array_equal(frames[3].image.planes[0], depth_steps(3))
    assert frames[3].readings[0].depth.max() == pytest.approx(0.2)


def test_sets_that_are_not_whole_are_left_out_and_a_clock_that_jumps_is_borne(fake: Fake) -> None:
    fake.torn = {0, 4}
    frames = list(millrace.open("yard.bag"))
    assert len(frames) == COUNT - 2 and [frame.index for frame in frames] == list(range(COUNT - 2))
    assert all(a.pts < b.pts for a, b in pairwise(frames))


def test_a_part_of_a_recording(fake: Fake) -> None:
    frames = list(millrace.open("yard.bag", start=0.1, stop=0.2))
    assert [round(frame.pts / 1e9 * 30) for frame in frames] == [3, 4, 5]


def test_a_camera_can_be_stopped_while_it_is_silent(fake: Fake) -> None:
    run = millrace.open("realsense://", name="cam", timeout=60).discard().start()
    time.sleep(0.2)
    began = time.monotonic()
    run.finish(10)
    assert time.monotonic() - began < 5 and fake.stopped == 1


def test_what_is_wrong_is_said(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.fails = "No device connected"
    with pytest.raises(SourceError, match="cam: cannot open realsense://: No device connected"):
        list(millrace.open("realsense://", name="cam"))
    fake.fails, fake.kind = "", "yuyv"
    with pytest.raises(SourceError, match="its colour pictures are yuyv: rgb8 and bgr8 are read"):
        list(millrace.open("yard.bag"))
    with pytest.raises((ConfigError, MillraceError), match="size='large' is not allowed: width x height"):
        list(millrace.open("realsense://", size="large"))
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises((MissingExtraError, MillraceError), match=r"pip install 'millrace\[realsense\]'"):
        list(millrace.open("yard.bag"))


def test_recordings_are_known_by_their_names() -> None:
    for uri in ("realsense://", "realsense://1", "a/yard.bag", "yard.DB3"):
        assert source_class("s", uri) is RealSenseSource
    assert isinstance(open_source("s", "yard.bag", colour=False), RealSenseSource)


def record(path: Path) -> None:
    """A recording of a device made in software, by the library itself."""
    rs = pytest.importorskip("pyrealsense2", reason="pyrealsense2 is an extra: pip install 'millrace[realsense]'")
    device = rs.software_device()
    made = []
    for name, kind, uid, size, format in (
        ("Stereo Module", rs.stream.depth, 0, 2, rs.format.z16), ("RGB Camera", rs.stream.color, 1, 3, rs.format.rgb8),
    ):  # fmt: skip
        lens = rs.intrinsics()
        lens.width, lens.height, lens.ppx, lens.ppy, lens.fx, lens.fy = W, H, W / 2, H / 2, 60, 60
        lens.model = rs.distortion.none
        video = rs.video_stream()
        video.type, video.index, video.uid, video.width, video.height = kind, 0, uid, W, H
        video.fps, video.bpp, video.fmt, video.intrinsics = 30, size, format, lens
        sensor = device.add_sensor(name)
        made.append((sensor, sensor.add_video_stream(video).as_video_stream_profile(), size))
    made[0][0].add_read_only_option(rs.option.depth_units, 0.001)
    beside = rs.extrinsics()
    beside.rotation, beside.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0]
    made[0][1].register_extrinsics_to(made[1][1], beside)
    recorder = rs.recorder(str(path), device)
    together, sensors = rs.syncer(100), recorder.query_sensors()
    for sensor in sensors:
        sensor.open(sensor.get_stream_profiles())
        sensor.start(together)
    for index in range(COUNT):
        for (sensor, profile, size), pixels in zip(made, (depth_steps(index), picture(index)), strict=True):
            frame = rs.software_video_frame()
            frame.pixels, frame.stride, frame.bpp, frame.profile = pixels, W * size, size, profile
            frame.timestamp, frame.frame_number = index * 1000 / 30, index
            frame.domain = rs.timestamp_domain.hardware_clock
            sensor.on_video_frame(frame)
        time.sleep(0.01)
    for sensor in sensors:
        sensor.stop()
        sensor.close()


def test_the_library_itself_plays_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "yard.db3"
    record(path)
    frames = list(millrace.open(str(path)))
    assert 1 <= len(frames) <= COUNT  # its player leaves frames out when the machine is busy
    pictures = [picture(index).tobytes() for index in range(COUNT)]
    for frame in frames:
        assert frame.image.to_rgb().tobytes() in pictures
        far = frame.readings[0].depth
        assert far.shape == (H, W) and np.allclose(np.unique(far)[-2:], [1.0, 2.0], rtol=0.001)
    with pytest.raises(SourceError, match="cannot open"):
        list(millrace.open(str(tmp_path / "nothing.db3")))
