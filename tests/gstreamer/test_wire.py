import os
import socket
import threading

import pytest

from millrace.gstreamer.wire import Channel, Ring, layout


def channels() -> tuple[Channel, Channel]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(one), Channel(other)


def test_messages_arrive_whole_and_in_order_with_their_descriptors():
    here, there = channels()
    ring = Ring(16, 2)
    assert here.send({"kind": "a", "text": "ä"}) and here.send({"kind": "b"}, ring.descriptor)
    assert there.receive() == ({"kind": "a", "text": "ä"}, None)
    message, descriptor = there.receive()
    assert message == {"kind": "b"} and descriptor is not None
    theirs = Ring(16, 2, descriptor)
    ring.view(1)[:4] = b"same"
    assert bytes(theirs.view(1, 4)) == b"same"
    for each in (ring, theirs):
        each.close()
    here.close()
    there.close()


def test_both_ends_learn_that_the_other_is_gone():
    here, there = channels()
    there.shut()
    there.close()
    assert here.receive() is None
    assert not here.send({"kind": "a"})
    here.close()


def test_who_waits_for_a_while_only_goes_on_after_it():
    here, there = channels()
    assert here.receive(0.05) is None
    assert there.send({"kind": "late"}) and here.receive(5) == ({"kind": "late"}, None)
    here.close()
    there.close()


def test_a_writer_waits_for_a_free_slot_and_for_no_more():
    ring = Ring(8, 2)
    assert [ring.take(), ring.take()] == [0, 1] and ring.free == 0
    got = []
    waiting = threading.Thread(target=lambda: got.extend([ring.take(), ring.take()]))
    waiting.start()
    ring.give_back(1)
    ring.cancel()
    waiting.join(5)
    assert got[-1] is None and not waiting.is_alive()
    descriptor = ring.descriptor
    ring.close()
    with pytest.raises(OSError):
        os.fstat(descriptor)


@pytest.mark.parametrize(
    ("format", "width", "height", "planes", "size"),
    [  # as GStreamer 1.22 gives them for caps of these
        ("I420", 320, 240, [(0, 320), (76800, 160), (96000, 160)], 115200),
        ("I420", 321, 181, [(0, 324), (58968, 164), (73892, 164)], 88816),
        ("NV12", 321, 181, [(0, 324), (58968, 324)], 88452),
        ("RGB", 17, 9, [(0, 52)], 468),
        ("GRAY8", 321, 181, [(0, 324)], 58644),
        ("GRAY16_LE", 17, 9, [(0, 36)], 324),
        ("P010_10LE", 17, 9, [(0, 36), (360, 36)], 540),
    ],
)
def test_pictures_are_laid_out_as_gstreamer_does_it(format, width, height, planes, size):
    found, whole = layout(format, width, height)
    assert ([(offset, row) for offset, row, _, _ in found], whole) == (planes, size)
