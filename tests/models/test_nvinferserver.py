"""nvinferserver's files as model cards."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.core.errors import ConfigError
from millrace.deepstream import Report
from millrace.deepstream.textfile import parse_textfile
from millrace.models.card import ClassCard, ModelCard
from millrace.models.nvinferserver import nvinferserver_card

DETECTOR = """
infer_config {
  unique_id: 5 gpu_ids: [0] max_batch_size: 8
  backend {
    inputs: [ { name: "input_1:0" } ]
    outputs: [ {name: "bbox"}, {name: "cov" max_buffer_bytes: 100} ]
    triton { model_name: "people" version: -1 grpc { url: "10.0.0.1:8001" enable_cuda_buffer_sharing: true } }
    output_mem_type: MEMORY_TYPE_CPU
  }
  preprocess {
    network_format: IMAGE_FORMAT_BGR
    tensor_order: TENSOR_ORDER_NHWC
    maintain_aspect_ratio: 1
    symmetric_padding: 1
    frame_scaling_filter: 1
    normalize { scale_factor: 0.5 channel_offsets: [1, 2, 3] }
  }
  postprocess {
    labelfile_path: "labels.txt"
    detection {
      num_detected_classes: 3
      custom_parse_bbox_func: "NvDsInferParseCustomTfSSD"
      per_class_params { key: 0 value { pre_threshold: 0.4 } }
      per_class_params [ { key: 2, value: { pre_threshold: 0.1 } } ]
      nms { confidence_threshold: 0.2 topk: 20 iou_threshold: 0.5 }
    }
  }
  custom_lib { path: "x.so" }
  extra { output_buffer_pool_size: 2 }
}
input_control { process_mode: PROCESS_MODE_FULL_FRAME interval: 3 operate_on_gie_id: -1 }
output_control {
  output_tensor_meta: true
  detect_control {
    default_filter { bbox_filter { min_width: 8 max_height: 90 } roi_top_offset: 5 border_color { r: 1 a: 0.5 } }
    specific_class_filters: { key: 0 value { roi_bottom_offset: 7 } }
    filter_out_class_ids: [1]
  }
}
"""
MODEL = 'backend { triton { model_name: "m" model_repo { root: "repo" } } }\n'


def read(text: str, name: str = "/c/i.txt") -> tuple[ModelCard, Report]:
    return nvinferserver_card(parse_textfile(text, name))


def test_a_detector_on_a_server():
    card, report = read(DETECTOR)
    assert (card.kind, card.id, card.batch, card.every, card.model) == (
        "detector", 5, 8, 4, "grpc://10.0.0.1:8001/people",
    )  # fmt: skip
    assert (card.outputs, card.parser, card.labels, card.classes) == (
        ["bbox", "cov"], "tf_ssd", "/c/labels.txt", [0, 1, 2],
    )  # fmt: skip
    spec = card.input
    assert (spec.name, spec.colour, spec.layout, spec.fit, spec.antialias) == (
        "input_1:0", "BGR", "NHWC", "letterbox", None,
    )  # fmt: skip
    assert (spec.scale, spec.mean) == (0.5, (0.5, 1.0, 1.5))
    assert (card.clustering, card.confidence, card.iou, card.tensors, card.drop) == ("nms", 0.2, 0.5, True, [1])
    assert card.every_class == ClassCard(top_k=20, min_width=8, max_height=90, top_offset=5, border=(1, 0, 0, 0.5))
    assert card.by_class == {0: ClassCard(confidence=0.4, bottom_offset=7), 2: ClassCard(confidence=0.2)}
    assert card.objects is None
    assert set(report.counts()) == {"applied", "ignored"}


def test_a_classifier_of_objects():
    card, _ = read(
        "infer_config { unique_id: 2 "
        + MODEL
        + 'postprocess { classification { threshold: 0.51 } labelfile_path: "l" }'
        "} input_control { process_mode: PROCESS_MODE_CLIP_OBJECTS operate_on_gie_id: 1 operate_on_class_ids: [0, 2]"
        " secondary_reinfer_interval: 20 async_mode: true object_control { bbox_filter { min_width: 64 } } }"
        ' output_control { classifier_type: "make" }'
    )
    objects = card.objects
    assert (card.kind, card.confidence, card.attribute, card.batch) == ("classifier", 0.51, "make", 1)
    assert (objects.stage, objects.classes, objects.min_width, objects.refresh) == (1, [0, 2], 64, 21)
    assert objects.wait is False


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("dbscan { pre_threshold: 0.3 eps: 0.2 min_boxes: 3 min_score: 0.7 }",
         ("dbscan", 0.3, ClassCard(eps=0.2, min_boxes=3, min_score=0.7))),
        ("group_rectangle { confidence_threshold: 0.1 group_threshold: 2 eps: 0.4 }",
         ("groups", 0.1, ClassCard(group_size=2, eps=0.4))),
        ("simple_cluster { threshold: 0.6 }", ("none", 0.6, ClassCard())),
        ("", ("none", 0.0, ClassCard())),
    ],
)  # fmt: skip
def test_ways_of_clustering(policy, expected):
    card, _ = read("infer_config { " + MODEL + "postprocess { detection { " + policy + " } } }")
    assert (card.clustering, card.confidence, card.every_class) == expected


def test_other_kinds():
    segmentation = "segmentation { threshold: 0.5 num_segmentation_classes: 19 }"
    card, _ = read("infer_config { " + MODEL + "postprocess { " + segmentation + " } }")
    assert (card.kind, card.mask_threshold, card.confidence) == ("segmentation", 0.5, 0.5)
    card, _ = read("infer_config { input_tensor_from_meta { } " + MODEL + "postprocess { other { } } }")
    assert (card.kind, card.prepared, card.input.colour) == ("raw", True, None)


def test_model_repositories(tmp_path):
    text = 'infer_config { backend { triton { model_name: "m" version: %d model_repo { root: "repo" } } } }'
    place = str(tmp_path / "c.txt")
    assert read(text % -1, place)[0].model == str(tmp_path / "repo/m/1/model.onnx")
    for version in (2, 10):
        (tmp_path / f"repo/m/{version}").mkdir(parents=True)
        (tmp_path / f"repo/m/{version}/model.plan").touch()
    assert read(text % -1, place)[0].model == str(tmp_path / "repo/m/10/model.plan")
    assert read(text % 2, place)[0].model == str(tmp_path / "repo/m/2/model.plan")
    server = 'infer_config { backend { triton { model_name: "m" version: 3 grpc { url: "h:8001" } } } }'
    assert read(server)[0].model == "grpc://h:8001/m/3"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("input_control { }", "f:1: [infer_config]: the message infer_config is missing"),
        ("infer_config { unique_id: -1 " + MODEL + "}", "unique_id: '-1' is out of range"),
        ("infer_config {\n" + MODEL + " preprocess { network_format: IMAGE_FORMAT_RBG } }", "mean 'IMAGE_FORMAT_RGB'?"),
        ("infer_config {\n" + MODEL + " postprocess { labelfile_path: labels } }", "is not a text in quotes"),
        ("infer_config { backend { triton { model_name: 'm' } } }", "neither model_repo with its root nor grpc"),
        ("infer_config { }", "[infer_config.backend] triton: is missing"),
        ("infer_config { " + MODEL + " lstm { loops { input: 'a' output: 'b' } } }", "fed its own outputs"),
        ("infer_config { " + MODEL + " preprocess { normalize { channel_offsets: [1, x, 3] } } }", "is not a number"),
    ],
)  # fmt: skip
def test_wrong_values_have_a_line(text, said):
    with pytest.raises(ConfigError) as error:
        read(text, "f")
    assert said in str(error.value) and str(error.value).startswith("f:")


def test_a_misspelt_field_is_unknown():
    _, report = read("infer_config {\n unique_idd: 1 " + MODEL + "}", "f")
    assert report.warnings() == ["f:2: [infer_config] unique_idd: unknown: Did you mean 'unique_id'?"]


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(
        st.sampled_from(["-1", "0", "0.5", "x", '"a"', "[1, 2]", "{ }", "true", "1e99"]), min_size=4, max_size=4
    )
)
def test_any_values_give_a_card_or_an_error_with_a_line(values):
    text = (
        "infer_config { unique_id: %s max_batch_size: %s "
        + MODEL
        + "postprocess { labelfile_path: %s detection { nms {"
        " topk: %s } } } }"
    ) % tuple(values)
    try:
        card, _ = read(text, "f")
    except ConfigError as error:
        assert str(error).startswith("f:")
    else:
        assert card.kind == "detector"
