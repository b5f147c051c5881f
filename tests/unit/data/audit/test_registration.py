"""Alignment of two images."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates
from tests.unit.data.audit.conftest import save, scanned

from melanoma_pl.data.audit.candidates import Candidate
from melanoma_pl.data.audit.registration import confirm, equal_pixels, read_grey
from melanoma_pl.data.audit.registration import register as register_batch
from melanoma_pl.data.audit.registration import similarity as similarity_batch
from melanoma_pl.errors import UserError

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])
Images = NDArray[np.float32]
Affine = NDArray[np.float64]


def register(first: Images, second: Images, affine: Affine, steps: int) -> Affine:
    """Align one image with another."""
    return register_batch(first[None], second[None], affine[None], steps)[0]


def similarity(first: Images, second: Images, affine: Affine, widths: tuple[float, float]) -> float:
    """Return the similarity of one pair."""
    return float(similarity_batch(first[None], second[None], affine[None], widths)[0])


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


def test_a_batch_is_aligned_as_its_pairs_are_one_by_one(moles: list[Image.Image]) -> None:
    images = np.stack([np.asarray(mole.convert("L").resize((64, 64)), dtype=np.float32) for mole in moles])
    near = np.stack([np.roll(image, (1, -1), axis=(0, 1)) for image in images])
    second = np.concatenate([near[:4], images[:4]])  # some converge at once, some later, some never
    starts = np.repeat(IDENTITY[None], 8, axis=0)
    affines = register_batch(images, second, starts, 12)
    for index in range(8):
        alone = register(images[index], second[index], IDENTITY, 12)
        np.testing.assert_array_equal(affines[index], alone)
        value = similarity_batch(images, second, affines, (0.8, 2))[index]
        assert value == similarity(images[index], second[index], alone, (0.8, 2))
    np.testing.assert_array_equal(starts, np.repeat(IDENTITY[None], 8, axis=0))


def test_alignment_equals_the_plain_algorithm(moles: list[Image.Image]) -> None:
    """One pair after the other with SciPy's filters and interpolation, as Lucas and Kanade describe it."""
    first, second = (np.asarray(mole.convert("L").resize((64, 64)), dtype=np.float32) for mole in moles[4:6])
    first = 0.7 * first + 0.3 * np.roll(second, 2, axis=1)
    target, moving = gaussian_filter(first, 1), gaussian_filter(second, 1)
    slopes = [slope * 32 for slope in np.gradient(moving)]
    line = (np.arange(64) * 2 + 1) / 64 - 1
    rows, columns = np.meshgrid(line, line, indexing="ij")
    affine = IDENTITY.copy()
    for _ in range(3):
        positions = np.stack([(a * rows + b * columns + c + 1) * 32 - 0.5 for a, b, c in affine])
        inside = ((positions >= 0) & (positions <= 63)).all(axis=0).ravel()
        value, down, right = (map_coordinates(each, positions, order=1, mode="nearest") for each in (moving, *slopes))
        weights = (down * rows, down * columns, down, right * rows, right * columns, right, -target, -np.ones((64, 64)))
        terms = np.stack([weight.ravel() for weight in weights])
        normal = (terms * inside) @ terms.T + 1e-3 * np.eye(8)
        affine += np.linalg.solve(normal, -(terms * inside) @ value.ravel())[:6].reshape(2, 3)
    np.testing.assert_allclose(register(first, second, IDENTITY, 3), affine, atol=2e-4)


def test_candidates_are_confirmed_alike_in_any_batch(mole_folder: Path, moles: list[Image.Image]) -> None:
    save(moles[2].transpose(Image.Transpose.ROTATE_90), mole_folder / "test/benign/copy.jpg")
    found = scanned(mole_folder)
    index = found.listing.paths.index
    copy, original = index("test/benign/copy.jpg"), index("train/benign/2.jpg")
    others = [Candidate(each, original, 0, 0, 0.5) for each in range(len(found.images)) if each not in (copy, original)]
    pairs = [*others[:3], *(Candidate(copy, original, 0, turn, 0.5) for turn in range(8)), *others[3:]]
    together = confirm(pairs, found.grey, found.listing.files)
    assert [confirm([pair], found.grey, found.listing.files)[0] for pair in pairs] == together
    assert sum(is_same for _, is_same in together) == 1


def test_an_image_that_was_deleted_meanwhile(tmp_path: Path) -> None:
    for read in (read_grey, lambda file: equal_pixels(file, file)):
        with pytest.raises(UserError, match="was readable when the audit began"):
            read(tmp_path / "gone.jpg")
