"""The shape of the code is tested too: imports point down, without circles; files and functions stay short."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "millrace"
FILES = sorted(PACKAGE.rglob("*.py"))

ROW_1 = (
    "sources", "decoders", "encoders", "imaging", "models", "converters", "runtimes", "parsers", "trackers",
    "analytics", "outputs", "brokers", "streaming",
)  # fmt: skip
LEVEL = {
    "core": 0, "media": 0, "_version": 0, "folders": 0,
    "cuda": 1,  # what the device files of row 1 share
    "gstreamer": 1,  # fragments of GStreamer in processes of their own, for source and elements
    "deepstream": 1,  # key files and the report on their keys, for all readers of DeepStream's files
    **dict.fromkeys(ROW_1, 2),
    "metrics": 3, "devices": 3, "engines": 4, "elements": 5, "registry": 6, "config": 7, "meter": 8, "summary": 9,
    "fleet": 10, "flow": 11, "replay": 11, "testing": 12, "builder": 13, "cli": 14,
    "__main__": 15,
    "": 16,  # millrace/__init__.py, lazily
}  # fmt: skip
HEAVY = {
    "av", "cv2", "onnxruntime", "onnx", "torch", "cupy", "cuda", "PyNvVideoCodec", "pydantic", "yaml", "typer", "rich",
    "pynvml", "pygame", "IPython", "openvino", "tensorrt", "ai_edge_litert", "tritonclient", "tensorflow", "tf2onnx",
    "paho", "pika", "redis", "nats", "confluent_kafka", "pycocotools", "pyrealsense2", "aiohttp", "aiortc", "aioice",
}  # fmt: skip
AT_HOME = {  # where a library may be imported; anywhere else it is a leak
    "yaml": ("analytics", "config", "deepstream", "models", "cli"), "pydantic": ("config", "models", "registry"),
    "typer": ("cli",), "rich": ("cli",), "pycocotools": ("metrics",),
}  # fmt: skip


def part(file: Path) -> str:
    """The top folder or file: `core`, `elements`, `flow`."""
    relative = file.relative_to(PACKAGE)
    if relative.name == "__init__.py" and len(relative.parts) == 1:
        return ""
    return relative.parts[0].removesuffix(".py")


@cache
def imports(file: Path) -> tuple[tuple[str, bool], ...]:
    """(absolute module, whether at the top of the file) of every import; type-checking imports are left out."""
    tree = ast.parse(file.read_text())
    package = ".".join(file.relative_to(ROOT).with_suffix("").parts[:-1])
    found: list[tuple[str, bool]] = []

    def visit(node: ast.AST, top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                found.extend((alias.name, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parent = package.split(".")[: len(package.split(".")) - child.level + 1]
                    base = ".".join([*parent, base]).rstrip(".")
                found.append((base, top))
                found.extend((f"{base}.{alias.name}", top) for alias in child.names)
            else:
                visit(child, top and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    visit(tree, True)
    return tuple(found)


def inside(module: str) -> str | None:
    """The top folder that an import of ours names."""
    if module == "millrace":
        return None
    if not module.startswith("millrace."):
        return None
    name = module.split(".")[1]
    return name if name in LEVEL else None


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_point_down(file: Path):
    here = part(file)
    assert here in LEVEL, f"{here} has no place in the layout: see docs/architecture.md"
    for module, _ in imports(file):
        there = inside(module)
        if there is None or there == here or here == "":
            continue
        assert LEVEL[there] < LEVEL[here], f"{file.relative_to(ROOT)} imports {module}: {there} is not below {here}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_heavy_libraries_stay_in_their_files(file: Path):
    here = part(file)
    for module, _ in imports(file):
        library = module.partition(".")[0]
        if library not in HEAVY:
            continue
        homes = AT_HOME.get(library, (*ROW_1, "cuda", "testing", "builder", "cli"))
        assert here in homes, f"{file.relative_to(ROOT)} imports {library}"


def test_no_circles():
    modules = {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in FILES}
    edges = {
        name: {module for module, top in imports(file) if top and module in modules and module != name}
        for name, file in modules.items()
    }
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' → '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for after in sorted(edges[name]):
                # a package and its own modules: the package's __init__ may gather what they define
                if not (name.startswith(after + ".") or after.startswith(name + ".")):
                    walk(after, (*path, name))
            done.add(name)

    for name in modules:
        walk(name, ())


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_files_and_functions_are_short(file: Path):
    text = file.read_text()
    assert text.count("\n") <= 400, f"{file.name} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or 0) - node.lineno
            assert length <= 60, f"{file.name}: {node.name} has {length} lines"


def test_core_is_stdlib_only_and_media_numpy_only():
    allowed = {"core": set(sys.stdlib_module_names), "media": {*sys.stdlib_module_names, "numpy"}}
    for file in FILES:
        if (here := part(file)) in allowed:
            for module, _ in imports(file):
                top = module.partition(".")[0]
                assert top in allowed[here] or top == "millrace", f"{file.relative_to(ROOT)} imports {module}"


def _rank(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then the rest, as ruff's RUF022 sorts."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def test_exported_names_are_sorted():
    for file in FILES:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets):
                names = ast.literal_eval(node.value)
                assert names == sorted(names, key=_rank), f"{file.relative_to(ROOT)}: __all__ is not sorted"


def seconds(command: list[str]) -> float:
    """Processor time of a command, best of three: the machine may be busy."""
    best = 1e9
    for _ in range(3):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=ROOT)
        after = os.times()
        best = min(best, after.children_user + after.children_system - before.children_user - before.children_system)
    return best


def test_import_is_light():
    code = "import sys, millrace; assert not {'cv2', 'av', 'onnxruntime', 'pydantic', 'typer'} & set(sys.modules)"
    bare = seconds([sys.executable, "-c", "pass"])
    assert seconds([sys.executable, "-c", code]) - bare < 0.15


def test_help_is_quick():
    assert seconds([sys.executable, "-m", "millrace", "--help"]) < 0.4 * 1.5  # half as much again on a slow machine
