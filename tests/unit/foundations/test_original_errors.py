"""The errors, each with an effect that can be computed by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from melanoma_pl.evaluation import count
from melanoma_pl.foundations.original_errors import (
    INT_THRESHOLD,
    accuracies_of_small_tests,
    choose_among_coin_tosses,
    expected_best_accuracy,
    logits_of,
    loss_of,
    saturated_fraction,
)
from melanoma_pl.models import MelanomaClassifier
from melanoma_pl.preprocessing import Preprocessing


class Mean(nn.Module):
    """A network without biases, so proportional to its input: the mean of all its input values."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(1, 2, 3))


def test_without_rescaling_a_proportional_network_answers_255_times_as_much():
    classifier = MelanomaClassifier(Mean(), preprocessing=Preprocessing(4)).eval()
    pixels = torch.full((3, 3, 4, 4), 51, dtype=torch.uint8)
    assert logits_of(classifier, pixels).tolist() == pytest.approx([0.2] * 3)
    assert logits_of(classifier, pixels, rescale=False).tolist() == pytest.approx([51.0] * 3)
    assert pixels.unique().tolist() == [51]


def test_saturation_is_exact_in_32_bits_and_not_yet_in_64():
    logits = torch.tensor([-200.0, -20.0, 0.0, 16.0, 18.0])
    assert saturated_fraction(logits) == pytest.approx(0.4)
    assert saturated_fraction(logits[4:].double()) == 0


def test_a_wrong_answer_costs_its_logit():
    assert loss_of(torch.tensor([60.0, 90.0]), np.array([0, 1])) == pytest.approx(30)
    assert loss_of(torch.zeros(2), np.array([0, 1])) == pytest.approx(math.log(2))


def test_a_threshold_of_1_is_int():
    probabilities = np.array([0.0, 0.5, 0.999999, 1.0])
    counts = count(probabilities, np.ones(4, dtype=np.int64), INT_THRESHOLD)
    assert counts.true_positives == sum(int(probability) for probability in probabilities) == 1


@pytest.mark.parametrize(
    ("tries", "images", "expected"),
    [(1, 1, 0.5), (1, 50, 0.5), (2, 1, 0.75), (3, 1, 0.875), (2, 2, 11 / 16)],
)
def test_the_best_of_coin_tosses_by_hand(tries, images, expected):
    assert expected_best_accuracy(tries, images) == pytest.approx(expected, abs=1e-12)


def test_only_the_images_that_chose_the_model_overestimate_it():
    targets = np.arange(200) % 2
    chosen_by, evaluated_on = choose_among_coin_tosses(20, targets, repeats=400, seed=3)
    assert chosen_by.mean() == pytest.approx(expected_best_accuracy(20, 100), abs=0.01)
    assert evaluated_on.mean() == pytest.approx(0.5, abs=0.01)
    again, _ = choose_among_coin_tosses(20, targets, repeats=400, seed=3)
    assert np.array_equal(chosen_by, again)


def test_small_tests_scatter_around_the_whole():
    is_right = np.arange(200) % 4 > 0
    accuracies = accuracies_of_small_tests(is_right, images=19, repeats=2000, seed=1)
    assert accuracies.mean() == pytest.approx(0.75, abs=0.01)
    assert 0.05 < accuracies.std() < 0.12
    assert accuracies_of_small_tests(is_right, images=200, repeats=3, seed=1).tolist() == [0.75] * 3
