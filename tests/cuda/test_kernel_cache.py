"""Machine code is kept from start to start; what cannot be kept, or is damaged, is compiled anew."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from millrace.core.errors import ConfigError
from millrace.cuda import kernel


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """The sources that are compiled from now on."""
    sources = []

    def compile_source(source, architecture):
        if source == "wrong":
            raise ConfigError("it does not compile")
        sources.append((source, architecture))
        return f"{len(sources)}: {source}".encode()

    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel, "_nvrtc", lambda: SimpleNamespace(nvrtcVersion=lambda: (0, 13, 0)))
    monkeypatch.setattr(kernel, "compile_source", compile_source)
    return sources


def the_files(tmp_path):
    return sorted((tmp_path / "cache/kernels").iterdir())


def test_it_is_compiled_once(compiled, tmp_path):
    assert [kernel.kept_code("a", "sm_90") for _ in range(3)] == [b"1: a"] * 3
    (file,) = the_files(tmp_path)
    assert file.name.startswith("sm_90-") and file.suffix == ".cubin"


def test_other_sources_architectures_options_and_compilers_are_others(compiled, tmp_path, monkeypatch):
    kernel.kept_code("a", "sm_90")
    kernel.kept_code("b", "sm_90")
    kernel.kept_code("a", "sm_80")
    monkeypatch.setattr(kernel, "_OPTIONS", ("--fmad=false",))
    kernel.kept_code("a", "sm_90")
    monkeypatch.setattr(kernel, "_nvrtc", lambda: SimpleNamespace(nvrtcVersion=lambda: (0, 13, 1)))
    kernel.kept_code("a", "sm_90")
    assert len(compiled) == len(the_files(tmp_path)) == 5


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:20], lambda b: b[:-1], lambda b: b[:-1] + b"?"])
def test_a_damaged_file_is_made_anew(compiled, tmp_path, damage):
    kernel.kept_code("a", "sm_90")
    (file,) = the_files(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert kernel.kept_code("a", "sm_90") == kernel.kept_code("a", "sm_90") == b"2: a"
    assert the_files(tmp_path) == [file]


def test_what_does_not_compile_is_not_kept(compiled, tmp_path):
    with pytest.raises(ConfigError, match="does not compile"):
        kernel.kept_code("wrong", "sm_90")
    assert not (tmp_path / "cache").exists()


def test_where_nothing_can_be_kept_it_works_all_the_same(compiled, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file, not a folder")
    assert [kernel.kept_code("a", "sm_90") for _ in range(2)] == [b"1: a", b"2: a"]
    (tmp_path / "cache").unlink()

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    with monkeypatch.context() as patch:
        patch.setattr(kernel.folders, "cache", no_home)
        assert kernel.kept_code("a", "sm_90") == b"3: a"

    def full(new, file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert kernel.kept_code("a", "sm_90") == b"4: a"
    assert the_files(tmp_path) == []


@pytest.mark.parametrize("late", [False, True])
def test_who_is_broken_off_leaves_nothing_half_done(compiled, tmp_path, monkeypatch, late):
    replace = os.replace

    def stopped(new, file):
        if late:
            replace(new, file)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        kernel.kept_code("a", "sm_90")
    assert [file.suffix for file in the_files(tmp_path)] == [".cubin"] * late


def test_the_compiler_itself(monkeypatch, tmp_path):
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is an extra")
    monkeypatch.setenv("MILLRACE_CACHE", str(tmp_path))
    source = 'extern "C" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }'
    try:
        made = kernel.kept_code(source, "sm_90")
    except RuntimeError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(kernel, "compile_source", None)
    assert b"twice" in made and kernel.kept_code(source, "sm_90") == made
