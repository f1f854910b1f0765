"""labels, insert, extract: objects out of files, and out of coded pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

import millrace
from millrace.config import loads
from millrace.core import Caps, ConfigError, Context, StreamError, StreamStart
from millrace.elements.extract import Extract
from millrace.elements.insert import Insert
from millrace.elements.labels import Labels
from millrace.media import Frame, Image, Object, box
from millrace.outputs.jsonl import frame_line
from millrace.summary import Run

CAPS = Caps("frames", width=64, height=48, format="GRAY8")


def frame(index: int = 0, stream: str = "a", size: tuple[int, int] = (64, 48)) -> Frame:
    image = Image("GRAY8", [np.zeros(size[::-1], np.uint8)], *size)
    return Frame(stream, index, index * 40_000_000, image)


def opened(element, *streams: str):
    element.open(Context("tested"))
    if hasattr(element, "order"):
        element.expect(streams)
    for stream in streams:
        element.start_stream(StreamStart(stream, CAPS))
    return element


def shown(element, each: Frame) -> list[Object]:
    element.process_frame(each)
    return each.objects


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "gt.txt"
    path.write_text("1,5,11,11,20,10,0.9\n2,5,13,11,20,10,0.8\n4,5,21,11,20,10,0.7\n")
    return path


def test_labels_become_objects(truth):
    element = opened(Labels(path=str(truth), label="walker"), "a")
    (found,) = shown(element, frame(1))
    assert found.box.tolist() == [12, 10, 32, 20] and (found.label, found.id, found.stage) == ("walker", None, "labels")
    assert found.detected_box is found.box and found.origin is None
    assert shown(element, frame(2)) == [] and shown(element, frame(9)) == []
    assert shown(opened(Labels(path=str(truth), ids=True), "a"), frame(0))[0].id == 5


def test_labels_are_scaled_skipped_and_repeated(truth):
    element = opened(Labels(path=str(truth), width=32, height=24), "a")
    assert shown(element, frame(0))[0].box.tolist() == [20, 20, 60, 40]
    element = opened(Labels(path=str(truth), every=2, loop=True, frames=[2]), "a")
    assert [len(shown(element, frame(index))) for index in range(6)] == [1, 0, 1, 0, 1, 0]
    element = opened(Labels(path=str(truth), loop=True), "a")
    assert [len(shown(element, frame(index))) for index in range(8)] == [1, 1, 0, 1, 1, 1, 0, 1]


def test_a_file_for_each_stream(truth, tmp_path):
    (tmp_path / "other.txt").write_text("1,1,1,1,5,5,1\n")
    element = opened(Labels(path=str(tmp_path), files=["gt.txt", "other.txt"]), "a", "b")
    assert shown(element, frame(0, "b"))[0].box.tolist() == [0, 0, 5, 5]
    with pytest.raises(StreamError, match="c: it is stream 3, and there are 2 files"):
        opened(element, "a", "b", "c")


@pytest.mark.parametrize(
    ("settings", "said"),
    [({}, "give path"), ({"path": "/none"}, "labels: there is no /none"), ({"path": "/", "width": 5}, "or neither")],
)
def test_labels_that_cannot_be(settings, said):
    with pytest.raises(ConfigError, match=said):
        Labels(**settings).validate()


def test_a_file_that_is_broken_refuses_the_stream(tmp_path):
    (tmp_path / "gt.txt").write_text("1,2\n")
    with pytest.raises(StreamError, match=r"a: .*gt.txt:1: not a row"):
        opened(Labels(path=str(tmp_path / "gt.txt")), "a")


def test_what_a_run_wrote_is_what_the_labels_of_it_are(tmp_path):
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    millrace.open("pattern:?width=64&height=48&frames=4").map(_mark).json(first).run()
    millrace.open("pattern:?width=64&height=48&frames=4").add(Labels(path=str(first), ids=True)).json(second).run()
    assert first.read_bytes() == second.read_bytes() and b'"id":3' in first.read_bytes()


def _mark(each: Frame) -> None:
    each.objects.append(Object(box([each.index, 2, 30, 40]), 1, "car", 0.5, id=3))


@pytest.mark.parametrize(("codec", "ending"), [("h264", "mp4"), ("hevc", "mkv"), ("h264", "ts")])
def test_metadata_travels_in_the_video(tmp_path, codec, ending):
    """B-frames and all: each picture has its own."""
    rows = "".join(f"{index + 1},{index + 3},{index + 5},7,20,10,0.5\n" for index in range(30))
    (tmp_path / "gt.txt").write_text(rows)
    text = f"""
