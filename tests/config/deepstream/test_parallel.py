"""The parallel application: each model sees its own streams, and what they find is joined."""

from __future__ import annotations

from config.deepstream.conftest import FRAMES, SOURCES

from millrace.config.deepstream import load_app
from millrace.summary import Run

FILE = """
[primary-gie0]
enable=1
gie-unique-id=1
config-file=primary.txt
[branch1]
pgie-id=1
src-ids=0
[primary-gie1]
enable=1
gie-unique-id=2
config-file=primary.txt
[branch0]
pgie-id=2
src-ids=0;1
[tracker0]
enable=1
cfg-file-path=own-tracker.yml
[secondary-gie0]
enable=1
cfg-file-path=own-second.yml
[meta-mux]
enable=1
config-file=metamux.txt
"""


def test_branches_are_joined(write, folder):
    (folder / "own-tracker.yml").write_text("tracker: {enable: 1, ll-config-file: tracker.yml}\n")
    (folder / "own-second.yml").write_text(
        "secondary-gie0: {enable: 1, gie-unique-id: 3, operate-on-gie-id: 2, config-file: secondary.txt}\n"
    )
    (folder / "metamux.txt").write_text(
        "[property]\nactive-pad=sink_0\n[group-0]\nsrc-ids-model-1=0;1\nsrc-ids-model-2=1\nsrc-ids-model-9=0\n"
    )
    app = load_app(write(SOURCES, FILE))
    assert app.missing == [] and app.report.warnings() == [] and app.remarks == []
    _, tee, join = app.plan.line
    first, second = tee.branches.values()
    assert [step.element for step in first] == ["only", "infer"] and join.element == "join"
    assert [step.element for step in second] == ["infer", "track", "infer"]
    summary = Run(app.plan).run()
    assert {name: each.frames_out for name, each in summary.streams.items()} == {"source0": FRAMES, "source1": FRAMES}
    assert summary.streams["source0"].objects == FRAMES  # the second model is kept of source1 only
    assert summary.streams["source1"].objects == FRAMES
