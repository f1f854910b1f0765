"""`millrace bench gpu`: its parts on any device, its table, and what is said without a GPU."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from millrace.cli.app import app
from millrace.testing import bench_gpu
from millrace.testing.bench_gpu import Row, Window, table
from millrace.testing.clips import numbered_clip


def test_the_table():
    rows = [Row("decode only, no engine", 5000.4, 100.2, 99, 12), Row("engine: decode", 4500, 120, None, None)]
    assert table(rows) == [
        "                                        fps  of decode   CPU µs   NVDEC  kernels",
        "decode only, no engine                 5000       1.00      100    99 %     12 %",
        "engine: decode                         4500       0.90      120       –        –",
    ]


def test_every_part_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_gpu, "SIZE", (320, 180))
    monkeypatch.setattr(bench_gpu, "BATCH", 2)
    clip = numbered_clip(tmp_path / "clip.mp4", 30, 160, 96)
    rows = bench_gpu.measure("cpu", clip, "street", 2, 2, 0.3)
    assert [row.part.partition(":")[0] for row in rows] == [
        "decode only, no engine", "engine", "prepare for a network, 640x384", "draw 20 objects", "engine", "engine",
    ]  # fmt: skip
    assert all(row.fps > 1 and row.cpu > 0 and row.decoder is None for row in rows)


def test_nvml_is_asked_where_there_is_a_gpu(monkeypatch):
    from millrace.cuda.nvml import Nvml, Usage

    class Played(Nvml):
        def __init__(self): ...

        def usage(self):
            return [Usage(0, 1, 2, 3, 4, 5), Usage(1, 1, 2, 30, 40, 50)]

        def close(self): ...

    monkeypatch.setattr(bench_gpu, "open_nvml", Played)
    steps = iter(range(0, 1000, 100))
    row = Window("cuda:1", 0.1).count("part", lambda: next(steps))
    assert (row.decoder, row.kernels) == (40, 30) and row.fps > 0


def test_a_broken_clip_is_one_error(tmp_path, monkeypatch):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(Exception, match=r"broken\.mp4"):
        bench_gpu.decode_only(Window("cpu", 0.1), "cpu", broken, 1, 1)


def test_without_a_gpu_it_says_what_it_would_measure(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setattr("millrace.cuda.context._gpus", {})
    result = CliRunner().invoke(app, ["bench", "gpu"])
    assert result.exit_code == 1
    assert "pip install 'millrace[cuda]'" in result.output and "with one: decoding alone" in result.output


def test_what_is_not_known_is_said():
    result = CliRunner().invoke(app, ["bench", "tpu"])
    assert result.exit_code == 2 and "there are: engine, gpu" in result.output


def test_the_command_passes_on_what_was_asked(monkeypatch, tmp_path):
    given = SimpleNamespace()
    monkeypatch.setattr(bench_gpu, "main", lambda *arguments: setattr(given, "all", arguments) or 0)
    clip = tmp_path / "a.mp4"
    result = CliRunner().invoke(
        app, ["bench", "gpu", "--device", "cpu", "--clip", str(clip), "--streams", "4", "--quick"]
    )
    assert result.exit_code == 0
    assert given.all == ("cpu", clip, "", 4, True)
