"""What a probability meant: the images whose probabilities are nearest."""

import numpy as np
import pytest

from melanoma_pl.evaluation.reliability import similar_images


def test_a_tenth_of_the_images_is_counted() -> None:
    probabilities = np.linspace(0, 1, 1001)
    targets = (np.random.default_rng(0).random(1001) < probabilities).astype(int)
    found = similar_images(0.3, probabilities, targets)
    assert found is not None and found.n == 101  # both ends are equally near
    assert (found.lowest, found.highest) == pytest.approx((0.25, 0.35))
    near = (probabilities > 0.2499) & (probabilities < 0.3501)
    assert found.positives == targets[near].sum()
    assert found.proportion.value == found.positives / 101 and found.proportion.interval is not None


def test_equal_probabilities_are_counted_together() -> None:
    found = similar_images(0.5, np.full(80, 0.5), np.arange(80) % 4 == 0)
    assert found is not None and (found.n, found.positives) == (80, 20)


def test_nothing_is_said_of_few_images_or_of_probabilities_that_none_has() -> None:
    assert similar_images(0.5, np.full(19, 0.5), np.zeros(19)) is None
    probabilities = np.linspace(0.3, 0.6, 40)
    assert similar_images(0.61, probabilities, np.zeros(40)) is not None
    assert similar_images(0.65, probabilities, np.zeros(40)) is None
