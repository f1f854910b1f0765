"""Model cards: a YAML file beside a model that says what its file cannot."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Ge, Gt, Interval

from ..core.errors import ConfigError, did_you_mean
from ..media.tensor import Colour, Fit, Layout
from .labels import Labels, read_heads, read_labels

SUFFIXES = (".yaml", ".yml")

Share = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Ge(0)]
AtLeastOne = Annotated[int, Ge(1)]
Pixels = Annotated[float, Ge(0)]
Shade = tuple[Share, Share, Share, Share]  # red, green, blue, alpha
Kind = Literal[
    "detector", "classifier", "segmentation", "instances", "keypoints", "oriented", "embedding", "text", "depth", "raw"
]
Clustering = Literal["nms", "groups", "dbscan", "hybrid", "none"]


def key(help: str, default: Any = None, *, factory: Any = None) -> Any:
    """A key of a card and what it means; the page docs/model-card.md is made of these."""
    if factory is not None:
        return field(default_factory=factory, metadata={"help": help})
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True, kw_only=True)
class InputCard:
    """How the model wants its input: value = (pixel * scale - mean) / std. What is not said is left to recognition."""

    name: str | None = key("the input tensor that takes the picture, where there are several")
    width: AtLeastOne | None = key("of the input, pixels, where the model leaves it open")
    height: AtLeastOne | None = key("of the input, pixels, where the model leaves it open")
    colour: Colour | None = key("the order of the channels; GRAY for one")
    layout: Layout | None = key("the order of the dimensions")
    fit: Fit | None = key("how a picture of another shape fills it: letterbox keeps the aspect, centred")
    pad: Annotated[int, Interval(ge=0, le=255)] | None = key("grey level of the border, before scale and mean")
    scale: float | None = key("pixels of 0..255 are multiplied by it")
    mean: tuple[float, ...] | float | None = key("subtracted after scaling, in the order of `colour`; one for all")
    std: tuple[float, ...] | float | None = key("divided by after the mean, in the order of `colour`; one for all")
    mean_file: str | None = key("a picture (PPM) of the input's size, subtracted before scaling, in place of `mean`")
    dtype: Literal["float32", "float16", "uint8", "int8"] | None = key("the type of the input's numbers")
    antialias: bool | None = key("average over what a pixel covers when a picture is made smaller")

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def known(self) -> dict[str, Any]:
        """The fields of InputSpec that the card sets; one number for mean or std stands for all channels."""
        names = (name for name in self.__slots__ if name not in ("name", "mean_file"))
        found = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        for name in ("mean", "std"):
            if isinstance(found.get(name), (int, float)):
                found[name] = (float(found[name]),) * (1 if self.colour == "GRAY" else 3)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCard:
    """Which objects of a class count: what is not said is as for every class. Sizes are pixels of the source frame."""

    confidence: Share | None = key("drop what is less sure, before overlapping boxes are brought together")
    confidence_after: Share | None = key("drop what is no surer than this, after they were brought together")
    iou: Share | None = key("nms, hybrid: overlap above which the lesser box goes")
    top_k: Count | None = key("most objects of the class in a picture, the surest")
    eps: Pixels | None = key("dbscan, hybrid: reach of a box to its neighbours; groups: how alike boxes are")
    min_boxes: Count | None = key("dbscan, hybrid: fewest boxes of a cluster; 0: the class is not clustered")
    min_score: Pixels | None = key("dbscan, hybrid: least sum of the confidences of a cluster")
    group_size: Count | None = key("groups: a group needs more boxes than this; 0: the class is not grouped")
    min_width: Pixels | None = key("drop objects that are narrower")
    min_height: Pixels | None = key("drop objects that are lower")
    max_width: Pixels | None = key("drop objects that are wider; 0: any")
    max_height: Pixels | None = key("drop objects that are higher; 0: any")
    top_offset: Pixels | None = key("height of a band along the upper edge of the frame where objects do not count")
    bottom_offset: Pixels | None = key("height of such a band along the lower edge")
    border: Shade | None = key("colour of the drawn box: red, green, blue, alpha of 0..1")
    fill: Shade | None = key("colour that fills the drawn box")

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def over(self, other: ClassCard) -> ClassCard:
        """This, with what it does not say taken from the other."""
        return replace(other, **{name: v for name in self.__slots__ if (v := getattr(self, name)) is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsCard:
    """Which objects of the frame a second model looks at, and when it looks again. Sizes are source pixels."""

    stage: str | int | None = key("only objects of this model: its stage's name, or the `id` of its card; else all")
    classes: list[str | int] | None = key("only objects of these classes")
    min_width: Pixels = key("pass over objects that are narrower", 0)
    min_height: Pixels = key("pass over objects that are lower", 0)
    max_width: Pixels | None = key("pass over objects that are wider")
    max_height: Pixels | None = key("pass over objects that are higher")
    refresh: AtLeastOne | None = key("frames after which a tracked object is looked at again; else once")
    growth: Annotated[float, Gt(1)] | None = key("look again once its area has grown by this factor", 1.2)
    wait: bool = key("false: frames go on at once, and an answer is attached to the object's later frames", True)

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of a model. It overrides what recognition finds; an element's settings override it."""

    model: str | None = key("the model's file, relative to the card, or `grpc://host:port/name` of a server")
    description: str = key("what it finds, in a sentence", "")
    licence: str = key("of the weights", "")
    id: Count | None = key("its number, by which cards of second models may name it")
    kind: Kind | None = key("what the model is; else recognised with the parser")
    parser: str | None = key("how its outputs are read, by name; `module:function` or a .py path for your own")
    input: InputCard = key("how it wants its input", factory=InputCard)
    outputs: list[str] | None = key("the output tensors that the parser is given, in this order; else all")
    output_layout: Layout | None = key("segmentation: where the classes stand in the output")
    runtime: str | None = key("what runs it: auto, onnx, openvino, torch, tensorrt, tflite, triton")
    options: dict[str, Any] = key("settings of its runtime", factory=dict)
    batch: AtLeastOne | None = key("most pictures of one call")
    every: AtLeastOne | None = key("infer every Nth frame of a stream; the others pass")
    objects: ObjectsCard | None = key("on which objects it works; without it, on whole frames")
    prepared: bool = key("it takes the tensors that a `preprocess` element made", False)

    labels: list[str] | list[list[str]] | dict[int, str] | str | None = key(
        "class names: a list, a mapping, or a text file with one a line; of a classifier with several heads a list "
        "of lists, or a file with a line `a;b;c` for each head"
    )
    attribute: str | list[str] | None = key("classifier: what it tells (colour, type), one for each head")
    classes: list[str | int] | None = key("keep only these classes, by name or id")
    drop: list[str | int] | None = key("drop these classes, by name or id")
    background: int | None = key("the class that means: nothing")
    confidence: Share | None = key("drop what is less sure; of a classifier, tell nothing that is less sure")
    mask_threshold: Share | None = key("segmentation and masks: probability above which a pixel belongs")
    masks: bool = key("keep the masks of instance segmentation", True)
    tensors: bool = key("keep the raw outputs beside what was read from them", False)

    clustering: Clustering | None = key("how overlapping boxes are brought together; else as the parser needs")
    iou: Share | None = key("nms: overlap above which the lesser box goes")
    top_k: AtLeastOne | None = key("most objects of a picture")
    class_agnostic: bool | None = key("nms over all classes at once")
    thresholds: dict[str | int, Share] = key("confidence by label or class id, above `confidence`", factory=dict)
    every_class: ClassCard = key("which objects count, for every class", factory=ClassCard)
    by_class: dict[str | int, ClassCard] = key("the same for single classes, by label or id", factory=dict)
    crop_to_offsets: bool = key(
        "cut objects at the bands of the offsets; false: drop those that reach into them", False
    )

    extras: dict[str, Any] = key("keys for the parser", factory=dict)
    source: str | None = None  # the card's own path
    theirs: bool = False  # a file of DeepStream, whose labels and outputs need not be those of the model
    no_model: str = ""  # why such a file names no model that can be used
    warnings: tuple[str, ...] = ()  # on keys of such a file that nobody knows

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def names(self) -> Labels | None:
        """The class names that the card gives, None when it gives none; of several heads, those of the first."""
        if isinstance(self.labels, str) and self.theirs:  # nvinfer: the first of each line that is not empty
            lines = [name for name in read_labels(self.near(self.labels)).values() if name]
            return {number: line.partition(";")[0] for number, line in enumerate(lines)}
        if isinstance(self.labels, str):
            return read_labels(self.near(self.labels))
        if isinstance(self.labels, list):
            heads = self.heads()
            return dict(enumerate(heads[0])) if heads else {}
        return self.labels

    def heads(self) -> list[list[str]]:
        """The class names of each head of a classifier; empty when the card gives none. Raises ConfigError."""
        if isinstance(self.labels, str):
            return read_heads(self.near(self.labels))
        if isinstance(self.labels, dict):
            return [[self.labels.get(number, "") for number in range(max(self.labels, default=-1) + 1)]]
        labels = self.labels or []
        lists = [part for part in labels if isinstance(part, list)]
        return lists or ([[str(name) for name in labels]] if labels else [])

    def rule(self, class_id: int, label: str) -> ClassCard:
        """What holds for one class: `by_class`, then `every_class`, then `confidence` and `iou` of the card."""
        own = self.by_class.get(label) or self.by_class.get(class_id) or ClassCard()
        rule = own.over(self.every_class).over(ClassCard(confidence=self.confidence, iou=self.iou))
        least = self.thresholds.get(label, self.thresholds.get(class_id))
        return rule if least is None else replace(rule, confidence=max(least, rule.confidence or 0.0))

    def near(self, name: str) -> Path:
        """A path that the card names, relative to the card."""
        return Path(self.source or ".").parent / name


