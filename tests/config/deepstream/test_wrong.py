"""Whatever stands in a file: it is read, or there is one ConfigError."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.config.deepstream.app import app_of
from millrace.core.errors import ConfigError
from millrace.deepstream.keyfile import parse_keyfile
from millrace.deepstream.yamlfile import parse_yamlfile

KEYS = {
    "application": ["enable-perf-measurement", "gie-kitti-output-dir", "perf-measurement-interval-sec"],
    "tiled-display": ["enable", "rows", "columns", "width", "show-source", "square-seq-grid"],
    "source0": ["enable", "type", "uri", "num-sources", "latency", "drop-frame-interval", "smart-record"],
    "source-list": ["num-source-bins", "list", "sensor-name-list"],
    "source-attr-all": ["enable", "latency"],
    "source": ["csv-file-path", "location"],
    "primary-gie": ["enable", "config-file", "interval", "gie-unique-id", "plugin-type", "bbox-border-color0"],
    "primary-gie1": ["enable", "config-file", "gie-unique-id"],
    "branch1": ["pgie-id", "src-ids"],
    "tracker1": ["enable", "cfg-file-path"],
    "secondary-gie0": ["enable", "config-file", "operate-on-gie-id", "operate-on-class-ids", "gie-unique-id"],
    "tracker": ["enable", "ll-config-file", "operate-on-class-ids", "tracking-id-reset-mode", "sub-batches"],
    "osd": ["enable", "border-width", "text-size", "show-clock"],
    "sink0": ["enable", "type", "codec", "bitrate", "output-file", "source-id", "link-to-demux", "container"],
    "sink1": ["enable", "type", "msg-broker-proto-lib", "msg-broker-conn-str", "topic", "msg-conv-payload-type"],
    "msgbroker": ["proto-lib", "conn-str"],
    "tests": ["file-loop"],
}
VALUES = st.one_of(
    st.sampled_from(
        ["0", "1", "2", "3", "4", "6", "-1", "99999999999", "file://a.mp4", "file://%d.mp4", "rtsp://x/%s", "a;b", ";",
         "0;1;2", "1;0;0;1", "libnvds_kafka_proto.so", "<host>;<port>", "h;1", "../..", ".", "/", "%"]
    ),
    st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12),
)  # fmt: skip
ENTRIES = st.lists(
    st.sampled_from([(group, key) for group, keys in KEYS.items() for key in keys]).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), st.just(pair[1]), VALUES)
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(ENTRIES, st.booleans())
def test_nothing_crashes(entries, application):
    lines = ["[application]"] if application else []
    for group, key, value in entries:
        lines += [f"[{group}]", "enable=1", f"{key}={value}"]
    try:
        app = app_of(parse_keyfile("\n".join(lines), "/nowhere/app.txt"))
    except ConfigError as error:
        assert "/nowhere/" in str(error)
    else:
        assert app.report.counts()["wrong"] == 0


@settings(max_examples=50, deadline=None)
@given(ENTRIES)
def test_nothing_crashes_in_yaml(entries):
    groups: dict[str, dict[str, str]] = {}
    for group, key, value in entries:
        groups.setdefault(group, {})[key] = value
    text = "\n".join(
        f"{group}:\n  enable: 1\n"
        + "\n".join(f"  {key}: '{value.replace(chr(39), '')}'" for key, value in keys.items())
        for group, keys in groups.items()
    )
    try:
        app_of(parse_yamlfile(text, "/nowhere/app.yml"))
    except ConfigError as error:
        assert "/nowhere/" in str(error)
