import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from melanoma_pl.evaluation import wilson
from melanoma_pl.evaluation.comparison import mcnemar, paired_proportion_difference


def flags(both, first, second, neither):
    sizes = [both, first, second, neither]
    return np.repeat([True, True, False, False], sizes), np.repeat([True, False, True, False], sizes)


def newcombe(e, f, g, h):
    """Method 10 as Newcombe writes it."""
    n = e + f + g + h
    p1, p2 = (e + f) / n, (e + g) / n
    (l1, u1), (l2, u2) = wilson(e + f, n), wilson(e + g, n)
    a, b = (e + f) * (g + h) * (e + g) * (f + h), e * h - f * g
    c = b - n / 2 if b > n / 2 else (0 if b >= 0 else b)
    phi = c / np.sqrt(a) if a else 0
    low = np.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    high = np.sqrt((u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2)
    return p1 - p2 - low, p1 - p2 + high


@pytest.mark.parametrize(
    ("table", "interval"),
    [
        ((36, 12, 2, 0), (0.0569, 0.3404)),  # Newcombe, Statistics in Medicine 17 (1998) 2635-2650
        ((1, 1, 7, 12), (-0.507, -0.026)),  # Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014)
    ],
)
def test_published_examples(table, interval):
    digits = 4 if abs(interval[0]) < 0.1 else 3
    assert paired_proportion_difference(*flags(*table)).interval == pytest.approx(interval, abs=0.51 * 10**-digits)


@pytest.mark.parametrize(
    "table",
    [(59, 6, 16, 80), (30, 2, 3, 15), (5, 10, 12, 4), (20, 0, 0, 0), (10, 0, 0, 10), (0, 10, 0, 0), (0, 5, 5, 0)],
)
def test_the_interval_is_newcombes_method_10(table):
    found = paired_proportion_difference(*flags(*table))
    assert found.value == pytest.approx((table[1] - table[2]) / sum(table))
    assert found.interval == pytest.approx(newcombe(*table), abs=1e-9)
    assert -1 <= found.interval[0] <= found.interval[1] <= 1


def test_the_interval_covers_what_it_estimates():
    random, fractions = np.random.default_rng(0), [0.7, 0.12, 0.05, 0.13]
    tables = random.multinomial(150, fractions, 500)
    intervals = [paired_proportion_difference(*flags(*table)).interval for table in tables]
    assert np.mean([low <= 0.07 <= high for low, high in intervals]) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(("first", "second"), [(12, 2), (3, 3), (0, 6), (40, 25)])
def test_mcnemar_is_the_exact_binomial_test(first, second):
    found = mcnemar(*flags(50, first, second, 9))
    assert (found.first_only, found.second_only, found.reason) == (first, second, "")
    assert found.p_value == pytest.approx(binomtest(first, first + second).pvalue)
    assert paired_proportion_difference(*flags(50, first, second, 9)).p_value == found.p_value


def test_mcnemar_of_many_images_is_near_its_chi_squared():
    assert mcnemar(*flags(500, 150, 110, 90)).p_value == pytest.approx(chi2.sf((40 - 1) ** 2 / 260, 1), rel=0.02)


def test_detectable_is_2_8_standard_errors():
    error = np.sqrt(12 + 2 - 10**2 / 50) / 50
    assert paired_proportion_difference(*flags(36, 12, 2, 0)).detectable == pytest.approx(2.801585 * error, rel=1e-6)


def test_decisions_that_never_differ_have_an_interval_but_no_p_value():
    found = paired_proportion_difference(*flags(10, 0, 0, 5))
    assert (found.value, found.p_value, found.detectable) == (0, None, None)
    assert found.interval[0] < 0 < found.interval[1] and found.reason == "both models decide identically on every image"
    test = mcnemar(*flags(10, 0, 0, 5))
    assert (test.p_value, test.reason) == (None, found.reason)


def test_no_images_have_a_reason():
    assert paired_proportion_difference([], []).reason == mcnemar([], []).reason == "no images"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [([True], [True, False], "same images"), ([2, 0], [1, 0], "first must be"), ([1, 0], [[1], [0]], "second must")],
)
def test_flags_are_checked(first, second, message):
    for function in (mcnemar, paired_proportion_difference):
        with pytest.raises(ValueError, match=message):
            function(first, second)
