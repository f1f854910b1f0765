"""The parallel-inference application: several primary models beside each other, each with followers of its own."""

from __future__ import annotations

from ...deepstream import Report, Section, read
from ...elements._metamux import read_metamux
from ..plan import Line, Step, Tee
from .models import Models, tracker
from .parts import MEMORY, App, step


def branches(app: App, models: Models) -> Line:
    """A tee with a branch for each [primary-gieN], joined behind it; none where there are no such groups."""
    report = app.report
    lines: dict[str, Line] = {}
    numbers = {section.integer("pgie-id", None): int(match[1]) for match, section in report.sections(r"branch(\d+)")}
    for match, section in report.sections(r"primary-gie(\d+)"):
        line = models.primary(section)
        if not line:
            continue
        number = numbers.get(section.integer("gie-unique-id", None), int(match[1]))  # of the branch that it is for
        line = _only(app, report.section(f"branch{number}")) + line
        line += [each for part in _fragments(app, number) for each in _follow(part, models)]
        lines[section.group.name] = line
    for pattern in (r"branch\d+", r"tracker\d+", r"nvds-analytics\d+", r"secondary-gie\d+"):
        for _, section in report.sections(pattern) if lines else ():
            given = [entry.key for entry in section.group.entries if entry.key not in section.taken]
            section.ignore("its [primary-gieN] is off", *given)
    if not lines:
        return []
    joined = _joined(app, models, report.section("meta-mux"))
    return [Tee(dict(lines)), joined] if len(lines) > 1 else next(iter(lines.values()))


def _joined(app: App, models: Models, section: Section) -> Step:
    """[meta-mux]: where the branches meet, and of which streams what each model found is kept."""
    path = app.file(section, "config-file") if app.on(section) else None
    section.ignore(MEMORY, "gpu-id", "nvbuf-memory-type")
    if path is None or any(each.group == section.group.name for each in app.missing):
        return Step("join")
    found = read_metamux(path)
    streams = [stream.name for stream in app.plan.streams]
    keep = {
        models.stages[number]: [streams[n] for n in numbers if 0 <= n < len(streams)]
        for number, numbers in found.keep.items()
        if number in models.stages
    }
    return step(section, "join", {"first": found.first or None, "keep": keep or None}, {"keep": "config-file"})


def _only(app: App, section: Section) -> Line:
    """src-ids: the streams that a branch looks at."""
    numbers = section.integers("src-ids", ())
    names = [app.plan.streams[number].name for number in numbers if 0 <= number < len(app.plan.streams)]
    if not names or len(names) == len(app.plan.streams):
        return []
    return [step(section, "only", {"streams": names}, {"streams": "src-ids"})]


def _fragments(app: App, number: int) -> list[tuple[App, Section]]:
    """The groups of a branch that stand in files of their own (cfg-file-path)."""
    out = []
    for name in (f"tracker{number}", f"nvds-analytics{number}", f"secondary-gie{number}"):
        section = app.report.section(name)
        if not app.on(section):
            continue
        path = app.file(section, "cfg-file-path")
        if path is None:
            section.reject("cfg-file-path", "is missing")
        elif not any(each.group == name for each in app.missing):
            inner = Report(read(path))
            out.append((App(inner, app.plan, app.missing, app.remarks), section))
    return out


def _follow(part: tuple[App, Section], models: Models) -> Line:
    """The steps of such a file, whose groups have the names of deepstream-app's."""
    app, section = part
    name = section.group.name
    if name.startswith("nvds-analytics"):
        path = app.report.file.path
        return [step(section, "analyze", {"config": path}, {"config": "cfg-file-path"})]
    if name.startswith("tracker"):
        line = [each for _, own in app.report.sections(r"tracker\d*") for each in tracker(app, own)]
    else:
        own_models = Models(app)
        own_models.stages, own_models.styles = models.stages, models.styles
        own_models.prefix = f"{name}."
        line = own_models.secondaries()
    app.report.finish()
    app.remarks += app.report.warnings()
    return line
