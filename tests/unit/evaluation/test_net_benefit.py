import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from melanoma_pl.evaluation import NO_NEGATIVES, NO_POSITIVES, count, decision_curve, net_benefit
from melanoma_pl.evaluation.net_benefit import at_prevalence, net_benefit_of_all, useful_thresholds
from melanoma_pl.evaluation.outcomes import negative_predictive_value_at, positive_predictive_value_at
from melanoma_pl.evaluation.resampling import replicate_weights

THRESHOLDS = [0.0, 0.05, 0.3, 0.5, 0.75, 0.99]
DCURVES = {  # of dcurves 1.1.7, by the authors of the method, at the images' own prevalence and at 10 %
    "own": [0.50877193, 0.48888889, 0.38333333, 0.29230769, 0.2, 0.11111111, 0.13333333],
    "all": [0.50877193, 0.48148148, 0.41666667, 0.28205128, 0.06666667, -0.55555556, -3.66666667],
    "at 10 %": [0.05263158, 0.01428571, -0.07321429, -0.13269231, -0.19464286, -0.25, 0.025],
    "all at 10 %": [0.05263158, 0.0, -0.125, -0.38461538, -0.8, -2.0, -8.0],
}


def images(n=60, seed=0, decimals=2):
    """Draw probabilities with ties, some of them equal to a threshold."""
    random = np.random.default_rng(seed)
    targets = (random.random(n) < 0.4).astype(np.int64)
    return (1 / (1 + np.exp(-random.normal(2 * targets - 1, 1.5)))).round(decimals), targets


def naive(probabilities, targets, threshold, prevalence=None, weights=None):
    """Return the net benefit image by image, from a confusion matrix of scikit-learn."""
    called = [int(probability >= threshold) for probability in probabilities]
    ((tn, fp), (fn, tp)) = confusion_matrix(targets, called, labels=[0, 1], sample_weight=weights)
    odds = threshold / (1 - threshold)
    if prevalence is None:
        return tp / (tn + fp + fn + tp) - fp / (tn + fp + fn + tp) * odds
    return tp / (tp + fn) * prevalence - fp / (fp + tn) * (1 - prevalence) * odds


@pytest.mark.parametrize("prevalence", [None, 0.0, 0.02, 0.5, 1.0])
def test_it_is_that_of_a_loop_over_the_images(prevalence):
    probabilities, targets = images()
    expected = [naive(probabilities, targets, threshold, prevalence) for threshold in THRESHOLDS]
    assert net_benefit(probabilities, targets, THRESHOLDS, prevalence) == pytest.approx(expected, abs=1e-15)


def test_it_is_that_of_the_package_dcurves():
    probabilities = [0.05, 0.1, 0.12, 0.2, 0.31, 0.33, 0.4, 0.45, 0.52, 0.6, 0.71, 0.75, 0.83, 0.9, 0.97]
    targets = [0, 0, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 1]
    thresholds = [0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9]
    assert net_benefit(probabilities, targets, thresholds).round(8).tolist() == DCURVES["own"]
    assert net_benefit(probabilities, targets, thresholds, 0.1).round(8).tolist() == DCURVES["at 10 %"]
    assert net_benefit_of_all(8 / 15, thresholds).round(8).tolist() == DCURVES["all"]
    assert net_benefit_of_all(0.1, thresholds).round(8).tolist() == DCURVES["all at 10 %"]


def test_at_threshold_0_it_is_the_prevalence_and_that_of_calling_all_malignant():
    probabilities, targets = images()
    assert net_benefit(probabilities, targets, [0])[0] == targets.mean() == net_benefit_of_all(targets.mean(), [0])[0]
    assert net_benefit(probabilities, targets, [0], 0.02)[0] == 0.02


@pytest.mark.parametrize("threshold", [1.0, -0.1, float("nan")])
def test_a_threshold_at_which_a_false_alarm_costs_infinitely_much_is_refused(threshold):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        net_benefit(*images(), [0.5, threshold])


def test_calling_all_malignant_is_worth_nothing_at_the_prevalence():
    assert net_benefit_of_all(0.02, [0.02])[0] == pytest.approx(0, abs=1e-17)
    assert net_benefit_of_all(0.0, [0.5])[0] == -1 and net_benefit_of_all(1.0, [0.0, 0.99]).tolist() == [1, 1]


def test_one_class_has_a_net_benefit_at_its_own_prevalence_alone():
    probabilities = [0.2, 0.6]
    assert net_benefit(probabilities, [1, 1], [0.5]).tolist() == [0.5]
    assert net_benefit(probabilities, [0, 0], [0.5]).tolist() == [-0.5]
    assert np.isnan(net_benefit(probabilities, [1, 1], [0.5], 0.02)).all()


def test_adjusted_probabilities_are_bayes_formula():
    before, after, probability = 0.4, 0.02, 0.7
    likelihood_ratio = probability / (1 - probability) / (before / (1 - before))
    odds = likelihood_ratio * after / (1 - after)
    assert at_prevalence([0, probability, 1], before, after) == pytest.approx([0, odds / (1 + odds), 1])
    assert at_prevalence([probability], before, before)[0] == pytest.approx(probability)
    for wrong in (0.0, 1.0):
        with pytest.raises(ValueError, match="prevalence"):
            at_prevalence([0.5], 0.4, wrong)


