"""`millrace inspect --docs FOLDER`: a page of Markdown for each element, and one file with every setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from .. import registry
from ..core.element import Element
from ..registry import Setting, settings_of
from ..sources.base import SCHEMES
from .describe import allowed, body, default, examples, in_python, kinds, summary

_MADE = "<!-- Made from the element's own source by `millrace inspect --docs docs/elements`. -->\n"
_EVERY = {"stream": "the stream's name", "uri": "the address"}  # what each source has


def write(folder: Path) -> list[Path]:
    """Write all pages; returns their paths. Pages of elements that are gone are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in made]


def pages() -> dict[str, str]:
    """File name → text."""
    own = {name: registry.get(name) for name in registry.names() if registry.get(name).__module__.startswith("mill")}
    out = {f"{name}.md": page(name, cls) for name, cls in own.items()}
    out["README.md"] = index(own)
    out["sources.md"] = sources()
    out["reference.yaml"] = reference(own)
    return out


def page(name: str, cls: type[Element]) -> str:
    """One element: what it does, its settings, an example in a file and in Python."""
    lines = [f"# {name}", "", _MADE, summary(cls), ""]
    if text := body(cls):
        lines += [text, ""]
    lines += [f"It {kinds(cls)}.", ""]
    settings = settings_of(cls)
    lines += ["## Settings", "", *_table(cls, settings), ""] if settings else ["It has no settings.", ""]
    if any(setting.live for setting in settings):
        lines += ["live: may change while the pipeline runs, with `Pipeline.set`.", ""]
    lines += ["## Example", ""]
    for step in examples(name, cls):
        if cls.in_files:
            lines += ["```yaml", step, "```", ""]
        lines += ["```python", in_python(name, cls, step), "```", ""]
    return "\n".join(lines)


def _table(cls: type[Element], settings: tuple[Setting, ...]) -> Iterator[str]:
    yield "| setting | type | default | allowed | what it is |"
    yield "| --- | --- | --- | --- | --- |"
    for setting in settings:
        said = setting.help + (" (live)" if setting.live else "")
        given = default(cls, setting, anywhere=True)
        given = given if setting.required or given == "by the machine" else f"`{given}`"
        cells = (f"`{setting.name}`", f"`{setting.type_name}`", given, allowed(setting), said)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def index(own: Mapping[str, type[Element]]) -> str:
    """The list of all elements."""
    lines = [
        "# Elements", "", _MADE,
        "`millrace inspect` lists them, `millrace inspect NAME` shows one. A pipeline file may also give each step a",
        "`name`, an `on_error` and a `queue`: [pipeline files](../configuration.md). All settings in one file:",
        "[reference.yaml](reference.yaml). What streams may be: [sources](sources.md).", "",
        "| element | what it does | |", "| --- | --- | --- |",
    ]  # fmt: skip
    lines += [f"| [{name}]({name}.md) | {summary(cls)} | {kinds(cls)} |" for name, cls in own.items()]
    return "\n".join(lines) + "\n"


def source_classes() -> dict[type[Element], list[str]]:
    """Every kind of source and the schemes of the addresses that it reads."""
    out: dict[type[Element], list[str]] = {}
    for scheme, place in SCHEMES.items():
        module, _, name = place.partition(":")
        out.setdefault(getattr(import_module(f"millrace.sources.{module}"), name), []).append(scheme)
    return out


def sources() -> str:
    """The options of a stream, by the kind of its source."""
    lines = [
        "# Sources", "", _MADE,
        "Options of a stream, beside its `uri`: `gate: {uri: gate.mp4, track: 1}` in a file,",
        "`millrace.open(\"gate.mp4\", track=1)` in Python.", "",
    ]  # fmt: skip
    for cls, schemes in source_classes().items():
        lines += [f"## {', '.join(f'{scheme}://' for scheme in schemes)}", "", summary(cls), ""]
        if text := body(cls):
            lines += [text, ""]
        settings = tuple(setting for setting in settings_of(cls) if setting.name not in _EVERY)
        lines += [*_table(cls, settings), ""] if settings else ["It has no options.", ""]
    return "\n".join(lines)


def reference(own: Mapping[str, type[Element]]) -> str:
    """A pipeline file with every element and every setting: to look up and to copy from, not to run."""
    lines = [
        "# Every element with every setting and its default, to copy from. It is valid YAML and no sensible pipeline.",
        "# Made by `millrace inspect --docs docs/elements`. What must be given stands without a #.", "",
        "device: cpu  # for every element that has such a setting and does not say its own", "", "streams:",
        "  gate: gate.mp4", "  yard: {uri: yard.mp4}  # and the options of its source: docs/elements/sources.md", "",
        "pipeline:",
    ]  # fmt: skip
    for name, cls in own.items():
        if not cls.in_files:
            continue
        settings = settings_of(cls)
        required = any(setting.required for setting in settings)
        lines += ["", f"  # {summary(cls)}", f"  - {name}" + (":" if required else "")]
        for setting in sorted(settings, key=lambda setting: not setting.required):
            said = "; ".join(filter(None, (setting.type_name, allowed(setting), setting.help)))
            value = '"…"' if setting.required else default(cls, setting, anywhere=True)
            lines.append(f"      {'' if setting.required else '# '}{setting.name}: {value}  # {said}")
    return "\n".join(lines) + "\n"
