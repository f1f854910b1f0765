from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import millrace
from millrace.core.errors import SourceError
from millrace.media import Image, Packet
from millrace.sources import open_source
from millrace.sources.push import Push
from millrace.testing.run import run

GREY = np.full((48, 64, 3), 100, np.uint8)


def pushed(push, items, **more):
    """The frames of what another thread pushes."""

    def feed():
        for item in items:
            assert push.push(item, timeout=10)
        push.end()

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        return run(millrace.open(push), **more)
    finally:
        push.end()
        thread.join(10)


def test_arrays_become_frames_in_order():
    frames = pushed(Push(stream="cam", fps=10), [np.full((48, 64, 3), i, np.uint8) for i in range(30)])
    assert [int(frame.image.planes[0][0, 0, 0]) for frame in frames] == list(range(30))
    assert [frame.pts for frame in frames] == [i * 100_000_000 for i in range(30)]
    assert [frame.index for frame in frames] == list(range(30))
    assert {(frame.stream, frame.image.format) for frame in frames} == {("cam", "RGB")}


def test_an_array_is_copied_and_an_image_handed_over():
    array, image = GREY.copy(), Image("GRAY8", [np.zeros((48, 64), np.uint8)], 64, 48)
    push = Push(size=8)
    push.push(array)
    push.push(image)
    array[:] = 0
    push.end()
    first, second = run(millrace.open(push))
    assert (first.image.planes[0] == 100).all() and second.image is image


def test_grey_arrays_and_new_sizes():
    frames = pushed(Push(), [GREY, GREY[:20, :30], GREY[..., 0], np.zeros((9, 9), np.uint16)])
    assert [(f.image.format, f.image.width) for f in frames] == [("RGB", 64), ("RGB", 30), ("GRAY8", 64), ("GRAY16", 9)]


def test_pushed_frames_can_be_saved(tmp_path):
    push = Push(stream="cam")
    thread = threading.Thread(target=lambda: ([push.push(GREY) for _ in range(12)], push.end()))
    thread.start()
    millrace.open(push).save(tmp_path / "out.mp4").run()
    thread.join(10)
    back = run(millrace.open(str(tmp_path / "out.mp4")))
    assert len(back) == 12 and abs(float(back[5].image.to_rgb().mean()) - 100) < 4


def test_packets_are_decoded(clip):
    _, *packets = open_source("a", str(clip("a.h264", count=6))).read()
    frames = pushed(Push(codec="h264", fps=25), [bytes(packet.data) for packet in packets])
    assert len(frames) == 6 and frames[0].image.format == "I420"
    again = pushed(Push(codec="h264"), [Packet("other", packet.data, packet.pts) for packet in packets])
    assert len(again) == 6 and {frame.stream for frame in again} == {"push"}


def test_a_file_stream_makes_the_pusher_wait():
    push = Push(size=2)
    assert push.push(GREY) and push.push(GREY)
    began = time.monotonic()
    assert not push.push(GREY, timeout=0.2)
    assert 0.15 < time.monotonic() - began < 5 and push.dropped == 0


def test_a_live_stream_drops_the_oldest_and_never_waits():
    push = Push(size=2, live=True)
    for level in range(5):
        assert push.push(np.full((8, 8), level, np.uint8))
    push.end()
    start, *frames = push.read()
    assert [int(frame.image.planes[0][0, 0]) for frame in frames] == [3, 4] and push.dropped == 3
    assert start.live and frames[1].pts > frames[0].pts


def test_who_waits_is_let_go_when_the_stream_ends():
    push = Push(size=1)
    push.push(GREY)
    out = []
    thread = threading.Thread(target=lambda: out.append(push.push(GREY)))
    thread.start()
    time.sleep(0.05)
    push.interrupt()  # what a pipeline does that stops
    thread.join(30)
    assert out == [False] and not push.push(GREY)


def test_many_threads_push_and_nothing_is_lost():
    push = Push(size=3)

    def feed():
        for _ in range(50):
            push.push(GREY)

    threads = [threading.Thread(target=feed) for _ in range(4)]
    for thread in threads:
        thread.start()
    ender = threading.Thread(target=lambda: ([thread.join() for thread in threads], push.end()))
    ender.start()
    frames = run(millrace.open(push))
    ender.join(10)
    assert [frame.index for frame in frames] == list(range(200))


def test_two_pushes_have_names_of_their_own():
    one, two = Push(), Push()
    for push in (one, two):
        push.push(GREY)
        push.end()
    assert sorted(frame.stream for frame in run(millrace.open(one, two))) == ["push", "push-2"]


def test_what_is_wrong_is_said():
    push = Push(stream="cam", size=9)
    with pytest.raises(ValueError, match=r"cam: an array of shape \(4, 4, 2\) and type uint8"):
        push.push(np.zeros((4, 4, 2), np.uint8))
    with pytest.raises(ValueError, match="type float64"):
        push.push(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match="say its codec"):
        push.push(b"\0\0\1")
    push.push(GREY, pts=50)
    with pytest.raises(ValueError, match="pts 50 does not grow: the one before is 50"):
        push.push(GREY, pts=50)
    empty = Push(stream="cam")
    empty.end()
    with pytest.raises(SourceError, match="cam: it ended before anything was pushed"):
        run(millrace.open(empty))