INNER: dict[str, type[InputCard | ObjectsCard | ClassCard]] = {
    "input": InputCard, "objects": ObjectsCard, "every_class": ClassCard, "by_class": ClassCard,
}  # fmt: skip


Part = TypeVar("Part", InputCard, ObjectsCard)


def read_part(kind: type[Part], values: Mapping[str, Any], where: str) -> Part:
    """A part of a card that a setting gives, checked. Raises ConfigError that begins with `where`."""
    from pydantic import TypeAdapter, ValidationError

    known = [one.name for one in fields(kind) if "help" in one.metadata]
    for name in values:
        if name not in known:
            hint = did_you_mean(str(name), known) or f" There are: {', '.join(known)}"
            raise ConfigError(f"{where}.{name} is not known.{hint}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = str(problem["loc"][0])
        raise ConfigError(f"{where}.{key}={values[key]!r} is not allowed: {problem['msg']}") from None


def find_card(model: str | os.PathLike[str]) -> Path | None:
    """The card beside a model: the same name with .yaml or .yml."""
    return next((card for suffix in SUFFIXES if os.path.isfile(card := Path(model).with_suffix(suffix))), None)


def read_card(path: str | os.PathLike[str]) -> ModelCard:
    """Read and check a card. Raises ConfigError with file and line for what is not understood."""
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the model card {path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from error
    except RecursionError:
        raise ConfigError(f"{path}: not YAML: nested too deeply") from None
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: a model card is a mapping of keys, such as `parser: yolox`")
    return _checked({**values, "source": os.fspath(path)}, tree, path)


def _checked(values: dict[str, Any], tree: Any, path: str | os.PathLike[str]) -> ModelCard:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(ModelCard).validate_python(values)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False):
            keys = [key for key in problem["loc"] if not _branch(key)]
            where = f"{path}:{_line(tree, keys)}: {'.'.join(map(str, keys))}"
            problems.append(f"{where}: {_sentence(problem['type'], problem['msg'], keys)}")
        raise ConfigError("\n".join(dict.fromkeys(problems))) from None


def _branch(key: int | str) -> bool:
    """Whether a step of pydantic's path names a branch of a union, not a key of ours."""
    return isinstance(key, str) and (key in ("str", "int", "float") or "[" in key)


def _sentence(kind: str, message: str, keys: Sequence[int | str]) -> str:
    if kind not in ("unexpected_keyword_argument", "extra_forbidden"):
        return message
    card = INNER.get(str(keys[0]), ModelCard) if len(keys) > 1 else ModelCard
    known = [one.name for one in fields(card) if "help" in one.metadata]
    return "unknown key." + (did_you_mean(str(keys[-1]), known) or f" There are: {', '.join(known)}")


def _line(tree: Any, keys: Sequence[int | str]) -> int:
    """The line of a key in the parsed tree, or of the last one on the way that is there."""
    line = 1
    for key in keys:
        pairs = getattr(tree, "value", None)
        if isinstance(key, int) and isinstance(pairs, list) and key < len(pairs) and not isinstance(pairs[key], tuple):
            tree = pairs[key]
            line = tree.start_mark.line + 1
            continue
        pair = next((p for p in pairs or () if isinstance(p, tuple) and p[0].value == str(key)), None)
        if pair is None:
            break
        line, tree = pair[0].start_mark.line + 1, pair[1]
    return line
