"""[dewarperN], [streammux], [segvisual], [replay], [ds-example]: what happens to pictures around the models."""

from __future__ import annotations

import os

from ...core.errors import ConfigError
from ...deepstream import Section, resolve
from ...imaging.nvdewarper import read_nvdewarper
from ..plan import Line
from .parts import MEMORY, App, At, step

NEW_MUX = "USE_NEW_NVSTREAMMUX"  # of the environment: yes takes DeepStream's new batcher
_METHODS = {0: "nearest", 1: "bilinear", 2: "cubic", 3: "area", 4: "lanczos", 5: "auto", 6: "auto"}


def dewarpers(app: App) -> Line:
    """[dewarperN]: the pictures of the Nth source, straightened."""
    line: Line = []
    for match, section in app.report.sections(r"dewarper(\d+)"):
        if not app.on(section):
            continue
        section.ignore(MEMORY, "gpu-id", "nvbuf-memory-type", "num-output-buffers")
        section.ignore("each surface is a stream of its own", "num-surfaces-per-frame")
        section.ignore("it chooses rows of calibration tables, which are not read", "source-id")
        most = section.integer("num-batch-buffers", None, least=1, most=4)
        path = app.file(section, "config-file")
        names = [stream.name for stream in app.plan.streams if _comes_from(stream.where, f"source{match[1]}")]
        if path is None:
            section.reject("config-file", "is missing: an nvdewarper file")
        elif not names:
            section.ignore(f"[source{match[1]}] is off", "enable", "config-file")
        else:
            line.append(step(section, "dewarp", {"config": path, "streams": names, "most": most},
                             {"config": "config-file", "most": "num-batch-buffers"}))  # fmt: skip
            app.surfaces |= dict.fromkeys(names, _surfaces(path, most))
    return line


def _comes_from(where: object, group: str) -> bool:
    return isinstance(where, At) and where.section.group.name == group


def _surfaces(path: str, most: int | None) -> int:
    try:
        return len(read_nvdewarper(path, most).surfaces) if os.path.isfile(path) else 1
    except ConfigError:  # it is told when the element is made
        return 1


def streammux(app: App) -> Line:
    """[streammux]: the one size that the old batcher brings all pictures to, or the batches of the new one."""
    section = app.report.section("streammux")
    new = os.environ.get(NEW_MUX) == "yes"
    width, height = section.integer("width", 0, least=0), section.integer("height", 0, least=0)
    padding = section.integer("enable-padding", 0)
    method = section.choice("interpolation-method", None, _METHODS)
    section.ignore("batches are made as the device takes them best", "batch-size", "buffer-pool-size")
    section.ignore("frames of files wait for each other, those of live streams do not", "batched-push-timeout",
                   "sync-inputs", "max-latency", "async-process", "sort-batch", "cache-buffer",
                   "cache-buffer-timeout", "sync-inputs-ntp", "align-first-buffer", "failsafe-flush-count",
                   "num-surfaces-per-frame", "frame-duration")  # fmt: skip
    section.ignore("each source says itself whether it is live", "live-source")
    section.ignore(MEMORY, "gpu-id", "nvbuf-memory-type", "compute-hw")
    section.ignore("frames carry the camera's own time where it sends one", "attach-sys-ts-as-ntp", "attach-sys-ts")
    section.ignore("frames are counted from the start of their stream", "frame-num-reset-on-eos",
                   "frame-num-reset-on-stream-reset")  # fmt: skip
    section.ignore("the run ends with its last stream", "drop-pipeline-eos")
    section.ignore("SEI with times is not read", "extract-sei-type5-data", "extract-sei-sim-time", "drop-backward-sei")
    if new:
        section.ignore(f"{NEW_MUX}=yes: the new batcher does not scale", "width", "height", "enable-padding",
                       "interpolation-method")  # fmt: skip
        return _batches(app, section)
    section.ignore(f"it configures the new batcher: {NEW_MUX}=yes takes that", "config-file-path")
    if not width or not height:
        return []
    settings = {"width": width, "height": height, "padding": "centre" if padding else None, "method": method}
    keys = {"width": "width", "height": "height", "padding": "enable-padding", "method": "interpolation-method"}
    return [step(section, "resize", settings, keys, "streammux")]


def _batches(app: App, section: Section) -> Line:
    path = section.path("config-file-path", None)
    if path is None:
        return []
    if not os.path.isfile(path):
        app.lack(section, "config-file-path", str(path), section.text("config-file-path", ""))
    return [step(section, "batch", {"config": str(path)}, {"config": "config-file-path"}, "streammux")]


def replay(app: App, section: Section) -> Line:
    """[replay]: objects out of files, in the place of the primary model."""
    if not app.on(section):
        return []
    folder, names = section.text("label-dir", "") or "", section.texts("file-names", ())
    path = str(resolve(folder, app.report.file.path)) if folder else ""
    if not names:
        section.reject("file-names", "is missing: files of labels, one for each stream")
        return []
    for name in names:
        if not os.path.isfile(os.path.join(path, name)):
            app.lack(section, "file-names", os.path.join(path, name), name)
    settings = {
        "path": path,
        "files": list(names),
        "frames": list(section.integers("max-frame-nums", ())) or None,
        "width": section.integer("label-width", 1920, least=1),
        "height": section.integer("label-height", 1080, least=1),
        "every": section.integer("interval", 0, least=0, most=32) + 1,
        "loop": True,
        "label": "Person",
    }
    keys = {"files": "file-names", "path": "label-dir", "frames": "max-frame-nums"}
    return [step(section, "labels", settings, keys)]


def segvisual(app: App, section: Section) -> Line:
    """[segvisual]: class maps in the place of pictures, or over them."""
    if not app.on(section):
        return []
    original = section.boolean("original-background", section.boolean("orig_background", False))
    settings = {
        "width": section.integer("width", 1280, least=16),
        "height": section.integer("height", 720, least=16),
        "alpha": section.number("alpha", None, least=0, most=1),
        "original": True if original else None,
    }
    section.ignore("each frame is drawn by itself", "batch-size")
    section.ignore(MEMORY, "gpu-id", "nvbuf-memory-type")
    return [step(section, "segview", settings, {key: key for key in ("width", "height", "alpha")})]


def example(app: App, section: Section) -> Line:
    """[ds-example]."""
    if not app.on(section):
        return []
    settings = {
        "full_frame": section.boolean("full-frame", False),
        "width": section.integer("processing-width", 640, least=1),
        "height": section.integer("processing-height", 480, least=1),
        "blur_objects": section.boolean("blur-objects", False),
        "unique_id": section.integer("unique-id", 15, least=0),
    }
    section.ignore("each frame is worked on by itself", "batch-size")
    section.ignore(MEMORY, "gpu-id", "nvbuf-memory-type")
    return [step(section, "dsexample", settings, {"width": "processing-width", "height": "processing-height"})]
