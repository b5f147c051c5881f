"""Alignment of two images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import affine_transform

from melanoma_pl.data.audit.registration import equal_pixels, read_grey, register, similarity
from melanoma_pl.errors import UserError

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def test_a_moved_image_is_aligned_with_its_original(moles: list[Image.Image]) -> None:
    image = np.asarray(moles[3].convert("L").resize((64, 64)), dtype=np.float32)
    moved = affine_transform(image, np.eye(2) * 0.97, (1.6, -0.8), order=1, mode="nearest") * 0.9 + 12
    affine = register(moved, image, IDENTITY, 20)
    assert affine[:, :2] == pytest.approx(np.eye(2) * 0.97, abs=0.01)
    before, after = (similarity(moved, image, where, (0.8, 2)) for where in (IDENTITY, affine))
    assert before < 0.6 < 0.9 < after


def test_two_moles_are_not_similar(moles: list[Image.Image]) -> None:
    first, second = (np.asarray(mole.convert("L").resize((64, 64)), dtype=np.float32) for mole in moles[:2])
    assert similarity(first, second, register(first, second, IDENTITY, 20), (0.8, 2)) < 0.3


def test_images_without_detail_or_overlap(moles: list[Image.Image]) -> None:
    image = np.asarray(moles[0].convert("L").resize((64, 64)), dtype=np.float32)
    assert similarity(image, image, IDENTITY, (0.8, 2)) == pytest.approx(1)
    far_away = np.array([[1.0, 0, 1.5], [0, 1, 0]])
    assert similarity(image, image, far_away, (0.8, 2)) == 0
    assert similarity(image, image, IDENTITY * np.nan, (0.8, 2)) == 0
    flat = np.full((64, 64), 7, dtype=np.float32)
    assert abs(similarity(flat, image, register(flat, image, IDENTITY, 4), (0.8, 2))) < 1e-3


def test_an_image_that_was_deleted_meanwhile(tmp_path: Path) -> None:
    for read in (read_grey, lambda file: equal_pixels(file, file)):
        with pytest.raises(UserError, match="was readable when the audit began"):
            read(tmp_path / "gone.jpg")
