"""Laying one picture over another."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import affine_transform

from melanoma_pl.data.audit.registration import equal_pixels, read_grey, register, similarity
from melanoma_pl.errors import UserError

NOWHERE = np.array([[1.0, 0, 0], [0, 1, 0]])


def test_a_moved_picture_is_laid_over_its_original(moles: list[Image.Image]) -> None:
    picture = np.asarray(moles[3].convert("L").resize((64, 64)), dtype=np.float32)
    moved = affine_transform(picture, np.eye(2) * 0.97, (1.6, -0.8), order=1, mode="nearest") * 0.9 + 12
    affine = register(moved, picture, NOWHERE, 20)
    assert affine[:, :2] == pytest.approx(np.eye(2) * 0.97, abs=0.01)
    before, after = (similarity(moved, picture, where, (0.8, 2)) for where in (NOWHERE, affine))
    assert before < 0.6 < 0.9 < after


def test_another_mole_stays_another(moles: list[Image.Image]) -> None:
    first, second = (np.asarray(mole.convert("L").resize((64, 64)), dtype=np.float32) for mole in moles[:2])
    assert similarity(first, second, register(first, second, NOWHERE, 20), (0.8, 2)) < 0.3


def test_where_there_is_nothing_to_compare(moles: list[Image.Image]) -> None:
    picture = np.asarray(moles[0].convert("L").resize((64, 64)), dtype=np.float32)
    assert similarity(picture, picture, NOWHERE, (0.8, 2)) == pytest.approx(1)
    far_away = np.array([[1.0, 0, 1.5], [0, 1, 0]])
    assert similarity(picture, picture, far_away, (0.8, 2)) == 0
    assert similarity(picture, picture, NOWHERE * np.nan, (0.8, 2)) == 0
    flat = np.full((64, 64), 7, dtype=np.float32)
    assert abs(similarity(flat, picture, register(flat, picture, NOWHERE, 4), (0.8, 2))) < 1e-3


def test_an_image_that_is_gone_meanwhile(tmp_path: Path) -> None:
    for read in (read_grey, lambda file: equal_pixels(file, file)):
        with pytest.raises(UserError, match="was readable when the audit began"):
            read(tmp_path / "gone.jpg")
