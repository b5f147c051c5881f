"""Images of one lesion on both sides: known answers where memory is everything or nothing."""

import numpy as np
import pytest

from melanoma_pl.foundations.lesion_leak import (
    LesionImages,
    coin_targets,
    colour_histograms,
    draw_lesions,
    measure_leak,
    memoriser_accuracy,
)


@pytest.fixture(scope="module")
def drawn() -> LesionImages:
    return draw_lesions(lesions=20, images_each=2, size=24, seed=0)


def test_images_of_a_lesion_lie_in_a_row_and_agree(drawn):
    assert drawn.pixels.shape == (40, 24, 24, 3)
    assert drawn.lesions[:5].tolist() == [0, 0, 1, 1, 2]
    assert drawn.targets[:5].tolist() == [0, 0, 1, 1, 0]
    assert not np.array_equal(drawn.pixels[0], drawn.pixels[1])


def test_the_first_images_of_each_lesion(drawn):
    assert drawn.first(1)[:3].tolist() == [0, 2, 4]
    assert drawn.first(2).tolist() == list(range(40))


def test_histograms_forget_where_a_colour_lies_and_how_bright_the_lamp_is(drawn):
    histograms = colour_histograms(drawn.pixels)
    assert histograms.shape == (40, 512)
    turned = np.rot90(drawn.pixels, axes=(1, 2))
    np.testing.assert_allclose(colour_histograms(np.ascontiguousarray(turned)), histograms)
    assert (histograms**2).sum(axis=1).max() <= 1 + 1e-9


def test_lots_agree_within_a_lesion_and_are_half_and_half():
    lesions = np.repeat(np.arange(10), 3)
    targets = coin_targets(lesions, seed=1)
    assert (targets.reshape(10, 3).std(axis=1) == 0).all()
    assert targets.mean() == 0.5
    assert not np.array_equal(targets, coin_targets(lesions, seed=2))


def test_who_knows_lesions_by_name_gains_all_from_a_leak_and_nothing_without():
    lesions = np.repeat(np.arange(60), 4)
    names = np.random.default_rng(0).standard_normal((60, 5))[lesions]  # equal within a lesion, and nothing else
    targets = coin_targets(lesions, seed=0)
    leaky = memoriser_accuracy(names, targets, lesions, by_lesion=False, seed=0)
    honest = memoriser_accuracy(names, targets, lesions, by_lesion=True, seed=0)
    assert leaky > 0.95
    assert 0.2 < honest < 0.8


def test_both_ways_are_measured_split_by_split(drawn):
    measured = measure_leak(drawn, images_each=2, repeats=2, by_coin=True)
    assert list(measured) == ["image by image", "lesion by lesion"]
    assert all(values.shape == (2,) and ((values >= 0) & (values <= 1)).all() for values in measured.values())
