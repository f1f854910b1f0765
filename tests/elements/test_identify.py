"""Who is it: a gallery of photos made here, of colours that a small model tells apart."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from millrace.core import ConfigError, Context
from millrace.elements.identify import Identify
from millrace.elements.infer import Infer
from millrace.media import Frame, Image, Object, box
from millrace.testing.models import make_detector, make_shade_model, make_vector_model

COLOURS = {"anna": (20, 20, 230), "bert": (20, 230, 20), "carl": (230, 20, 20)}


@pytest.fixture
def folder(tmp_path):
    people = tmp_path / "people"
    people.mkdir()
    for name in ("anna", "bert"):
        photo(people / f"{name}.png", COLOURS[name])
    return people


def photo(path, colour, size=(40, 30)):
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), colour, np.uint8))


@pytest.fixture
def model(tmp_path):
    (tmp_path / "v.yaml").write_text("kind: embedding\ninput: {scale: 0.00392156862745098, mean: 0, std: 1}\n")
    return make_vector_model(tmp_path / "v.onnx")


@pytest.fixture
def opened():
    elements = []

    def make(**settings):
        element = Identify(**settings)
        elements.append(element)
        warned = []
        element.open(Context("identify", warn=lambda message, stream: warned.append(message)))
        element.warned = warned
        return element

    yield make
    for element in elements:
        element.close()


def scene(people, index=0, ids=None):
    """A frame with a patch of each person's colour, and an object for each."""
    pixels = np.full((60, 50 * len(people), 3), 128, np.uint8)
    frame = Frame("a", index, index, Image("BGR", [pixels], pixels.shape[1], 60))
    for n, name in enumerate(people):
        pixels[10:50, 50 * n + 5 : 50 * n + 45] = COLOURS[name]
        number = None if ids is None else ids[n]
        frame.objects.append(Object(box([50 * n + 5, 10, 50 * n + 45, 50]), 0, "person", 0.9, number))
    return frame


@pytest.fixture
def vectors(model):
    element = Infer(model=model, on={})
    element.open(Context("infer"))

    def give(frame):
        assert [*element.process(frame), *element.flush("a")] == [frame]
        return frame

    yield give
    element.close()


def names(frame):
    return [[label.value for label in o.labels if label.name == "name"] for o in frame.objects]


def test_the_known_get_their_names_and_strangers_are_unknown(opened, vectors, folder, model):
    element = opened(gallery=str(folder), model=model)
    frame = vectors(scene(["bert", "anna", "carl"]))
    element.process_frame(frame)
    assert names(frame) == [["bert"], ["anna"], ["unknown"]]
    assert frame.objects[0].labels[0].confidence > 0.99 > 0.5 > frame.objects[2].labels[0].confidence


def test_strangers_may_stay_without_a_label(opened, vectors, folder, model):
    frame = vectors(scene(["carl"]))
    opened(gallery=str(folder), model=model, unknown="").process_frame(frame)
    assert names(frame) == [[]]


def test_several_photos_of_one_person_and_folders(opened, vectors, folder, model):
    photo(folder / "anna-2.png", COLOURS["carl"])
    photo(folder / "dora" / "x.png", (128, 230, 128))
    element = opened(gallery=str(folder), model=model)
    assert sorted(element.known.names) == ["anna", "anna", "bert", "dora"]
    frame = vectors(scene(["carl", "anna"]))
    element.process_frame(frame)
    assert names(frame) == [["anna"], ["anna"]]


def test_a_new_photo_counts_while_running(opened, vectors, folder, model):
    element = opened(gallery=str(folder), model=model, reload=0.01)
    frame = vectors(scene(["carl"]))
    element.process_frame(frame)
    assert names(frame) == [["unknown"]]
    (folder / "anna.png").unlink()  # before: who sees the new one sees that this one is gone
    photo(folder / "carl.png", COLOURS["carl"])
    end = time.monotonic() + 20
    while "carl" not in element.known.names and time.monotonic() < end:
        time.sleep(0.02)
        element.process_frame(vectors(scene(["carl"])))
    frame = vectors(scene(["carl", "anna", "bert"]))
    element.process_frame(frame)
    assert names(frame) == [["carl"], ["unknown"], ["bert"]]


def test_a_folder_that_goes_away_changes_nothing(opened, vectors, folder, model):
    element = opened(gallery=str(folder), model=model, reload=0.01)
    folder.rename(folder.with_name("gone"))
    end = time.monotonic() + 20
    while not element.warned and time.monotonic() < end:
        time.sleep(0.02)
        element.process_frame(scene([]))
    assert "the gallery stays as it was: there is no folder" in element.warned[0]
    frame = vectors(scene(["bert"]))
    element.process_frame(frame)
    assert names(frame) == [["bert"]]


def test_a_photo_that_is_none_is_named_and_the_others_count(opened, folder, model):
    (folder / "broken.jpg").write_bytes(b"not a picture")
    element = opened(gallery=str(folder), model=model)
    assert sorted(element.known.names) == ["anna", "bert"]
    assert len(element.warned) == 1 and "broken.jpg is not a picture" in element.warned[0]


def test_the_vectors_of_an_identity_are_averaged(opened, vectors, folder, model):
    element = opened(gallery=str(folder), model=model)
    for n in range(5):
        element.process_frame(vectors(scene(["anna"], n, [7])))
    frame = vectors(scene(["bert"], 5, [7]))  # one bad frame
    element.process_frame(frame)
    assert names(frame) == [["anna"]]
    list(element.end_stream("a"))
    assert element.means == {}


def test_a_detector_finds_the_person_in_a_photo(opened, vectors, tmp_path, model):
    people = tmp_path / "people"
    pixels = np.full((64, 64, 3), COLOURS["bert"], np.uint8)
    pixels[8:40, 8:40] = COLOURS["anna"]
    people.mkdir()
    cv2.imwrite(str(people / "anna.png"), pixels)
    detector = make_detector(tmp_path / "d.onnx", [(9, 9, 39, 39, 0.9, 0), (50, 50, 60, 60, 0.9, 0)])
    element = opened(gallery=str(people), model=model, detector=detector)
    frame = vectors(scene(["anna", "bert"]))
    element.process_frame(frame)
    assert names(frame) == [["anna"], ["unknown"]]


def test_somebody_is_told_when_no_object_has_a_vector(opened, folder, model):
    element = opened(gallery=str(folder), model=model)
    for n in range(120):
        element.process_frame(scene(["anna"], n))
    assert len(element.warned) == 1 and "no object has a vector" in element.warned[0]


def test_mistakes_are_errors_that_say_what_to_do(opened, folder, model, tmp_path):
    with pytest.raises(ConfigError, match="there is no folder"):
        opened(gallery=str(tmp_path / "nowhere"), model=model)
    shade = make_shade_model(tmp_path / "s.onnx", {"class": (0.1, 0.9)})
    with pytest.raises(ConfigError, match="is no embedding model"):
        opened(gallery=str(folder), model=shade)


def test_vectors_of_another_model_are_an_error(opened, folder, model):
    element = opened(gallery=str(folder), model=model)
    frame = scene(["anna"])
    frame.objects[0].embedding = np.ones(5, np.float32)
    with pytest.raises(ValueError, match="both must come from the same model"):
        element.process_frame(frame)