streams: {{a: "pattern:?width=128&height=96&frames=30"}}
pipeline:
  - labels: {{path: {tmp_path}/gt.txt, ids: true}}
  - insert
  - encode: {{codec: {codec}, preset: fast}}
  - file: {{path: {tmp_path}/out.{ending}}}
"""
    assert not Run(loads(text)).run().errors
    found = [each.objects for each in millrace.open(tmp_path / f"out.{ending}").add(Extract())]
    assert [[(one.id, one.box.tolist(), one.stage) for one in objects] for objects in found] == [
        [(index + 3, [index + 4, 6, index + 24, 16], "extract")] for index in range(30)
    ]
    plain = [each.extras.get("sei") for each in millrace.open(tmp_path / f"out.{ending}")]
    assert all(json.loads(data)["frame"] == index for index, ((_, data),) in enumerate(plain))


def test_insert_with_a_function_and_a_name():
    element = opened(Insert(format="tests.elements.test_labels:pack", name="NVDS_CUSTOMMETA"), "a")
    each = frame(7)
    each.extras["sei"] = [(b"x" * 16, b"theirs"), (b"NVDS_CUSTOMMETA\0", b"old")]
    element.process_frame(each)
    assert each.extras["sei"] == [(b"x" * 16, b"theirs"), (b"NVDS_CUSTOMMETA\0", b"\0\0\1frame 7")]
    taken = opened(Extract(format="tests.elements.test_labels:unpack", name="NVDS_CUSTOMMETA"), "a")
    taken.process_frame(each)
    assert each.extras["said"] == b"\0\0\1frame 7" and each.extras["sei"] == [(b"x" * 16, b"theirs")]
    none = frame(8)
    element.process_frame(none)
    assert "sei" not in none.extras
    none.extras["sei"] = [(b"NVDS_CUSTOMMETA\0", b"of another frame")]
    element.process_frame(none)
    assert none.extras["sei"] == []


def pack(each: Frame) -> bytes | None:
    return b"\0\0\1frame %d" % each.index if each.index == 7 else None


def unpack(each: Frame, data: bytes) -> None:
    each.extras["said"] = data


ONE = '{"box":[1,2,3,4],"class_id":0,"label":"a","confidence":0.5%s}'
BROKEN = [
    b"{", b"\xff", b"[" * 100_000, b'{"objects":[{"box":[1]}],"width":5,"height":5}',
    b'{"objects":[],"width":0,"height":5}', b'{"objects":[],"width":1e400,"height":5}',
    *('{"objects":[%s],"width":5,"height":5}'.replace("%s", ONE.replace("%s", more)).encode() for more in (
        ',"keypoints":[1,2]', ',"keypoints":[[1],[2]]', ',"embedding":[[1]]', ',"id":"x"', ',"parent":0',
        ',"parent":-1', ',"parent":"0"', ',"angle":NaN', ',"labels":[{"name":"a","value":"b","confidence":NaN}]',
    )),
    b'{"objects":[' + b",".join(ONE.replace("%s", f',"parent":{1 - n}').encode() for n in (0, 1))
    + b'],"width":5,"height":5}',
]  # fmt: skip


def test_extract_scales_and_warns_once():
    warnings = []
    element = Extract()
    element.open(Context("extract", warn=lambda text, stream: warnings.append((text, stream))))
    given = frame(1)
    _mark(given)
    name = b"millrace.frame\0\0"
    small = frame(1, size=(32, 24))
    small.extras["sei"] = [(name, frame_line(given).encode())]
    assert shown(element, small)[0].box.tolist() == [0.5, 1, 15, 20]
    for data in BROKEN:
        broken = frame(2)
        broken.extras["sei"] = [(name, data)]
        assert shown(element, broken) == []
    assert len(warnings) == 1 and "frame 2 holds user data that is no line of JSON" in warnings[0][0]


def test_names_and_functions_that_are_wrong():
    with pytest.raises(ConfigError, match="insert: name='much too long a name' is neither"):
        Insert(name="much too long a name").validate()
    with pytest.raises(ConfigError, match="extract: format='nothing:here' is neither json nor"):
        Extract(format="nothing:here").validate()
    Insert(name="dc45e9bd-e6d9-48b7-962c-d820d923eeef").validate()


def test_an_encoder_that_carries_no_user_data_says_so():
    from millrace.elements.encode import Encode

    warnings = []
    element = Encode(codec="mjpeg")
    element.open(Context("encode", warn=lambda text, stream: warnings.append(text)))
    element.start_stream(StreamStart("a", CAPS))
    for index in range(2):
        told = frame(index)
        told.extras["sei"] = [(b"x" * 16, b"said")]
        list(element.process(told))
    element.close()
    assert warnings == ["user data of frames (SEI) is not carried by mjpeg, only by h264 and hevc"]
