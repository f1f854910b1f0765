"""Clips around moments: the packets as they came, from a key picture to the wanted end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest
from sounds import begins, clip_with_sound

from millrace.core import Caps
from millrace.core.errors import OutputError
from millrace.media import Packet
from millrace.outputs.clips import SECOND, Clips, Recorded, free_path
from millrace.sources.file import FileSource
from millrace.testing.clips import numbered_clip, read_frame_number

GOP = 10  # pictures of 40 ms


@pytest.fixture
def clip_of(tmp_path: Path) -> Callable[[int], tuple[Caps, list[Packet]]]:
    def read(frames: int) -> tuple[Caps, list[Packet]]:
        path = numbered_clip(tmp_path / "in.mp4", frames, 160, 120, gop=GOP)
        start, *items = FileSource(stream="a", uri=str(path)).read()
        return start.caps, [item for item in items if isinstance(item, Packet)]

    return read


def numbers(path: Path) -> list[int]:
    with av.open(str(path)) as file:
        return [read_frame_number(frame.to_ndarray(format="gray")) for frame in file.decode(video=0)]


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(video=0) if packet.size]


def test_a_moment_is_written_from_the_key_picture_before_it_to_its_end(clip_of, tmp_path: Path) -> None:
    caps, items = clip_of(100)
    done: list[Recorded] = []
    clips = Clips(caps, cache=10)
    for n, packet in enumerate(items):
        clips.push(packet)
        if n == 60:  # picture 60 is at 2.4 s
            at = 2 * SECOND + SECOND * 2 // 5
            assert clips.start("door", str(tmp_path / "out.mp4"), at - SECOND, at + SECOND, done.append)
    clips.close()
    seen = numbers(tmp_path / "out.mp4")
    # 1.4 s is picture 35, the key picture before it 30; 3.4 s is picture 85, and later ones are needed to decode it
    assert seen == list(range(30, 30 + len(seen))) and 84 <= seen[-1] <= 88
    end = (seen[-1] + 1) * 40_000_000
    assert done == [Recorded("a", str(tmp_path / "out.mp4"), "door", 1_200_000_000, end)]
    came = {bytes(packet.data) for packet in items}
    assert set(packets(tmp_path / "out.mp4")) <= came  # nothing was encoded anew
    with av.open(str(tmp_path / "out.mp4")) as file:
        first = next(file.decode(video=0))
        assert first.key_frame and first.pts == 0


def test_the_cache_keeps_whole_groups_and_no_more(clip_of, tmp_path: Path) -> None:
    caps, items = clip_of(200)
    clips = Clips(caps, cache=1.0)
    for packet in items:
        clips.push(packet)
        assert len(clips._kept) <= 25 + 2 * GOP + 5
    clips.start("late", str(tmp_path / "out.mp4"), 0, 100 * SECOND)
    clips.close()
    seen = numbers(tmp_path / "out.mp4")
    assert seen[0] % GOP == 0 and seen[-1] == 199 and 25 <= len(seen) <= 25 + 2 * GOP


def test_clips_overlap_extend_and_stop(clip_of, tmp_path: Path) -> None:
    caps, items = clip_of(150)
    clips = Clips(caps, cache=10)
    for n, packet in enumerate(items):
        clips.push(packet)
        if n == 50:
            clips.start("a", str(tmp_path / "a.mkv"), 2 * SECOND, 3 * SECOND)
        if n == 60:
            clips.start("b", str(tmp_path / "b.mp4"), 2 * SECOND, 100 * SECOND)
            assert clips.recording("a")
            clips.extend("a", 4 * SECOND)
        if n == 120:
            clips.stop("b")
            assert not clips.recording("b")
    clips.close()
    seen = numbers(tmp_path / "a.mkv")
    assert seen == list(range(50, 50 + len(seen))) and 99 <= seen[-1] <= 103
    seen = numbers(tmp_path / "b.mp4")
    assert seen[0] == 50 and 110 <= seen[-1] <= 121


def test_sound_is_kept_in_step(tmp_path: Path) -> None:
    path = clip_with_sound(tmp_path / "in.mp4", gop=10)
    source = FileSource(stream="a", uri=str(path), sound=True)
    start, *items = source.read()
    clips = Clips(start.caps, cache=10)
    for packet in (item for item in items if isinstance(item, Packet)):
        clips.push(packet)
    clips.start("x", str(tmp_path / "out.mp4"), SECOND * 2, SECOND * 3)
    clips.close()
    flashes, tones = begins(tmp_path / "out.mp4")
    assert len(flashes) == len(tones) == 1 and abs(flashes[0] - 0.4) < 0.05 and abs(tones[0] - flashes[0]) < 0.05


def test_a_full_disk_gives_up_one_clip_and_not_the_others(clip_of, tmp_path: Path) -> None:
    caps, items = clip_of(100)
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    clips = Clips(caps, cache=10)
    errors = 0
    for n, packet in enumerate(items):
        try:
            clips.push(packet)
            if n == 20:
                clips.start("good", str(tmp_path / "good.mp4"), 0, 100 * SECOND)
                clips.start("bad", str(tmp_path / "full.mp4"), 0, 100 * SECOND)
        except OutputError as error:
            assert "full.mp4: No space left" in str(error)
            errors += 1
    clips.close()
    assert errors == 1 and numbers(tmp_path / "good.mp4") == list(range(100))


def test_names_that_are_taken_get_a_number(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    assert free_path(str(path)) == str(path)
    path.touch()
    assert free_path(str(path)) == str(tmp_path / "a-2.mp4")


def test_a_clip_that_fails_takes_no_picture_from_those_after_it(clip_of, tmp_path: Path) -> None:
    caps, items = clip_of(60)
    clips = Clips(caps, cache=10)
    errors = 0
    for n, packet in enumerate(items):
        if n == 30:
            clips.start("bad", str(tmp_path / "bad.mp4"), 0, 100 * SECOND)
            clips.start("good", str(tmp_path / "good.mp4"), 0, 100 * SECOND)
            bad = clips._open[0].file

            def fails(packet: Packet) -> None:
                raise OutputError("bad.mp4", OSError("no room"))

            closing = bad.close
            bad.write = fails  # type: ignore[method-assign]
        try:
            clips.push(packet)
        except OutputError:
            errors += 1
    clips.close()
    closing()
    assert errors == 1 and numbers(tmp_path / "good.mp4") == list(range(60))


def test_a_stream_without_key_pictures_does_not_fill_the_memory(
    clip_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps, items = clip_of(100)
    size = sum(memoryview(packet.data).nbytes for packet in items)
    monkeypatch.setattr("millrace.outputs.clips.MOST", size // 4)
    clips = Clips(caps, cache=1000)
    for packet in items:
        clips.push(packet)
        assert clips._bytes == sum(memoryview(kept.data).nbytes for kept in clips._kept) <= size // 4
    assert len(clips._keys) > 1  # whole groups that fit are kept
    alone = Clips(caps, cache=1000)
    for n in range(1000):
        alone.push(Packet("a", bytes(size // 100), n * 40_000_000, n * 40_000_000, key=n == 0))
    assert alone._bytes == 0 and not alone.start("x", str(tmp_path / "x.mp4"), 0, SECOND)


def test_a_packet_that_no_container_can_hold_costs_one_clip(clip_of, tmp_path: Path) -> None:
    caps, items = clip_of(30)
    clips = Clips(caps, cache=10)
    clips.push(items[0])
    clips.start("x", str(tmp_path / "x.mp4"), 0, SECOND)
    with pytest.raises(OutputError, match="has no time and cannot be written"):
        clips.push(Packet("a", items[1].data, 40_000_000))
    assert not clips.recording("x")
