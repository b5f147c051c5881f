"""Gradient descent agrees with its prediction for small steps, and with PyTorch's optimizer."""

import pytest
import torch

from melanoma_pl.foundations.descent import (
    Valley,
    descend,
    descent_step,
    predicted_change,
    predicted_descent,
    real_changes,
)

START = torch.tensor([-8.0, 2.0], dtype=torch.float64)


def test_the_predicted_descent_is_minus_eta_times_the_squared_gradient():
    gradient = Valley().gradient(START)
    move = descent_step(START, gradient, 0.01) - START
    torch.testing.assert_close(predicted_change(gradient, move), predicted_descent(gradient, 0.01), rtol=1e-12, atol=0)
    assert predicted_descent(gradient, 0.01) < 0


def test_no_other_move_of_the_same_length_predicts_a_larger_descent():
    gradient = Valley().gradient(START)
    best = -0.01 * gradient
    angles = torch.linspace(0, 2 * torch.pi, 361, dtype=torch.float64)
    others = best.norm() * torch.stack([angles.cos(), angles.sin()], dim=1)
    assert all(predicted_change(gradient, other) >= predicted_change(gradient, best) - 1e-12 for other in others)


def test_the_error_of_the_prediction_falls_with_the_square_of_eta():
    surface = Valley()
    gradient = surface.gradient(START)
    rates = torch.tensor([1e-3, 5e-4], dtype=torch.float64)
    real = real_changes(surface.cost, gradient, START, rates)
    missed = real - predicted_descent(gradient, rates)
    assert (real < 0).all()
    assert (missed[0] / missed[1]).item() == pytest.approx(4, rel=1e-6)


def test_the_path_equals_that_of_torchs_sgd():
    position = START.clone().requires_grad_()
    optimizer = torch.optim.SGD([position], lr=0.1)
    theirs = [START]
    for _ in range(10):
        optimizer.zero_grad()
        Valley().cost(position).backward()
        optimizer.step()
        theirs.append(position.detach().clone())
    ours = descend(Valley().gradient, START, learning_rate=0.1, steps=10)
    torch.testing.assert_close(ours, torch.stack(theirs), rtol=0, atol=1e-10)
