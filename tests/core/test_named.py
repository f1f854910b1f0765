"""What users have written, by its name: what is wrong is theirs, and is told as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.core.errors import ConfigError
from millrace.core.named import find_named


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "well_done.py").write_text("def found(frame):\n    return frame\n_hidden = found\n")
    (tmp_path / "badly_done.py").write_text("import math\n\nHALF = math.pie / 2\n\ndef found(frame): ...\n")
    (tmp_path / "lacks_one.py").write_text("import no_such_library_here\n")
    (tmp_path / "a_script.py").write_text("import sys\nsys.exit(3)\n")
    return tmp_path


@pytest.mark.parametrize("target", ["well_done:found", "well_done.py:found"])
def test_a_function_is_found_by_module_and_by_file(written: Path, target: str) -> None:
    assert find_named(target, written)(5) == 5


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("well_done:fond", "well_done has no fond; it has: found"),
        ("well_done.py:fond", "well_done.py has no fond; it has: found"),
        ("gone_away:found", "there is no module 'gone_away'"),
        ("gone_away.py:found", "there is no file {}/gone_away.py"),
        ("well_done", "'well_done' names nothing: it is written package.module:name"),
        (":found", "':found' names nothing: it is written package.module:name"),
        (
            "badly_done:found",
            "badly_done cannot be imported: AttributeError: module 'math' has no attribute 'pie' "
            "(badly_done.py, line 3)",
        ),
        (
            "badly_done.py:found",
            "{}/badly_done.py cannot be run: AttributeError: module 'math' has no attribute 'pie' "
            "(badly_done.py, line 3)",
        ),
        (
            "lacks_one:found",
            "lacks_one cannot be imported: ModuleNotFoundError: No module named 'no_such_library_here' "
            "(lacks_one.py, line 1)",
        ),
        ("a_script:found", "a_script cannot be imported: SystemExit: 3 (a_script.py, line 2)"),
    ],
)
def test_what_is_wrong_is_told(written: Path, target: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_named(target, written)
    assert str(caught.value) == said.format(written)
