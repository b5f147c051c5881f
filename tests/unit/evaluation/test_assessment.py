import time

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import log_loss as reference_log_loss

from melanoma_pl.evaluation import auroc, average_precision, brier, delong, log_loss, wilson
from melanoma_pl.evaluation.assessment import calibrate, rank, subgroup
from melanoma_pl.evaluation.calibration import recalibration_slope
from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.evaluation.metrics import partial_auroc, specificity_at_sensitivity
from melanoma_pl.evaluation.reliability import expected_calibration_error
from melanoma_pl.evaluation.resampling import replicate_weights


def draw(n=400, malignant=120, distance=1.5, seed=0):
    random = np.random.default_rng(seed)
    targets = (np.arange(n) < malignant).astype(int)
    logits = random.normal(distance * (2 * targets - 1), 1.5)
    return logits, expit(logits), targets


def test_rank_gives_every_number_with_an_interval_around_it():
    _, *images = draw()
    found = rank(*images)
    assert found.auroc == Estimate(auroc(*images), delong(*images))
    assert found.auroc_by_lesion is None
    assert found.average_precision.value == average_precision(*images)
    assert found.partial_auroc.value == partial_auroc(*images)
    assert list(found.specificity_at) == [0.82, 0.9, 0.95]
    for sensitivity, estimate in found.specificity_at.items():
        assert estimate.value == specificity_at_sensitivity(*images, sensitivity)
    for estimate in (found.average_precision, found.partial_auroc, *found.specificity_at.values()):
        assert estimate.interval[0] < estimate.value < estimate.interval[1] and not estimate.reason


def test_lesions_of_several_images_widen_the_intervals():
    _, probabilities, targets = draw()
    probabilities, targets, lesions = np.tile(probabilities, 3), np.tile(targets, 3), np.tile(np.arange(400), 3)
    alone, by_lesion = rank(probabilities, targets), rank(probabilities, targets, lesions)
    assert by_lesion.auroc == alone.auroc and by_lesion.auroc_by_lesion.value == alone.auroc.value
    assert np.ptp(by_lesion.auroc_by_lesion.interval) == pytest.approx(3**0.5 * np.ptp(alone.auroc.interval), rel=0.1)
    assert np.ptp(by_lesion.average_precision.interval) > 1.5 * np.ptp(alone.average_precision.interval)


def test_the_same_seed_gives_the_same_intervals_another_one_others():
    _, *images = draw(n=60, malignant=20)
    assert rank(*images, seed=3) == rank(*images, seed=3) != rank(*images, seed=4)


@pytest.mark.parametrize(("target", "reason"), [(0, "no positive images"), (1, "no negative images")])
@pytest.mark.parametrize("groups", [None, ["a", "a", "b"]])
def test_one_class_ranks_nothing(target, reason, groups):
    found = rank([0.2, 0.3, 0.4], [target] * 3, groups)
    none = Estimate(None, None, reason)
    assert found.auroc == found.average_precision == found.partial_auroc == found.specificity_at[0.9] == none
    assert found.auroc_by_lesion == (None if groups is None else none)


def test_few_malignant_images_have_numbers_but_no_bootstrap():
    _, *images = draw(n=60, malignant=2)
    found = rank(*images)
    assert found.auroc.interval is not None
    assert found.average_precision.value is not None and found.average_precision.interval is None
    assert "too few images of one class" in found.average_precision.reason


def test_a_single_malignant_image_says_so():
    _, *images = draw(n=30, malignant=1)
    estimate = rank(*images).auroc
    assert estimate.value is not None and (estimate.interval, estimate.reason) == (None, "only one image of a class")


def test_a_perfect_order_is_no_certainty():
    found = rank(np.linspace(0, 1, 40), np.repeat([0, 1], 20))
    assert found.auroc.value == 1 and found.auroc.interval[0] < 0.9
    assert found.average_precision.interval is None and "same number" in found.average_precision.reason


def test_calibrate_gives_scores_with_the_bootstraps_interval():
    logits, _, targets = draw()
    found, probabilities = calibrate(logits, targets, 2.0, replicates=500), expit(logits / 2)
    assert found.temperature == 2
    assert (found.brier.value, found.log_loss.value) == (
        brier(probabilities, targets),
        log_loss(probabilities, targets),
    )
    losses = [
        reference_log_loss(targets, probabilities, sample_weight=weights)
        for weights in replicate_weights(400, replicates=500)
    ]
    assert found.log_loss.interval == pytest.approx(tuple(np.percentile(losses, [2.5, 97.5])), abs=1e-9)
    error = np.std((probabilities - targets) ** 2) / 20 * norm.ppf(0.975)
    assert found.brier.interval == pytest.approx((found.brier.value - error, found.brier.value + error), abs=0.005)
    assert found.slope == recalibration_slope(logits / 2, targets)
    assert sum(single.n for single in found.bins) == 400
    assert found.ece.value == pytest.approx(expected_calibration_error(probabilities, targets))
    assert found.ece.interval[0] < found.ece.value < found.ece.interval[1]


