"""The names that `import millrace` offers."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pytest

import millrace


def test_every_public_name_can_be_had() -> None:
    assert set(millrace._WHERE) | {"__version__"} == set(millrace.__all__)
    for name in millrace.__all__:
        assert getattr(millrace, name) is not None
    assert set(millrace.__all__) <= set(dir(millrace))


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="millrace has no 'opne'"):
        _ = millrace.opne


def test_load_gives_a_flow(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "p.yaml").write_text("streams: {a: a.mp4}\npipeline: [{limit: {count: 1}}]\n")
    flow = millrace.load(tmp_path / "p.yaml")
    assert isinstance(flow, millrace.Flow) and [stream.name for stream in flow.plan.streams] == ["a"]


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="without a compiler the C parts are left out; CI has one")
def test_the_c_parts_were_built() -> None:
    root = Path(millrace.__file__).parent
    sources = sorted(root.rglob("_*.c"))
    assert sources
    for source in sources:
        import_module(".".join(("millrace", *source.relative_to(root).with_suffix("").parts)))
