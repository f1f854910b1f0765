"""nvinfer's files as model cards: every rule by a small file of its own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.core.errors import ConfigError
from millrace.deepstream import Report
from millrace.deepstream.keyfile import parse_keyfile
from millrace.deepstream.yamlfile import parse_yamlfile
from millrace.models.card import ClassCard, ModelCard
from millrace.models.nvinfer import nvinfer_card

PRIMARY = """[property]
gpu-id=0
net-scale-factor=0.0039215697906911373
onnx-file=../models/traffic.onnx
model-engine-file=../models/traffic.onnx_b1_gpu0_fp16.engine
labelfile-path=labels.txt
batch-size=4
network-mode=2
num-detected-classes=4
interval=1
gie-unique-id=1
network-type=0
cluster-mode=2
offsets=1;2;3
maintain-aspect-ratio=1
filter-out-class-ids=1;2
[class-attrs-all]
pre-cluster-threshold=0.25
topk=20
nms-iou-threshold=0.5
detected-min-w=8
[class-attrs-0]
pre-cluster-threshold=0.4
border-color=0;1;0;1
"""


def read(text: str, name: str = "/c/infer.txt") -> tuple[ModelCard, Report]:
    return nvinfer_card(parse_keyfile("[property]\n" + text if not text.startswith("[") else text, name))


def why(report: Report, key: str) -> str:
    return next(f"{finding.status}: {finding.why}" for finding in report.findings() if finding.key == key)


def test_a_primary_detector():
    card, report = read(PRIMARY)
    assert (card.kind, card.id, card.batch, card.every, card.model) == ("detector", 1, 4, 2, "/models/traffic.onnx")
    assert (card.labels, card.classes, card.drop, card.objects) == ("/c/labels.txt", [0, 1, 2, 3], [1, 2], None)
    assert (card.clustering, card.confidence, card.iou) == ("nms", 0.25, 0.5)
    assert card.every_class == ClassCard(top_k=20, min_width=8)
    assert card.by_class == {0: ClassCard(confidence=0.4, border=(0, 1, 0, 1))}
    assert card.rule(0, "car").confidence == 0.4 and card.rule(1, "bike").top_k == 20
    spec = card.input
    assert (spec.colour, spec.fit, spec.pad, spec.scale) == ("RGB", "letterbox-top-left", 0, 0.0039215697906911373)
    assert spec.mean == tuple(mean * spec.scale for mean in (1, 2, 3))  # f * (x - mean)
    assert report.counts()["unknown"] == 0
    assert why(report, "gpu-id").startswith("ignored: the setting `device`")
    assert why(report, "model-engine-file").endswith("traffic.onnx is taken")


def test_what_is_not_said_is_as_in_the_reference():
    card, _ = read("onnx-file=m.onnx\n")
    assert (card.kind, card.batch, card.every, card.id, card.objects) == ("detector", 1, 1, None, None)
    assert (card.clustering, card.confidence, card.iou, card.every_class.top_k) == ("nms", 0.2, 0.5, 20)
    assert (card.input.scale, card.input.mean, card.input.fit, card.input.colour) == (1.0, 0, "stretch", "RGB")
    assert (card.tensors, card.prepared, card.classes) == (False, False, None)
    card, _ = read("cluster-mode=2\n")
    assert (card.clustering, card.iou, card.every_class.top_k) == ("nms", 0.3, None)


def test_the_same_in_yaml():
    text = "property:\n  onnx-file: m.onnx\n  offsets: 1;2;3\n  network-type: 1\n  classifier-threshold: 0.5\n"
    card, report = nvinfer_card(parse_yamlfile(text + "  is-classifier: 0\n", "/c/i.yml"))
    assert (card.kind, card.confidence, card.input.mean, card.model) == ("classifier", 0.5, (1, 2, 3), "/c/m.onnx")
    assert why(report, "is-classifier").startswith("ignored: DeepStream's YAML files have no such key")
    text = "property:\n  cluster-mode: 2\nclass-attrs-all:\n  threshold: 0.7\n"
    assert nvinfer_card(parse_yamlfile(text, "/c/i.yml"))[0].confidence == 0.2


def test_a_secondary_classifier():
    card, report = read(
        "[property]\nprocess-mode=2\nnetwork-type=1\noperate-on-gie-id=1\noperate-on-class-ids=0;2\n"
        "classifier-threshold=0.51\ninput-object-min-width=64\ninput-object-max-height=200\n"
        "secondary-reinfer-interval=30\nclassifier-type=color\nclassifier-async-mode=1\noutput-tensor-meta=1\n"
        "cluster-mode=2\n[class-attrs-all]\ntopk=3\n"
    )
    objects = card.objects
    assert (objects.stage, objects.classes, objects.min_width, objects.min_height) == (1, [0, 2], 64, 1)
    assert (objects.max_width, objects.max_height, objects.refresh, objects.wait) == (None, 200, 31, False)
    assert (card.kind, card.confidence, card.attribute, card.tensors) == ("classifier", 0.51, "color", False)
    assert why(report, "output-tensor-meta").startswith("ignored: classifier-async-mode")
    assert why(report, "topk") == why(report, "cluster-mode") == "ignored: the model is no detector (classifier)"


def test_when_a_second_model_looks_again():
    assert read("process-mode=2\nnetwork-type=1\n")[0].objects.refresh is None  # once, and when it has grown
    assert read("process-mode=2\nnetwork-type=1\n")[0].objects.growth == 1.2
    assert read("process-mode=2\nnetwork-type=0\n")[0].objects.refresh is None  # a detector: in every frame
    assert read("process-mode=2\nnetwork-type=0\nsecondary-reinfer-interval=9\n")[0].objects.refresh == 10


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ("is-classifier=1", "classifier"),
        ("is-classifier=0", "detector"),
        ("is-classifier=0\nnetwork-type=1", "classifier"),
        ("network-type=2", "segmentation"),
        ("network-type=3 ## 3 is for instance segmentation network", "instances"),
        ("network-type=100", "raw"),
    ],
)
def test_kinds_of_networks(keys, kind):
    assert read(keys + "\n")[0].kind == kind


@pytest.mark.parametrize(
    ("keys", "clustering"),
    [
        ("cluster-mode=1", "dbscan"),
        ("cluster-mode=3", "hybrid"),
        ("cluster-mode=4", "none"),
        ("enable-dbscan=1", "dbscan"),
        ("enable-dbscan=1\ncluster-mode=2", "nms"),
        ("cluster-mode=0", "nms"),
    ],
)
def test_ways_of_clustering(keys, clustering):
    assert read(keys + "\n")[0].clustering == clustering


def test_parameters_that_the_clustering_does_not_use_are_told():
    attrs = "[class-attrs-all]\neps=0.2\nminBoxes=3\ngroup-threshold=1\nnms-iou-threshold=0.4\ndbscan-min-score=0.7\n"
    card, report = read("[property]\ncluster-mode=1\n" + attrs)
    assert card.every_class == ClassCard(eps=0.2, min_boxes=3, min_score=0.7)
    assert (
        why(report, "group-threshold") == why(report, "nms-iou-threshold") == "ignored: boxes are clustered by dbscan"
    )
    card, report = read("[property]\ncluster-mode=0\n" + attrs)
    assert (card.iou, card.every_class) == (0.5, ClassCard(top_k=20))
    assert why(report, "eps").startswith("ignored: without a cluster-mode DeepStream takes NMS")
    assert read("[property]\ncluster-mode=2\n[class-attrs-all]\nthreshold=0.6\n")[0].confidence == 0.6


def test_pictures_and_their_size():
    card, report = read(
        "model-color-format=2\ninfer-dims=1;480;640 # channels first\noffsets=0.5\nnet-scale-factor=2\n"
        "symmetric-padding=1\nmaintain-aspect-ratio=1\nnetwork-input-order=1\nscaling-filter=1\ninput-dims=3;1;1;0\n"
    )
    spec = card.input
    assert (spec.width, spec.height, spec.colour, spec.fit, spec.layout) == (640, 480, "GRAY", "letterbox", "NHWC")
    assert (spec.mean, spec.antialias) == ((1.0,), None)
    assert why(report, "input-dims") == "ignored: infer-dims counts"
    assert read("input-dims=3;544;960;0\n")[0].input.width == 960
    assert read("net-scale-factor=0\n")[0].input.scale == 1.0
    card, report = read("mean-file=m.ppm\noffsets=1;2;3\n")
    assert (card.input.mean_file, card.input.mean) == ("/c/m.ppm", 0)


def test_functions_become_parsers():
    card, report = read("parse-bbox-func-name=NvDsInferParseYolo\ncustom-lib-path=x.so\n")
    assert card.parser == "end2end" and why(report, "parse-bbox-func-name") == "applied: parser end2end"
    card, report = read("parse-bbox-func-name=MyOwn\n")
    assert card.parser is None and why(report, "parse-bbox-func-name").startswith("ignored: MyOwn is not built in")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[class-attrs-all]\ntopk=1\n", "[property]: the group [property] is missing"),
        ("batch-size=0\n", "f:2: [property] batch-size: '0' is out of range: at least 1 and at most 1024"),
        ("network-type=7\n", "f:2: [property] network-type: '7' is not one of 0 (detector), 1 (classifier)"),
        ("offsets=1;2\n", "f:2: [property] offsets: has 2 numbers, and the input 3 channels (RGB)"),
        ("net-scale-factor=0.5 # half\n", "a comment needs a line of its own"),
        ("infer-dims=3;4\n", "f:2: [property] infer-dims: is not c;h;w"),
        ("gie-unique-id=0\n", "out of range"),
        ("maintain-aspect-ratio=TRUE\n", "is neither 0 nor 1"),
        ("[property]\nnum-detected-classes=2\n[class-attrs-2]\ntopk=1\n", "there are 2 classes, 0 to 1"),
        ("[property]\n[class-attrs-all]\nborder-color=1;0\n", "is not four numbers of 0..1"),
        ("[property]\ncluster-mode=2\n[class-attrs-0]\nnms-iou-threshold=2\n", "at least 0 and at most 1"),
    ],
)
def test_wrong_values_have_a_line(text, said):
    with pytest.raises(ConfigError) as error:
        read(text, "f")
    assert said in str(error.value)


def test_all_mistakes_come_at_once():
    with pytest.raises(ConfigError) as error:
        read("batch-size=x\ninterval=-1\n", "f")
    assert [line.split(": ")[0] for line in str(error.value).splitlines()] == ["f:2", "f:3"]


def test_a_misspelt_key_is_unknown():
    _, report = read("process_mode=2\n", "f")
    assert report.warnings() == ["f:2: [property] process_mode: unknown: Did you mean 'process-mode'?"]


KEYS = st.sampled_from(
    ["batch-size", "network-type", "offsets", "infer-dims", "cluster-mode", "process-mode", "interval", "onnx-file",
     "operate-on-class-ids", "model-color-format", "net-scale-factor", "labelfile-path", "tlt-encoded-model"]
)  # fmt: skip
VALUES = st.one_of(st.text(alphabet="0123;.-x \\ae/", max_size=8), st.integers(-3, 2000).map(str))


@settings(max_examples=300, deadline=None)
@given(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=6), attrs=st.lists(st.tuples(KEYS, VALUES), max_size=2))
def test_any_values_give_a_card_or_an_error_with_a_line(pairs, attrs):
    text = "[property]\n" + "".join(f"{key}={value}\n" for key, value in pairs)
    text += "[class-attrs-all]\n" + "".join(f"{key}={value}\n" for key, value in attrs)
    try:
        card, report = nvinfer_card(parse_keyfile(text, "f"))
    except ConfigError as error:
        assert str(error).startswith("f:")
    else:
        assert sum(report.counts().values()) == len(pairs) + len(attrs) and card.batch >= 1
