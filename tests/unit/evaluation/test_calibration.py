import math

import numpy as np
import pytest
from scipy.optimize import brentq

from melanoma_pl.evaluation import fit_temperature, log_loss, probabilities


def draw(seed=0, n=400, temperature=1.0):
    """Logits that are calibrated when divided by `temperature`."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, n)
    return temperature * logits, (random.random(n) < 1 / (1 + np.exp(-logits))).astype(int)


def test_probabilities_are_the_sigmoid():
    logits = np.linspace(-5, 5, 21)
    assert probabilities(logits) == pytest.approx(1 / (1 + np.exp(-logits)), rel=1e-14)
    assert probabilities(logits, temperature=2.5) == pytest.approx(1 / (1 + np.exp(-logits / 2.5)), rel=1e-14)


def test_extreme_logits_neither_overflow_nor_lose_small_probabilities():
    assert probabilities([-1e4, 1e4, -math.inf, math.inf], 0.05).tolist() == [0, 1, 0, 1]
    assert probabilities([-700.0])[0] == pytest.approx(math.exp(-700))


def test_probabilities_keep_the_shape_and_are_double():
    values = probabilities(np.zeros((2, 3), dtype=np.float16))
    assert values.shape == (2, 3) and values.dtype == np.float64
    assert probabilities(0.0).shape == ()


@pytest.mark.parametrize("temperature", [0, -1, math.nan, math.inf])
def test_a_temperature_is_positive(temperature):
    with pytest.raises(ValueError, match="temperature must be a positive number"):
        probabilities([0.0], temperature)


def test_a_missing_logit_is_no_probability():
    with pytest.raises(ValueError, match="1 of 2 are NaN"):
        probabilities([0.0, math.nan])


def test_the_fit_is_where_the_slope_of_the_likelihood_is_zero():
    logits, targets = draw(seed=3, temperature=1.7)
    slope = brentq(lambda scale: np.sum(logits * (targets - probabilities(logits * scale))), 0.05, 20, xtol=1e-14)
    assert fit_temperature(logits, targets) == pytest.approx(1 / slope, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_fit_finds_the_temperature_that_the_images_were_drawn_with(temperature):
    assert fit_temperature(*draw(n=20000, temperature=temperature)) == pytest.approx(temperature, rel=0.05)


@pytest.mark.parametrize("factor", [0.1, 3, 10])
def test_logits_times_k_have_temperature_times_k(factor):
    logits, targets = draw()
    assert fit_temperature(factor * logits, targets) == pytest.approx(factor * fit_temperature(logits, targets))


@pytest.mark.parametrize("seed", range(3))
def test_no_other_temperature_makes_the_targets_more_likely(seed):
    logits, targets = draw(seed, n=30, temperature=5)
    fitted = log_loss(probabilities(logits, fit_temperature(logits, targets)), targets)
    assert all(fitted <= log_loss(probabilities(logits, other), targets) + 1e-9 for other in np.geomspace(0.05, 20, 25))


def test_the_fit_is_the_same_every_time():
    assert len({fit_temperature(*draw()) for _ in range(3)}) == 1


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_the_fit_stays_in_its_bounds(scale):
    logits, targets = draw(temperature=scale)
    assert fit_temperature(logits, targets) == pytest.approx(0.05 if scale < 1 else 20, rel=1e-5)


def test_logits_worse_than_chance_end_at_one_half():
    logits, targets = draw()
    assert fit_temperature(-logits, targets) == pytest.approx(20, rel=1e-5)


@pytest.mark.parametrize("target", [0, 1])
def test_one_class_is_left_alone(target):
    assert fit_temperature([-1.0, 2.0], [target, target]) == 1.0


@pytest.mark.parametrize("logits", [[-1.0, -0.2, 0.3], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
def test_images_with_no_wrong_sign_are_left_alone(logits):
    assert fit_temperature(logits, [0, 0, 1]) == 1.0


def test_targets_and_logits_are_checked():
    with pytest.raises(ValueError, match="logits and targets"):
        fit_temperature([0.1], [0, 1])


def test_the_fit_makes_no_image_certain():
    logits, targets = np.append(np.linspace(-4, 4, 200), 0.001), np.append(np.repeat([0, 1], 100), 0)
    temperature = fit_temperature(logits, targets)  # alone, the one wrong image would ask for a hundredth of this
    assert temperature == pytest.approx(4 / 30)
    assert len(np.unique(probabilities(logits, temperature))) == 201
