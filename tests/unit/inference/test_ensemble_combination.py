"""Combinations of several networks' logits."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import rankdata

from melanoma_pl.evaluation import auroc
from melanoma_pl.inference.ensemble import mean_logit, mean_rank


def test_mean_logit_is_the_logit_of_the_geometric_mean_of_the_odds():
    chances = np.array([[0.2, 0.9], [0.4, 0.6], [0.7, 0.8]])
    odds = (chances / (1 - chances)).prod(axis=0) ** (1 / 3)
    np.testing.assert_allclose(expit(mean_logit(logit(chances))), odds / (1 + odds), rtol=1e-12)


def test_ranks_among_the_references_themselves_are_scipys():
    logits = np.random.default_rng(0).normal(size=(1, 21)).round(1)  # with ties
    np.testing.assert_allclose(expit(mean_rank(logits, logits))[:], rankdata(logits[0]) / 22, rtol=1e-12)


def test_a_network_with_larger_logits_has_no_more_weight_in_ranks():
    references = np.random.default_rng(1).normal(size=(2, 50))
    logits = np.array([[0.3, -0.2, 1.0], [-0.5, 0.1, 0.2]])
    louder = np.array([[1.0], [100.0]])
    np.testing.assert_allclose(mean_rank(logits * louder, references * louder), mean_rank(logits, references))
    assert not np.allclose(mean_logit(logits * louder), mean_logit(logits))


@pytest.mark.parametrize("far", [-1e9, 1e9])
def test_beyond_all_references_the_rank_stays_finite(far):
    (rank,) = mean_rank([[far]], [[0.0, 1.0, 2.0]])
    assert expit(rank) == pytest.approx(0.125 if far < 0 else 0.875)
    (rank,) = mean_rank([[far]], [[1.0, 1.0, 1.0]])
    assert expit(rank) == pytest.approx(0.125 if far < 0 else 0.875)


@pytest.mark.parametrize("references", [[0.0, 1.0, 2.0], [2.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0]])
def test_ranks_rise_with_every_logit_inside_the_references_and_outside(references):
    ranks = mean_rank([np.linspace(-3, 5, 1001)], [references])
    assert np.all(np.diff(ranks) > 0)
    assert np.all((expit(ranks) > 0.5 / (len(references) + 1)) & (expit(ranks) < 1 - 0.5 / (len(references) + 1)))


def test_few_references_do_not_cost_the_order():
    random = np.random.default_rng(4)
    targets = (random.random(2000) < 0.3).astype(int)
    shared = random.normal(targets, 1)
    logits, references = shared + random.normal(0, 0.3, (3, 2000)), random.normal(0.3, 1.1, (3, 20))
    combined = mean_rank(logits, references)
    assert len(np.unique(combined)) == 2000
    assert auroc(combined, targets) == pytest.approx(auroc(mean_logit(logits), targets), abs=0.003)


def test_an_images_rank_does_not_depend_on_the_images_beside_it():
    references, logits = np.random.default_rng(2).normal(size=(2, 30)), np.random.default_rng(3).normal(size=(2, 5))
    alone = [mean_rank(logits[:, [index]], references)[0] for index in range(5)]
    np.testing.assert_array_equal(mean_rank(logits, references), alone)
