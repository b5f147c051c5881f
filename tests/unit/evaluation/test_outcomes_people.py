import pytest

from melanoma_pl.evaluation import BY_DEFINITION, Counts, in_people
from melanoma_pl.evaluation.intervals import wilson
from melanoma_pl.evaluation.outcomes import negative_predictive_value_at, positive_predictive_value_at

COUNTS = Counts(true_positives=171, false_positives=65, true_negatives=153, false_negatives=11)


def test_of_1000_images_each_is_counted_once():
    found = in_people(COUNTS, 0.02)
    assert (found.images, found.malignant) == (1000, 20)
    assert (found.found.count, found.missed.count) == (19, 1)  # 20 · 171 / 182 = 18.8
    assert (found.false_alarms.count, found.cleared.count) == (292, 688)  # 980 · 65 / 218 = 292.2
    assert found.found.expected == pytest.approx(18.791, abs=1e-3)
    assert found.missed.expected + found.found.expected == pytest.approx(20)
    assert found.positive_predictive_value == positive_predictive_value_at(COUNTS, 0.02)
    assert found.negative_predictive_value == negative_predictive_value_at(COUNTS, 0.02)


def test_intervals_are_wilsons_in_images():
    found = in_people(COUNTS, 0.02)
    low, high = wilson(171, 182)
    assert (found.found.low, found.found.high) == (round(20 * low), round(20 * high)) == (18, 19)
    assert (found.missed.low, found.missed.high) == (1, 2)
    low, high = wilson(65, 218)
    assert (found.false_alarms.low, found.false_alarms.high) == (round(980 * low), round(980 * high))
    few = in_people(Counts(9, 3, 7, 1), 0.02)
    assert (few.missed.low, few.missed.count, few.missed.high) == (0, 2, 8)


@pytest.mark.parametrize("prevalence", [0.005, 0.02, 0.0235, 0.5, 0.995])
@pytest.mark.parametrize("counts", [COUNTS, Counts(9, 3, 7, 1), Counts(1, 0, 1, 0), Counts(0, 1, 0, 1)])
def test_the_parts_add_up_and_lie_within_their_intervals(counts, prevalence):
    found = in_people(counts, prevalence)
    assert found.found.count + found.missed.count == found.malignant
    assert found.false_alarms.count + found.cleared.count == found.images - found.malignant
    for own in (found.found, found.missed, found.false_alarms, found.cleared):
        assert 0 <= own.low <= own.count <= own.high <= found.images


@pytest.mark.parametrize(
    ("prevalence", "images", "malignant"),
    [(0.004, 10_000, 40), (0.00004, 1_000_000, 40), (0.999, 10_000, 9990), (1e-9, 1_000_000, 0)],
)
def test_rare_classes_take_more_images(prevalence, images, malignant):
    found = in_people(COUNTS, prevalence)
    assert (found.images, found.malignant) == (images, malignant)


@pytest.mark.parametrize(("prevalence", "malignant"), [(0.0, 0), (1.0, 1000)])
def test_a_prevalence_of_0_or_1_determines_the_predictive_values(prevalence, malignant):
    found = in_people(COUNTS, prevalence)
    assert (found.images, found.malignant) == (1000, malignant)
    assert found.positive_predictive_value.value == prevalence
    assert found.negative_predictive_value.value == 1 - prevalence
    assert found.negative_predictive_value.reason == BY_DEFINITION


def test_a_missing_class_has_no_counts():
    found = in_people(Counts(0, 2, 3, 0), 0.02)
    assert found.reason == "no positive images" and found.found is None and found.missed is None
    assert found.cleared.count == 588 and found.positive_predictive_value.value is None
    found = in_people(Counts(2, 0, 0, 3), 0.02)
    assert found.reason == "no negative images" and found.cleared is None and found.missed.count == 12


@pytest.mark.parametrize("prevalence", [-0.1, 1.1, float("nan")])
def test_a_prevalence_outside_0_to_1_is_refused(prevalence):
    with pytest.raises(ValueError, match="prevalence"):
        in_people(COUNTS, prevalence)
