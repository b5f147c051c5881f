"""Examples are standardised with the mean and the deviation of the training moles."""

import numpy as np
import torch

from melanoma_pl.foundations.learning import as_examples

TRAITS = np.array([[0.2, 3.0], [0.4, 9.0], [0.9, 6.0]])
LABELS = np.array([0, 1, 1])


def test_standardised_traits_have_mean_zero_and_deviation_one():
    scaled = as_examples(TRAITS, LABELS, reference=TRAITS).inputs
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(scaled.std(dim=0), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)


def test_held_out_moles_are_scaled_by_the_training_moles():
    held_out = as_examples(np.array([[0.5, 6.0], [0.5, 9.0]]), np.array([0, 1]), reference=TRAITS)
    expected = torch.tensor([[0, 0], [0, 1]], dtype=torch.float64)  # (0.5, 6) is the reference's mean, 3 its deviation
    torch.testing.assert_close(held_out.inputs, expected, rtol=0, atol=1e-12)


def test_targets_are_a_column_of_zeros_and_ones():
    examples = as_examples(TRAITS, LABELS, reference=TRAITS)
    assert examples.targets.tolist() == [[0], [1], [1]]
    assert examples.inputs.dtype == examples.targets.dtype == torch.float64
