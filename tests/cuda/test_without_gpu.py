"""What a machine without a GPU, or without the extra, is told; and that the kernels compile, which needs no GPU."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import millrace.imaging
from millrace.core.caps import PACKETS, Caps
from millrace.core.errors import ConfigError, MissingExtraError
from millrace.cuda.context import check, gpu


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setattr("millrace.cuda.context._gpus", {})
    with pytest.raises(MissingExtraError, match=r"cuda-bindings: pip install 'millrace\[cuda\]'"):
        gpu("cuda:0")


def test_without_a_driver_the_device_is_named(monkeypatch):
    class Driver:
        @staticmethod
        def cuInit(flags):
            raise RuntimeError("Failed to dlopen libcuda.so.1")

    monkeypatch.setattr("millrace.cuda.context._gpus", {})
    monkeypatch.setattr("millrace.cuda.context.driver", lambda: Driver)
    with pytest.raises(ConfigError, match="cuda:1: no NVIDIA GPU can be used here"):
        gpu("cuda:1")


def test_a_device_that_is_none_is_one_sentence():
    with pytest.raises(ConfigError, match="device 'cuda:first' is not known"):
        gpu("cuda:first")


def test_check_raises_with_the_drivers_word():
    class Code(int):
        name = "CUDA_ERROR_OUT_OF_MEMORY"

    with pytest.raises(RuntimeError, match="CUDA_ERROR_OUT_OF_MEMORY"):
        check((Code(2),))
    assert check((Code(0),)) is None
    assert check((Code(0), 7)) == 7
    assert check((Code(0), 7, 8)) == (7, 8)


def test_the_codec_is_checked_before_the_gpu(monkeypatch):
    from millrace.decoders.nvdec import open_decoder

    with pytest.raises(ValueError, match="mpeg4 cannot be decoded on cuda:0"):
        open_decoder(Caps(PACKETS, codec="mpeg4"), "cuda:0")


@pytest.mark.parametrize("architecture", ["sm_75", "sm_90", "sm_100"])
def test_the_kernels_compile(architecture):
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is an extra")
    from millrace.cuda.kernel import compile_source

    here = Path(millrace.imaging.__path__[0])
    shared = (here / "pixels.h").read_text()
    try:
        code = compile_source("".join((here / name).read_text() for name in ("kernels.cu", "strips.cu")), architecture)
        drawing = compile_source(shared + (here / "draw.cu").read_text(), architecture)
        planes = compile_source(shared + (here / "planes.cu").read_text(), architecture)
        runtimes = here.with_name("runtimes")
        pooling, kept, masks = (
            compile_source((runtimes / name).read_text(), architecture) for name in ("pooling.cu", "nms.cu", "masks.cu")
        )
    except RuntimeError as error:  # the bindings are there, the compiler's library is not
        pytest.skip(str(error))
    assert b"draw" in drawing
    assert b"conceal_rows" in planes
    assert b"suppress" in kept
    assert b"mask_logits" in masks
    if architecture != "sm_75":  # without these products of matrices
        assert b"stem_float16" in compile_source((here.with_name("runtimes") / "stem.cu").read_text(), architecture)
    assert b"max_pool_float16" in pooling and b"max_pool_float32" in pooling
    for name in (b"to_float32", b"to_float16", b"to_uint8", b"to_int8", b"nv12_to_float16", b"p010_halved_to_float32"):
        assert name in code


def test_a_kernel_that_does_not_compile_says_where():
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is an extra")
    from millrace.cuda.kernel import compile_source

    try:
        with pytest.raises(ConfigError, match=r"(?s)mine.cu does not compile for sm_90.*mine.cu\(1\)"):
            compile_source("int f( {", "sm_90", "mine.cu")
    except RuntimeError as error:
        pytest.skip(str(error))
