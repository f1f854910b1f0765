"""`publish`: what goes into a pipeline comes out of a broker."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from pictures import frame

import millrace
from millrace.core import Context
from millrace.core.errors import ConfigError
from millrace.elements.publish import Publish, default_spool
from millrace.media import Event, Frame, Image, Object, box


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "messages.jsonl"


def publish(out: Path, **settings: object) -> Publish:
    return Publish(broker=f"file:{out}", spool=str(out.parent / "spool.sqlite"), **settings)  # type: ignore[arg-type]


def through(element: Publish, *frames: Frame, warnings: int = 0) -> list[str]:
    """Warnings of a run of these frames, which ends when there were so many."""
    said: list[str] = []
    element.validate()
    element.open(Context("publish", warn=lambda text, stream: said.append(text)))
    for each in frames:
        element.process_frame(each)
    end = time.monotonic() + 20
    while len(said) < warnings and time.monotonic() < end:
        time.sleep(0.01)
    element.close()
    return said


def test_every_frame_is_a_message_in_order(out: Path) -> None:
    through(publish(out, topic="cams/{stream}"), *(frame("gate", n) for n in range(5)))
    told = lines(out)
    assert [line["body"]["frame"]["frame"] for line in told] == [0, 1, 2, 3, 4]
    assert {(line["topic"], line["key"]) for line in told} == {("cams/gate", "gate")}
    assert len({line["id"] for line in told}) == 5 and all(line["id"] == line["body"]["id"] for line in told)


def test_every_nth_frame_and_all_events(out: Path) -> None:
    frames = [frame("gate", n) for n in range(6)]
    frames[4].events.append(Event("line", "gate", frames[4].pts, "door", direction="in"))
    through(publish(out, every=3, what=["frames", "events"]), *frames)
    assert [(line["body"]["kind"], line["body"].get("index")) for line in lines(out)] == [
        ("frame", None), ("frame", None), ("event", 4),
    ]  # fmt: skip


def test_what_a_broker_that_is_away_did_not_take_comes_in_the_next_run(out: Path) -> None:
    folder = out.parent / "not there yet"
    away = Publish(broker=f"file:{folder}/m.jsonl", spool=str(out.parent / "s.sqlite"), linger=0.1)
    said = through(away, frame("gate", 0), frame("gate", 1), warnings=1)
    assert "the broker is away: file: [Errno 2]" in said[0] and "messages wait in" in said[0]
    assert said[-1] == "2 messages wait in the spool for the next run"
    folder.mkdir()
    through(Publish(broker=f"file:{folder}/m.jsonl", spool=str(out.parent / "s.sqlite")), frame("gate", 2))
    assert [line["body"]["frame"]["frame"] for line in lines(folder / "m.jsonl")] == [0, 1, 2]


def test_a_pipeline_publishes_from_yaml(out: Path, clip) -> None:
    path = out.parent / "pipeline.yaml"
    path.write_text(
        f"streams:\n  a: {{uri: {clip('a.mp4', 6)}}}\n  b: {{uri: {clip('b.mp4', 4)}}}\npipeline:\n"
        f"  - publish: {{broker: 'file:{out}', spool: {out.parent}/s.sqlite, payload: deepstream-protobuf}}\n"
    )
    from millrace.flow import load

    load(path).run()
    assert sorted(line["key"] for line in lines(out)) == ["a"] * 6 + ["b"] * 4


def test_an_output_that_is_full_does_not_stop_the_pipeline(out: Path, clip) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        flow = millrace.open(str(clip("a.mp4", 10))).publish(
            f"http://127.0.0.1:{port}/x?timeout=1", spool=str(out.parent / "s.sqlite"), most=4, linger=0.2
        )
        assert len([each for each in flow]) == 10


def test_a_pipeline_that_waits_for_room_can_be_stopped(out: Path, clip) -> None:
    element = Publish(
        broker=f"file:{out.parent}/nowhere/m.jsonl", spool=str(out.parent / "s.sqlite"), most=3, full="wait", linger=0.1
    )
    run = millrace.open(str(clip("a.mp4", 20))).add(element).start()
    until = time.monotonic() + 20
    while element.counts.accepted < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert not run.pipeline.wait(0.3)  # nothing more is taken, nothing ends
    assert element.counts.accepted == 3 and element.counts.dropped == 0
    stopping = threading.Thread(target=run.pipeline.stop)
    stopping.start()
    stopping.join(20)
    assert not stopping.is_alive()


def test_a_pipeline_that_waits_for_room_goes_on(out: Path, clip) -> None:
    folder = out.parent / "later"
    element = Publish(broker=f"file:{folder}/m.jsonl", spool=str(out.parent / "s.sqlite"), most=3, full="wait")
    run = millrace.open(str(clip("a.mp4", 20))).add(element).start()
    until = time.monotonic() + 20
    while element.counts.accepted < 3 and time.monotonic() < until:
        time.sleep(0.01)
    folder.mkdir()
    while element.counts.delivered < 20 and time.monotonic() < until:
        time.sleep(0.01)
    run.finish()
    assert run.pipeline.wait(30)
    assert [line["body"]["frame"]["frame"] for line in lines(folder / "m.jsonl")] == list(range(20))


def test_sensors_are_numbered_as_streams_are_declared_whoever_comes_first(out: Path, tmp_path: Path) -> None:
    config = tmp_path / "msgconv.txt"
    config.write_text("[sensor0]\nenable=1\nid=GATE\n[sensor1]\nenable=1\nid=YARD\n")
    for payload in ("deepstream-minimal", "deepstream", "deepstream-new"):
        out.unlink(missing_ok=True)
        element = publish(out, payload=payload, options={"config": str(config)})
        element.open(Context("publish"))
        element.expect(["gate", "yard"])
        for name in ("yard", "gate"):
            seen = frame(name, 0)
            seen.objects.append(Object(box([1, 2, 3, 4]), 0, "car", 0.5, id=1))
            element.process_frame(seen)
        element.close()
        bodies = [line["body"] for line in lines(out)]
        assert [body.get("sensorId") or body["sensor"]["id"] for body in bodies] == ["YARD", "GATE"], payload


def test_wrong_settings_are_errors_before_the_first_frame(out: Path) -> None:
    for settings, said in (
        ({"what": ["frame"]}, "some of frames, objects, events"),
        ({"payload": "nonsense"}, "payload 'nonsense' is not known"),
        ({"payload": "deepstream", "options": {"config": "/nowhere.txt"}}, "nowhere.txt: cannot be read"),
    ):
        with pytest.raises(ConfigError, match=said):
            publish(out, **settings).validate()
    with pytest.raises(ConfigError, match="begins with one of"):
        Publish(broker="localhost:1883").validate()


def test_the_default_spool_does_not_depend_on_the_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_spool("mqtt://a:b@h/t", None) == default_spool("mqtt://a:c@h/t", None)
    azure = "azure://h?device=a&sas="
    assert default_spool(azure + "b", None) == default_spool(azure + "c", None)
    assert default_spool("http://h/?token=b", None) != default_spool("http://h/?token=c", None)  # another receiver
    assert default_spool("mqtt://h/t", None) != default_spool("mqtt://h/u", None)
    assert default_spool("mqtt://h/t", None).startswith(str(tmp_path / "millrace" / "spool"))


def seen(index: int) -> Frame:
    """A dark frame of 64 x 48 with a red thing at 10 10 30 40."""
    rgb = np.full((48, 64, 3), 20, np.uint8)
    rgb[10:40, 10:30] = (220, 20, 20)
    made = Frame("gate/1", index, index * 40_000_000, Image("RGB", [rgb], 64, 48))
    made.objects = [Object(box([10, 10, 30, 40]), 0, "car", 0.5, id=1), Object(box([70, 0, 90, 9]), 0, "car", 0.5)]
    return made


def decoded(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as file:
        return next(file.decode(video=0)).to_ndarray(format="rgb24")


def test_pictures_of_objects_in_the_message(out: Path) -> None:
    through(publish(out, crops="base64", crop_size=15, what=["frames", "objects"]), seen(0))
    whole, first, second = (line["body"] for line in lines(out))
    image = first["object"]["image"]
    assert (image["type"], image["width"], image["height"]) == ("image/jpeg", 10, 15) and "file" not in image
    assert whole["frame"]["objects"][0]["image"] == image and "image" not in second["object"]  # it is outside
    pixels = decoded(base64.b64decode(image["data"]))
    assert pixels.shape == (15, 10, 3) and np.abs(pixels.mean(axis=(0, 1)) - (220, 20, 20)).max() < 12


def test_pictures_of_objects_as_files(out: Path, tmp_path: Path) -> None:
    (tmp_path / "crops").mkdir()
    element = publish(out, crops="files", crop_folder=str(tmp_path / "crops"), what=["objects"], payload="deepstream")
    through(element, seen(0), seen(7))
    images = [line["body"]["object"].get("image") for line in lines(out)]
    assert [image and Path(image["file"]).name for image in images] == [
        "gate_1-00000000-0.jpg", None, "gate_1-00000007-0.jpg", None,
    ]  # fmt: skip
    assert decoded(Path(images[0]["file"]).read_bytes()).shape == (30, 20, 3)


def test_a_picture_that_cannot_be_written_costs_no_message(out: Path, tmp_path: Path) -> None:
    (tmp_path / "crops").mkdir()
    for n in range(3):
        (tmp_path / "crops" / f"gate_1-{n:08}-0.jpg").symlink_to("/dev/full")
    element = publish(out, crops="files", crop_folder=str(tmp_path / "crops"))
    [said] = through(element, *(seen(n) for n in range(4)))
    assert "messages go without pictures: cannot write" in said and "No space left" in said
    assert ["image" in line["body"]["frame"]["objects"][0] for line in lines(out)] == [False, False, False, True]


def test_wrong_settings_of_pictures(out: Path) -> None:
    for settings, said in (
        ({"crops": "base64", "payload": "deepstream-minimal"}, "with the payloads millrace, deepstream"),
        ({"crops": "files"}, "a folder, with `crops: files` only"),
        ({"crop_folder": "/tmp"}, "a folder, with `crops: files` only"),
        ({"crops": "files", "crop_folder": "/nowhere"}, "a folder that is there; create it"),
    ):
        with pytest.raises(ConfigError, match=said):
            publish(out, **settings).validate()
