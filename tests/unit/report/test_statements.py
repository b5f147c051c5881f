from dataclasses import replace

import pytest
from tests.unit.report.evaluation_examples import bare_content, full_content

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.report import statements
from melanoma_pl.report.content import Content


@pytest.fixture(scope="module")
def content() -> Content:
    return full_content()


def test_maps_that_cannot_be_compared_say_why(content: Content) -> None:
    own = replace(content.false_negatives[0], similarity=None)
    assert statements.compared(replace(own, similarity=-0.126)) == "correlation of heat map and control: −0.13"
    assert statements.compared(replace(own, map_is_empty=True)) == "no region supports this decision: no correlation"
    assert statements.compared(replace(own, control_is_empty=True)) == "the control is empty: no correlation"
    assert statements.compared(own) == "one of the maps is constant: no correlation"
    assert statements.maps_note(content) == "The heat maps are those of <run 0> alone."
    assert statements.maps_note(replace(content, members=())) == ""


def test_what_is_reached_without_the_lesion_is_said_at_the_top(content: Content) -> None:
    files = replace(content.shortcuts[3], auroc=Estimate(0.872, (0.83, 0.91)), is_problem=True)
    both = replace(content, shortcuts=(*content.shortcuts[:3], files))
    assert statements.reached_without(both) == "The AUROC is 0.782 without the lesion, 0.872 from file facts alone"
    only_files = replace(content, shortcuts=(files,))
    assert statements.reached_without(only_files) == "The AUROC is 0.872 from file facts alone"
    assert statements.reached_without(replace(content, shortcuts=content.shortcuts[1:])) == ""


def test_sentences_end() -> None:
    assert [statements.sentence(said) for said in ("", "A rim is left", "It is left.", "Is it? ")] == [
        "", "A rim is left.", "It is left.", "Is it?",
    ]  # fmt: skip


def test_words_do_not_round_up_to_perfect(content: Content) -> None:
    ranking = replace(content.sets[0].ranking, auroc=Estimate(0.9991, (0.99, 1)))
    near = replace(content, sets=(replace(content.sets[0], ranking=ranking),))
    assert statements.headline(near).startswith("In more than 99 of 100 pairs")


def test_bad_calibration_is_said(content: Content) -> None:
    before = content.calibration[0]
    verdict = statements.calibration_verdict(replace(content, calibration=(before, before)))
    assert "should not be taken literally" in verdict


def test_calibration_of_few_images_is_no_praise(content: Content) -> None:
    wide = replace(content.calibration[1], ece_if_calibrated=(0.02, 0.31))
    few = (
        replace(content, n=49, positives=20),
        replace(content, positives=9),
        replace(content, positives=391),
        replace(content, calibration=(wide, wide)),
        bare_content(),
    )
    for own in few:
        verdict = statements.calibration_verdict(own)
        assert "too few to assess calibration" in verdict and "consistent" not in verdict
