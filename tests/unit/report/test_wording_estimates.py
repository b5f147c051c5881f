import pytest

from melanoma_pl.evaluation.intervals import BY_DEFINITION, Estimate
from melanoma_pl.report import wording


@pytest.mark.parametrize(
    ("estimate", "figure", "beside"),
    [
        (Estimate(0.5, (-0.25, 1)), "0.500", "[−0.250 to 1.000]"),
        (Estimate(-0.5), "−0.500", "no interval"),
        (Estimate(0.5, None, BY_DEFINITION), "0.500", "by definition"),
        (Estimate(-0.0001), "0.000", "no interval"),
        (Estimate(None, None, "too small: 3 images"), "too small", "3 images"),
        (Estimate(None), "not computable", ""),
    ],
)
def test_estimates_in_cells(estimate: Estimate, figure: str, beside: str) -> None:
    assert (wording.figure(estimate), wording.beside(estimate)) == (figure, beside)


def test_estimates_in_sentences() -> None:
    estimates = (
        Estimate(0.5, (0.4, 0.6)),
        Estimate(1.0, None, "only one image of a class"),
        Estimate(None, None, "why"),
    )
    assert [wording.told(estimate) for estimate in estimates] == [
        "0.500 [0.400–0.600]",
        "1.000 (no interval: only one image of a class)",
        "not computable: why",
    ]


def test_percentages_and_probabilities_keep_what_matters() -> None:
    assert [wording.percent(value) for value in (0, 0.02, 0.0183, 0.35, 1)] == [
        "0 %",
        "2 %",
        "1.83 %",
        "35 %",
        "100 %",
    ]
    assert [wording.probability(value) for value in (0, 0.00042, 0.5)] == ["0.000", "0.00042", "0.500"]


def test_a_negative_loss_is_a_gain() -> None:
    assert wording.lost(Estimate(0.1, (0, 0.2))) == ("loss", Estimate(0.1, (0, 0.2)))
    assert wording.lost(Estimate(-0.1, (-0.3, 0.2))) == ("gain", Estimate(0.1, (-0.2, 0.3)))
    assert wording.lost(Estimate(-0.0001)) == ("loss", Estimate(-0.0001))
