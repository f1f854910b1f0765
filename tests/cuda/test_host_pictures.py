"""The kernels for pictures, compiled for the CPU, against the CPU's own imaging (tests/gpu_pictures.py)."""

from __future__ import annotations

import pytest
from drawn import picture
from gpu_pictures import *  # noqa: F403
from gpu_pictures import there
from host_gpu import differences, download, host_gpu  # noqa: F401

from millrace.imaging import cuda_canvas
from millrace.imaging.cpu import open_imaging
from millrace.imaging.cuda_pictures import CudaPictures


@pytest.fixture
def gpu(host_gpu):  # noqa: F811
    return CudaPictures(host_gpu)


def test_words_are_sent_once(gpu):
    driver = gpu._launcher.gpu.driver
    sent = []
    for _ in range(3):
        canvas = gpu.canvas(there(gpu, picture("NV12", 320, 180)))
        before = driver.copied
        canvas.text("person 0.87", (10, 10), background=(0, 0, 0))
        canvas.finish()
        sent.append(driver.copied - before)
    assert sent[0] > sent[1] == sent[2] == 64 + 2 * 16  # a line of two words


def test_a_word_longer_than_a_chunk_has_its_own(gpu, monkeypatch):
    monkeypatch.setattr(cuda_canvas, "_CHUNK", 2000)
    monkeypatch.setattr(cuda_canvas, "_MOST_CHUNKS", 1)
    image, cpu = picture("NV12", 320, 180), open_imaging()
    for number in range(6):
        canvases = gpu.canvas(there(gpu, image)), cpu.canvas(image)
        for canvas in canvases:
            for text, size in (("a", 12), (f"b{number}", 12), (f"{number}longer", 60), ("c", 12)):
                canvas.text(text, (10, size), (255, 200, 0), size)
        got, want = (canvas.finish() for canvas in canvases)
        assert differences(download(got), want)[0] == 0
    sizes = gpu._atlas._sizes
    assert sizes[0] == 2000 < max(sizes) and len(sizes) == len(gpu._atlas._chunks) <= 6


def test_an_atlas_that_is_full_begins_anew(gpu, monkeypatch):
    monkeypatch.setattr(cuda_canvas, "_CHUNK", 4000)
    monkeypatch.setattr(cuda_canvas, "_MOST_CHUNKS", 2)
    image, cpu = picture("NV12", 320, 180), open_imaging()
    for number in range(60):
        canvases = gpu.canvas(there(gpu, image)), cpu.canvas(image)
        for canvas in canvases:
            canvas.text(f"word{number} and word{number % 7}", (10, 10), (255, 200, 0), 20 + number % 3, (0, 0, 0))
            canvas.text(f"other{number}", (10, 60), (255, 200, 0), 30)
        got, want = (canvas.finish() for canvas in canvases)
        assert differences(download(got), want)[0] == 0
    assert len(gpu._atlas._chunks) <= 4