def test_a_curve_has_the_net_benefits_of_network_decisions_and_all():
    probabilities, targets = images(200)
    found = decision_curve(probabilities, targets, 0.2, replicates=50)
    assert found.prevalence == targets.mean() and not found.is_standardised and len(found.thresholds) >= 100
    assert found.network == pytest.approx([naive(probabilities, targets, t) for t in found.thresholds])
    fixed = [naive(probabilities >= 0.2, targets, t) for t in found.thresholds]
    assert found.thresholds[0] == 0 and found.decisions[1:] == pytest.approx(fixed[1:])
    assert found.everything == pytest.approx([naive(np.ones(200), targets, t) for t in found.thresholds])
    assert [own.threshold for own in found.named] == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
    for own in found.named:
        place = found.thresholds.index(own.threshold)
        assert own.network.value == found.network[place] and own.network.interval[0] == found.low[place]
        assert own.decisions.value == found.decisions[place] and own.everything == found.everything[place]


def test_a_standardised_curve_is_that_of_weighted_images_with_adjusted_probabilities():
    probabilities, targets = images(200)
    found = decision_curve(probabilities, targets, 0.2, prevalence=0.02, prior=0.3, replicates=20)
    weights = np.where(targets == 1, 0.02 / targets.mean(), 0.98 / (1 - targets.mean()))
    adjusted = at_prevalence(probabilities, 0.3, 0.02)
    steps = found.thresholds
    assert (
        found.is_standardised
        and steps[0] == 0
        and max(steps) < 0.2
        and [own.threshold for own in found.named][-1] == 0.1
    )
    assert found.network == pytest.approx([naive(adjusted, targets, t, weights=weights) for t in steps], abs=1e-12)
    assert found.decisions[1:] == pytest.approx(
        [naive(probabilities >= 0.2, targets, t, weights=weights) for t in steps[1:]], abs=1e-12
    )
    alone = decision_curve(probabilities, targets, 0.2, prevalence=0.02, replicates=20)
    assert alone == decision_curve(probabilities, targets, 0.2, prevalence=0.02, prior=targets.mean(), replicates=20)


def test_intervals_are_those_of_resampled_lesions():
    probabilities, targets = images(80)
    groups = np.arange(80) // 3
    for prevalence in (None, 0.02):
        found = decision_curve(probabilities, targets, 0.2, groups, prevalence, replicates=300, seed=4)
        named = found.named[3]
        scores = probabilities if prevalence is None else at_prevalence(probabilities, targets.mean(), prevalence)
        values = [
            naive(np.repeat(scores, own), np.repeat(targets, own), named.threshold, prevalence)
            for own in replicate_weights(80, groups, 300, seed=4)
        ]
        assert named.network.interval == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)
        independent = decision_curve(probabilities, targets, 0.2, None, prevalence, replicates=300, seed=4)
        assert independent.named[3].network.interval != named.network.interval


@pytest.mark.parametrize(
    ("targets", "own", "standardised"),
    [([0, 0], NO_POSITIVES, NO_POSITIVES), ([1, 1], "", NO_NEGATIVES)],
)
def test_one_class_has_no_standardised_curve(targets, own, standardised):
    assert decision_curve([0.2, 0.6], targets, 0.5).reason == own
    found = decision_curve([0.2, 0.6], targets, 0.5, prevalence=0.02)
    assert found.reason == standardised and found.network == () and found.useful is None


def test_one_image_and_equal_images_have_no_intervals():
    for probabilities, targets in (([0.7], [1]), ([0.5] * 4, [1] * 4)):
        found = decision_curve(probabilities, targets, 0.5)
        assert found.network[1] == 1 and np.isnan(found.low).all()
        assert found.named[0].network.interval is None and found.named[0].network.reason


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_own_thresholds_of_0_and_1_call_all_or_hardly_any_malignant(threshold):
    probabilities, targets = [0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1]
    found = decision_curve(probabilities, targets, threshold)
    assert found.decisions == pytest.approx(found.everything if threshold == 0 else [0] * len(found.thresholds))
    assert found.useful is None


def test_decisions_are_useful_between_their_predictive_values():
    probabilities, targets = images(200)
    counts = count(probabilities, targets, 0.3)
    low, high = useful_thresholds(counts, 0.02)
    assert low == pytest.approx(1 - negative_predictive_value_at(counts, 0.02).value)
    assert high == pytest.approx(positive_predictive_value_at(counts, 0.02).value)
    found = decision_curve(probabilities, targets, 0.3, prevalence=0.02, replicates=20)
    assert found.useful == (low, high)
    rivals = np.maximum(found.everything, 0)
    is_better = np.array(found.decisions) > rivals + 1e-12
    assert is_better.any() and is_better.tolist() == [low < step < high for step in found.thresholds]
    worthless = count([0.9, 0.1], [0, 1], 0.5)
    assert useful_thresholds(worthless, 0.02) is None
