"""The distance of an image from the training images."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from melanoma_pl.evaluation import out_of_distribution
from melanoma_pl.evaluation.out_of_distribution import fit_detector


def features(seed, n, shift=0.0):
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(6, 6))
    return random.normal(size=(n, 6)) @ mixing + shift


def test_distance_is_scipys_mahalanobis():
    training = features(0, 300)
    known = fit_detector(training, features(1, 100))
    scaled = (training - known.mean) / known.scale
    precision = LedoitWolf(assume_centered=True).fit(scaled).precision_
    image = features(2, 1)
    expected = mahalanobis(((image - known.mean) / known.scale)[0], np.zeros(6), precision)
    assert known.distances(image) == pytest.approx([expected], rel=1e-9)


def test_the_given_fraction_of_validation_passes_and_far_images_do_not():
    held = features(1, 2000)
    known = fit_detector(features(0, 2000), held)
    assert known.is_ood(held).mean() == pytest.approx(0.05, abs=0.001)
    assert known.is_ood(features(2, 2000)).mean() == pytest.approx(0.05, abs=0.02)
    assert known.is_ood(features(3, 50, shift=60)).all()


def test_a_feature_that_never_varies_is_no_division_by_zero():
    training = np.hstack([features(0, 100), np.zeros((100, 1))])
    known = fit_detector(training, training)
    assert np.isfinite(known.distances(training)).all()


def test_too_little_to_learn_from_is_none():
    assert fit_detector(features(0, 1), features(1, 9)) is None
    assert fit_detector(features(0, 9), np.empty((0, 6))) is None


def test_nan_is_refused():
    broken = features(0, 9)
    broken[3, 2] = np.nan
    with pytest.raises(ValueError, match="features must be numbers"):
        fit_detector(broken, features(1, 9))


def test_distances_are_the_same_whatever_the_blocks(monkeypatch):
    known, images = fit_detector(features(0, 300), features(1, 100)), features(2, 23)
    expected = known.distances(images)
    monkeypatch.setattr(out_of_distribution, "ROWS", 5)
    assert known.distances(images) == pytest.approx(expected, rel=1e-12)
    assert known.distances(np.empty((0, 6))).shape == (0,)


def test_of_very_many_training_images_some_in_even_steps_are_enough(monkeypatch):
    training, held = features(0, 3000).astype(np.float32), features(1, 500).astype(np.float32)
    whole = fit_detector(training, held)
    monkeypatch.setattr(out_of_distribution, "ENOUGH", 1000)
    part = fit_detector(training, held)
    chosen = training[np.linspace(0, 2999, 1000).round().astype(int)].astype(np.float64)
    np.testing.assert_allclose(part.mean, chosen.mean(axis=0), rtol=1e-12)
    assert part.mean.dtype == part.precision.dtype == np.float64
    assert part.distances(held) == pytest.approx(whole.distances(held), rel=0.15)
    training[1, 0] = np.nan  # an image between the steps
    with pytest.raises(ValueError, match="1 of 18000 are NaN"):
        fit_detector(training, held)
