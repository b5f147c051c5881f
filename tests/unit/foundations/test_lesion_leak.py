"""Images of one lesion on both sides of a split: known answers where memory is everything or nothing."""

import numpy as np
import pytest
from numpy.typing import NDArray

from melanoma_pl.data.synthetic.mole_drawing import draw_image
from melanoma_pl.data.synthetic.synthetic_images import draw_mole
from melanoma_pl.foundations.lesion_leak import (
    colour_histograms,
    draw_lesions,
    measure_leak,
    memoriser_accuracy,
    random_targets,
)


@pytest.fixture(scope="module")
def drawn() -> NDArray[np.uint8]:
    return draw_lesions(lesions=20, images_each=2, size=24, seed=0)


def test_every_second_lesion_is_malignant_and_its_images_differ(drawn):
    assert drawn.shape == (20, 2, 24, 24, 3)
    for lesion in (0, 1):
        mole = draw_mole(malignant=lesion == 1, seed=0, index=lesion)
        assert np.array_equal(drawn[lesion, 1], draw_image(mole, 0, lesion, 24, 1))
    assert not np.array_equal(drawn[0, 0], drawn[0, 1])


def test_histograms_do_not_depend_on_where_a_colour_lies(drawn):
    pixels = drawn.reshape(40, 24, 24, 3)
    histograms = colour_histograms(pixels)
    assert histograms.shape == (40, 512)
    turned = np.rot90(pixels, axes=(1, 2))
    np.testing.assert_allclose(colour_histograms(np.ascontiguousarray(turned)), histograms)
    assert (histograms**2).sum(axis=1).max() <= 1 + 1e-9


def test_random_targets_agree_within_a_lesion_and_are_half_and_half():
    lesions = np.repeat(np.arange(10), 3)
    targets = random_targets(lesions, seed=1)
    assert (targets.reshape(10, 3).std(axis=1) == 0).all()
    assert targets.mean() == 0.5
    assert not np.array_equal(targets, random_targets(lesions, seed=2))


def test_a_model_that_recognises_lesions_gains_from_a_leak_and_from_nothing_else():
    lesions = np.repeat(np.arange(60), 4)
    names = np.random.default_rng(0).standard_normal((60, 5))[lesions]  # equal within a lesion, and nothing else
    targets = random_targets(lesions, seed=0)
    leaky = memoriser_accuracy(names, targets, lesions, by_lesion=False, seed=0)
    honest = memoriser_accuracy(names, targets, lesions, by_lesion=True, seed=0)
    assert leaky > 0.95
    assert 0.2 < honest < 0.8


def test_both_ways_are_measured_split_by_split(drawn):
    measured = measure_leak(drawn, repeats=2, randomise=True)
    assert list(measured) == ["image by image", "lesion by lesion"]
    assert all(values.shape == (2,) and ((values >= 0) & (values <= 1)).all() for values in measured.values())
