"""A file of deepstream-app → a plan, in the order in which DeepStream links its elements.

preprocess, the primary model, the tracker, analytics, the secondary models; beside them brokers; then the tiles, what
is drawn, and the sinks, or with tiles off the same for each stream that a sink asks for by its source-id.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...core.errors import ConfigError
from ...deepstream import KeyFile, Report, Section, read
from ..plan import Line, Step, Stream, Tee
from .display import osd, tiler
from .models import Models, analytics, dumps, preprocess, tracker
from .others import pass_over, sample_sinks
from .parallel import branches
from .parts import App
from .pictures import dewarpers, example, replay, segvisual, streammux
from .recording import consumers, recorders
from .samples import ACTION, LISTED, action_recognition, source_list
from .sinks import Sink, branch, outs, read_sinks
from .sources import read_sources

SUFFIXES = (".txt", ".yml", ".yaml")


def load_app(path: str | os.PathLike[str], uris: Sequence[str] = (), captions: bool = False) -> App:
    """The plan in a file of deepstream-app, and the report on its keys.

    `uris`: the first stands for the address of the first source where the file gives none, as `-i` does there;
    `captions`: they are drawn in tiles, too (`-t`). Raises ConfigError with file and line for what is wrong.
    """
    if Path(path).suffix not in SUFFIXES:
        raise ConfigError(f"{path}: a file of deepstream-app ends in {', '.join(SUFFIXES)}")
    return app_of(read(path), uris, captions)


def app_of(file: KeyFile, uris: Sequence[str] = (), captions: bool = False) -> App:
    """The same of a file that was read already."""
    app = App(Report(file), captions=captions, sample="application" not in file.groups)
    app.uri = uris[0] if uris else ""
    listed = any(app.report.sections(LISTED))
    if ACTION in file.groups or listed:
        (source_list if listed else action_recognition)(app)
        app.report.finish()
        return app
    _application(app)
    read_sources(app)
    if uris and not app.plan.streams:
        app.plan.streams += [Stream(f"source{index}", uri) for index, uri in enumerate(uris)]
    app.plan.line = [*dewarpers(app), *streammux(app)]
    models = Models(app)
    app.plan.line += _found(app, models)
    sinks = read_sinks(app) or sample_sinks(app)
    app.plan.line += _shown(app, sinks, models)
    app.plan.line[:0] = recorders(app)
    consumers(app)
    _loop(app)
    pass_over(app)
    app.report.finish()
    return app


def _application(app: App) -> None:
    section = app.report.section("application")
    interval = section.integer("perf-measurement-interval-sec", 0, least=0)
    if section.integer("enable-perf-measurement", 0):
        app.perf = float(interval or 5)
    section.ignore("`device` says where the work is done", "global-gpu-id")


def _found(app: App, models: Models) -> Line:
    """What finds, follows, counts and names objects."""
    report = app.report
    application = report.section("application")
    line = preprocess(app, report.section("pre-process"))
    parallel = branches(app, models)
    labels = replay(app, report.section("replay"))
    primary = parallel or labels or models.primary(report.section("primary-gie"))
    if labels:
        model = report.section("primary-gie")
        models.stages[model.integer("gie-unique-id", 1)] = "labels"
        why = "[replay] is on: its labels take the place of the model"
        model.ignore(why, *(entry.key for entry in model.group.entries))
    line += primary
    line += dumps(application, "gie-kitti-output-dir", "kitti")
    line += [] if parallel else tracker(app, report.section("tracker"))
    line += analytics(app, report.section("nvds-analytics"))
    line += analytics(app, report.section("analytics")) if app.sample else []
    for _, section in report.sections(r"secondary-pre-?process\d*"):
        line += preprocess(app, section)
    if parallel:
        pass
    elif primary or app.sample:
        line += models.secondaries()
    else:
        for _, section in report.sections(r"secondary-gie\d*"):
            section.ignore("there is no [primary-gie] that is on", *(entry.key for entry in section.group.entries))
    line += _track_dumps(application, line)
    segments = report.section("segvisual")
    if primary or app.sample:
        line += segvisual(app, segments)
    elif segments.given:
        why = "there is no [primary-gie] that is on"
        segments.ignore(why, *(entry.key for entry in segments.group.entries))
    return line + example(app, report.section("ds-example"))


def _track_dumps(section: Section, line: Line) -> Line:
    """The folders of what is tracked; the trackers of the line are told what to report for them."""
    out = dumps(section, "kitti-track-output-dir", "kitti-track")
    for kind, report in (("reid", None), ("shadow", "shadows"), ("terminated", "terminated")):
        made = dumps(section, f"{kind}-track-output-dir", f"kitti-{kind}")
        for step in line if made and report else ():
            if isinstance(step, Step) and step.element == "track":
                step.settings = {**step.settings, "report": [*step.settings.get("report", ()), report]}
        out += made
    return out


def _shown(app: App, sinks: list[Sink], models: Models) -> Line:
    """The branches that lead out: brokers, tiles or single streams."""
    report = app.report
    out: dict[str, Line] = {sink.name: sink.line for sink in sinks if sink.broker and sink.line}
    seen = [sink for sink in sinks if not sink.broker]
    name = "tiled-display" if "tiled-display" in report.file.groups or not app.sample else "tiler"
    kind, tiles = tiler(app, report.section(name))
    draw = osd(app, report.section("osd"), models.styles, bool(tiles))
    if not draw and app.sample and "osd" not in report.file.groups:
        draw = [Step("draw", {"confidence": False, "trails": 0.0, "styles": models.styles})]
    if kind or app.sample:
        for sink in seen:
            if sink.source and not sink.single:
                why = "there are tiles only: DeepStream leaves this sink out, too (tiled-display)"
                report.section(sink.name).note("source-id", why)
        whole = outs([sink for sink in seen if not sink.source and not sink.single], draw)
        out |= {"tiles" if tiles else "all": [*tiles, *whole]} if whole else {}
        single = [sink for sink in seen if sink.single]
        if single and kind != 2:
            report.section(single[0].name).note("link-to-demux", "tiled-display enable=2 would show single streams")
        elif single:
            out |= branch(app, single, draw)
    else:
        out |= branch(app, seen, draw)
    return [Tee(out, side=True)] if out else []


def _loop(app: App) -> None:
    section = app.report.section("tests")
    if section.integer("file-loop", 0):
        for stream in app.plan.streams:
            if isinstance(stream.uri, str) and "://" not in stream.uri and stream.uri[:5] not in ("/dev/", "patte"):
                stream.options = {**stream.options, "loop": 0}
    section.ignore("a run is not torn down to be made again", "pipeline-recreate-sec")