def test_calibration_is_seen_and_its_lack_too():
    logits = np.random.default_rng(1).normal(-1, 2, 2000)
    targets = (np.random.default_rng(2).random(2000) < expit(logits)).astype(int)
    good, extreme = calibrate(logits, targets), calibrate(4 * logits, targets)
    assert good.ece.value <= good.ece_if_calibrated[1] < extreme.ece.value
    assert extreme.ece.value > extreme.ece_if_calibrated[1]
    assert good.ece.interval[0] < 0.01 < good.ece_if_calibrated[1] < extreme.ece.interval[0]
    assert good.slope.interval[0] < 1 < good.slope.interval[1] and extreme.slope.interval[1] < 1


def test_calibrate_of_one_class_has_scores_but_no_recalibration():
    found = calibrate([-1.0, 0.5, 2.0], [0, 0, 0])
    assert found.brier.value is not None and found.log_loss.value is not None
    assert found.slope.reason == found.intercept.reason == "no positive images"


def test_lesions_widen_calibrations_intervals():
    logits, _, targets = draw()
    logits, targets = np.tile(logits, 3), np.tile(targets, 3)
    alone, by_lesion = calibrate(logits, targets), calibrate(logits, targets, groups=np.tile(np.arange(400), 3))
    for name in ("ece", "brier", "log_loss", "slope", "intercept"):
        assert np.ptp(getattr(by_lesion, name).interval) > 1.4 * np.ptp(getattr(alone, name).interval)
    assert by_lesion.ece_if_calibrated[1] > 1.4 * alone.ece_if_calibrated[1]


def test_certain_logits_cost_much_but_not_infinity():
    found = calibrate([-800.0, 800.0, 3.0, -2.0], [1, 0, 1, 0])
    assert 0 < found.log_loss.value < 37 and found.brier.value <= 1


def test_subgroup_of_enough_images():
    _, probabilities, targets = draw()
    found = subgroup("female", probabilities, targets, 0.5)
    assert (found.value, found.n, found.positives) == ("female", 400, 120)
    assert found.auroc == Estimate(auroc(probabilities, targets), delong(probabilities, targets))
    hits = int((probabilities[targets == 1] >= 0.5).sum())
    assert found.sensitivity == Estimate(hits / 120, wilson(hits, 120))


def test_subgroup_of_few_images_says_how_few():
    _, probabilities, targets = draw(n=34, malignant=4)
    found = subgroup("dark", probabilities, targets, 0.5)
    small = Estimate(None, None, "too small: 4 positive images")
    assert found.auroc == found.sensitivity == small and found.specificity.value is not None
    found = subgroup("dark", probabilities, 1 - targets, 0.5)
    assert found.auroc == found.specificity == Estimate(None, None, "too small: 4 negative images")
    assert subgroup("dark", probabilities, targets, 0.5, smallest=4).auroc.value is not None


def test_all_figures_of_400_images_take_a_second_at_most():
    logits, *images = draw()
    began = time.process_time()
    rank(*images), calibrate(logits, images[1])
    assert time.process_time() - began < 1.5


def test_logits_that_double_precision_calls_certain_still_rank():
    logits, _, targets = draw()
    far = 40 + logits  # whose sigmoids are 1, but for a few
    assert len(np.unique(expit(far))) < 50
    assert rank(far, targets) == rank(logits, targets) != rank(expit(far), targets)
    found = subgroup("female", expit(far), targets, 0.5, scores=far)
    assert found.auroc == rank(logits, targets).auroc and found.specificity.value == 0


def test_fewer_replicates_are_the_first_of_many():
    logits, probabilities, targets = draw(n=60, malignant=20)
    assert rank(probabilities, targets) == rank(probabilities, targets, replicates=2000)
    assert calibrate(logits, targets) == calibrate(logits, targets, replicates=2000)


@pytest.mark.slow
def test_a_hundred_thousand_images_take_seconds():
    logits, probabilities, targets = draw(n=100_000, malignant=10_000)
    lesions = np.arange(100_000) // 2
    began = time.process_time()
    rank(probabilities, targets, lesions), calibrate(logits, targets, 1.0, lesions), calibrate(logits, targets, 1.3)
    assert time.process_time() - began < 20
