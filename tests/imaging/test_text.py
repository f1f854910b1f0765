from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from millrace.imaging import text
from millrace.imaging.palette import colour_of, parse_colour, readable_on
from millrace.imaging.text import text_mask

FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")


@pytest.mark.parametrize("size", [8, 16, 27, 64])
def test_a_line_is_as_high_as_asked_and_no_letter_is_cut(size):
    import cv2

    mask = text_mask("Äg|jÉ", size)
    assert mask.shape[0] == size and mask.dtype == np.uint8
    assert mask.max() > 100 and not mask[:, 0].any()
    letters = max(4, round(size * text.EM))
    room = np.zeros((size * 3, size * 8), np.uint8)
    cv2.putText(room, "Äg|jÉ", (size, size * 2), (255,), cv2.FontFace("sans"), letters, text.WEIGHT)
    assert np.count_nonzero(mask > 60) == np.count_nonzero(room > 60)


@pytest.mark.parametrize("word", ["Größe", "Ελλάδα", "Привет", "車両", "ジ"])
def test_letters_of_many_scripts_are_not_question_marks(word):
    lost = text_mask("?" * len(word), 32)
    found = text_mask(word, 32)
    assert found.shape != lost.shape or not np.array_equal(found, lost)
    assert len({text_mask(letter, 32).tobytes() for letter in word}) == len(set(word))


def test_what_no_font_has_is_visible():
    assert text_mask("\U0001f600", 32).max() > 150


@pytest.mark.parametrize("odd", ["", " ", "a\x00b", "a\nb", "\ud800", "\u200b", "x" * 5000, "   a  "])
def test_odd_text_is_harmless(odd):
    assert text_mask(odd, 16).shape[0] == 16


def test_words_are_set_one_after_the_other():
    assert text_mask("car 12", 20).shape[1] > text_mask("car", 20).shape[1] + text_mask("12", 20).shape[1]


def test_sizes_are_bounded():
    assert text_mask("a", 100_000).shape[0] == text.LARGEST
    assert text_mask("a", -3).shape[0] == text.SMALLEST


def test_the_cache_is_bounded():
    for number in range(1300):
        text_mask(str(number), 6)
    facts = text._word.cache_info()
    assert facts.maxsize is not None and facts.currsize <= facts.maxsize


def test_threads_may_write_at_once():
    wanted = [text_mask(f"w{number}", 19).copy() for number in range(40)]
    text._word.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: text_mask(f"w{n % 40}", 19), range(160), timeout=60))
    assert all(np.array_equal(mask, wanted[n % 40]) for n, mask in enumerate(found))


def test_a_font_file(tmp_path):
    wrong = tmp_path / "font.ttf"
    wrong.write_text("not a font")
    with pytest.raises(ValueError, match="no TrueType"):
        text_mask("a", 16, str(wrong))
    with pytest.raises(ValueError, match="cannot be read"):
        text_mask("a", 16, str(tmp_path / "none.ttf"))
    if not FONT.exists():
        pytest.skip(f"{FONT} is not installed")
    assert not np.array_equal(text_mask("a", 40, str(FONT)), text_mask("a", 40))


def test_colours_are_stable_and_differ():
    colours = [colour_of(number) for number in range(24)]
    assert len(set(colours)) == 24
    apart = [sum(abs(a - b) for a, b in zip(x, y, strict=True)) for n, x in enumerate(colours[:8]) for y in colours[:n]]
    assert min(apart) > 60
    assert parse_colour("#ff8000") == (255, 128, 0)
    assert readable_on((255, 255, 0)) == (0, 0, 0) and readable_on((0, 0, 160)) == (255, 255, 255)
    for wrong in ("red", "#12", "#gggggg"):
        with pytest.raises(ValueError, match="#ff8000"):
            parse_colour(wrong)
