from __future__ import annotations

import pytest

import millrace
from millrace.core.errors import ConfigError
from millrace.sources.listing import is_many, listed


@pytest.fixture
def folder(tmp_path):
    for name in ("cam10.mp4", "cam9.mp4", "cam1.MKV", "notes.txt"):
        (tmp_path / name).write_text("x")
    return tmp_path


def names(found):
    return [stream.uri.rpartition("/")[2] for stream in found]


def test_a_folder_of_videos(folder):
    assert is_many(str(folder))
    assert names(listed(str(folder))) == ["cam1.MKV", "cam9.mp4", "cam10.mp4"]


def test_a_glob(folder):
    assert names(listed(f"{folder}/cam*.mp4")) == ["cam9.mp4", "cam10.mp4"]
    assert names(listed(f"{folder}/**/cam9.*")) == ["cam9.mp4"]
    with pytest.raises(ConfigError, match="no file matches"):
        listed(f"{folder}/*.avi")


def test_what_is_one_stream(folder):
    for uri in (f"{folder}/cam9.mp4", "rtsp://host/a*b?c=[1]", "pattern:?fps=5", f"{folder}/gone.mp4", "0"):
        assert not is_many(uri) and listed(uri)[0].uri == uri


def test_a_name_with_brackets_is_a_file_if_it_is_there(folder):
    (folder / "a[1].mp4").write_text("x")
    assert not is_many(f"{folder}/a[1].mp4")


def test_images_and_videos_in_one_folder(folder):
    (folder / "a.png").write_text("x")
    with pytest.raises(ConfigError, match="holds videos and images: say which"):
        listed(str(folder))


def test_a_csv(folder):
    (folder / "list.csv").write_text(
        "name,uri,loop,pace\ngate,cam9.mp4,0,true\n,rtsp://h/x,,\nyard, pattern:?fps=5 ,2,\n"
    )
    found = listed(str(folder / "list.csv"))
    assert [(each.name, each.options) for each in found] == [
        ("gate", {"loop": "0", "pace": "true"}), (None, {}), ("yard", {"loop": "2"}),
    ]  # fmt: skip
    assert found[0].uri == str(folder / "cam9.mp4"), "beside the list"
    assert found[1].uri == "rtsp://h/x"
    plan = millrace.open(str(folder / "list.csv")).plan
    assert [stream.name for stream in plan.streams] == ["gate", "x", "yard"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,address\na,b\n", r"list.csv:1: there is no column 'uri'; its columns: name, address"),
        ("name,uri\na,\n", r"list.csv:2: no uri"),
        ("name,uri\na,b\na,c\n", r"list.csv:3: a stream 'a' is there already"),
        ("name,uri\na,b,c\n", r"list.csv:2: more values than columns"),
        ("", r"no column 'uri'; its columns: none"),
    ],
)
def test_a_csv_that_is_wrong(tmp_path, text, said):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ConfigError, match=said):
        listed(str(tmp_path / "list.csv"))
