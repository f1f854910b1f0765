from __future__ import annotations

import numpy as np

from millrace.media import Image


def image() -> Image:
    planes = [np.zeros((6, 8), np.uint8), np.full((3, 4), 128, np.uint8), np.full((3, 4), 128, np.uint8)]
    return Image("I420", planes, 8, 6, matrix="bt709", full_range=True, owner=object())


def test_a_picture_of_one_owner_is_written_in_place():
    mine = image()
    assert mine.writable() is mine and mine.keep() is mine


def test_a_shared_picture_is_copied_before_it_is_written():
    shared = image().share()
    copy = shared.writable()
    assert copy is not shared and not copy.read_only and copy.owner is None
    assert (copy.matrix, copy.full_range, copy.format, copy.width, copy.height) == ("bt709", True, "I420", 8, 6)
    copy.planes[0][:] = 200
    assert not shared.planes[0].any()


def test_a_copy_of_padded_rows_is_contiguous():
    wide = np.arange(6 * 16, dtype=np.uint8).reshape(6, 16)
    copy = Image("GRAY8", [wide[:, :8]], 8, 6).copy()
    assert copy.planes[0].flags.c_contiguous and np.array_equal(copy.planes[0], wide[:, :8])


def test_on_a_device_keep_copies_with_the_device_s_own_copy():
    class Plane:
        copies = 0

        def copy(self):
            self.copies += 1
            return Plane()

    plane = Plane()
    kept = Image("NV12", [plane, plane], 8, 6, memory="cuda:0").keep()
    assert plane.copies == 2 and kept.memory == "cuda:0" and kept.planes[0] is not plane
