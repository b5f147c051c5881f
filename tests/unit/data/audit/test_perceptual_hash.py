"""Features that mirroring and rotation leave unchanged, and the spectrum of a part of an image."""

import numpy as np
import pytest
from numpy.typing import NDArray

from melanoma_pl.data.audit.perceptual_hash import (
    COARSE,
    CROPS,
    TURNS,
    Box,
    invariants,
    spectrum,
    turned,
    turned_box,
    turned_image,
    unit,
)


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """A smooth random image, 64×64."""
    coarse = np.random.default_rng(0).uniform(40, 210, (9, 9))
    line = np.linspace(0, 8, 64)
    rows = np.array([np.interp(line, range(9), row) for row in coarse])
    return np.array([np.interp(line, range(9), column) for column in rows.T]).T.round().astype(np.uint8)


@pytest.mark.parametrize("turn", range(8))
def test_rotating_an_image_rotates_its_spectrum(turn: int, image: NDArray[np.uint8]) -> None:
    of_turned = spectrum(turned_image(image, turn)[None], COARSE)
    np.testing.assert_allclose(turned(spectrum(image[None], COARSE), turn), of_turned, atol=2e-3)
    np.testing.assert_allclose(invariants(of_turned), invariants(spectrum(image[None], COARSE)), atol=1e-4)


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
    part = spectrum(image[None], COARSE, (0, 0.5, 0.5, 1))
    cropped = spectrum(image[None, :32, 32:], COARSE)
    assert (unit(part) * unit(cropped)).sum() > 0.99
    assert (unit(part) * unit(spectrum(image[None], COARSE))).sum() < 0.8


def test_brightness_does_not_matter_and_a_blank_image_is_zero(image: NDArray[np.uint8]) -> None:
    brighter = (image * 1.1).astype(np.uint8)
    assert (invariants(spectrum(image[None], COARSE)) * invariants(spectrum(brighter[None], COARSE))).sum() > 0.999
    assert (invariants(spectrum(np.full((1, 64, 64), 90, np.uint8), COARSE)) == 0).all()


def test_the_whole_comes_first() -> None:
    assert CROPS[0] == (0, 1, 0, 1)
    assert all(bottom - top == pytest.approx(0.95) for top, bottom, *_ in CROPS[1:])
