"""Features that mirroring and rotation leave unchanged, and the spectrum of a part of an image."""

import numpy as np
import pytest
from numpy.typing import NDArray

from melanoma_pl.data.audit.perceptual_hash import (
    COARSE,
    CROPS,
    TURNS,
    WHOLE,
    Box,
    coefficients,
    invariants,
    spectrum,
    turned,
    turned_box,
    turned_image,
    unit,
)


def low_frequencies(image: NDArray[np.uint8], box: Box = WHOLE) -> NDArray[np.float32]:
    """Return the coarse frequencies of a part of an image, `(1, 12, 12)`."""
    return spectrum(coefficients(image[None], box), COARSE)


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """A smooth random image, 64×64."""
    coarse = np.random.default_rng(0).uniform(40, 210, (9, 9))
    line = np.linspace(0, 8, 64)
    rows = np.array([np.interp(line, range(9), row) for row in coarse])
    return np.array([np.interp(line, range(9), column) for column in rows.T]).T.round().astype(np.uint8)


@pytest.mark.parametrize("turn", range(8))
def test_rotating_an_image_rotates_its_spectrum(turn: int, image: NDArray[np.uint8]) -> None:
    whole, of_turned = low_frequencies(image), low_frequencies(turned_image(image, turn))
    np.testing.assert_allclose(turned(whole, turn), of_turned, atol=2e-3)
    np.testing.assert_allclose(invariants(of_turned), invariants(whole), atol=1e-4)


def test_eight_turns_and_their_names(image: NDArray[np.uint8]) -> None:
    assert len({turned_image(image, turn).tobytes() for turn in range(8)}) == len(TURNS) == 8
    for turn, name in enumerate(TURNS):
        found = [quarter for quarter in range(4) if (turned_image(image, turn) == np.rot90(image, quarter)).all()]
        assert bool(found) == ("mirrored" not in name)
        if found:
            assert {0: "as it is", 1: "turned by 90°", 2: "turned by 180°", 3: "turned by 90°"}[found[0]] == name


@pytest.mark.parametrize("turn", range(8))
def test_a_box_rotates_with_its_image(turn: int, image: NDArray[np.uint8]) -> None:
    box: Box = (0, 0.75, 0.25, 1)
    marked = np.zeros_like(image)
    marked[:48, 16:] = 1
    top, bottom, left, right = (round(64 * edge) for edge in turned_box(box, turn))
    assert turned_image(marked, turn)[top:bottom, left:right].all()
    assert turned_image(marked, turn).sum() == (bottom - top) * (right - left)


def test_the_spectrum_of_a_part_is_that_of_the_cropped_image(image: NDArray[np.uint8]) -> None:
    part = low_frequencies(image, (0, 0.5, 0.5, 1))
    cropped = low_frequencies(image[:32, 32:])
    assert (unit(part) * unit(cropped)).sum() > 0.99
    assert (unit(part) * unit(low_frequencies(image))).sum() < 0.8


def test_coefficients_are_the_cosine_transform(image: NDArray[np.uint8]) -> None:
    many = np.stack([np.roll(image, shift, axis=0) for shift in range(300)])  # more than are transformed at a time
    line = (np.arange(256) + 0.5) / 256
    finer = np.clip(line * 64 - 0.5, 0, 63)
    cosines = np.cos(np.pi * np.outer(np.arange(24), line)) / 256
    found = coefficients(many)
    assert found.shape == (300, 24, 24)
    for index in (0, 255, 256, 299):
        dense = np.array([np.interp(finer, range(64), row) for row in many[index] - many[index].mean()])
        dense = np.array([np.interp(finer, range(64), column) for column in dense.T]).T
        np.testing.assert_allclose(found[index], cosines @ dense @ cosines.T, atol=1e-3)


def test_brightness_does_not_matter_and_a_blank_image_is_zero(image: NDArray[np.uint8]) -> None:
    brighter = (image * 1.1).astype(np.uint8)
    assert (invariants(low_frequencies(image)) * invariants(low_frequencies(brighter))).sum() > 0.999
    assert (invariants(low_frequencies(np.full((64, 64), 90, np.uint8))) == 0).all()


def test_the_whole_comes_first() -> None:
    assert CROPS[0] == (0, 1, 0, 1)
    assert all(bottom - top == pytest.approx(0.95) for top, bottom, *_ in CROPS[1:])
