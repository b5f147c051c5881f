from dataclasses import replace

import pytest
from tests.unit.report.evaluation_examples import bare_content, full_content

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.report import wording
from melanoma_pl.report.content import Content


@pytest.fixture(scope="module")
def content() -> Content:
    return full_content()


def test_what_is_reached_without_the_lesion_is_said_at_the_top(content: Content) -> None:
    files = replace(content.shortcuts[3], auroc=Estimate(0.872, (0.83, 0.91)), is_problem=True)
    both = replace(content, shortcuts=(*content.shortcuts[:3], files))
    assert wording.reached_without(both) == "The AUROC is 0.782 without the lesion, 0.872 from file facts alone"
    only_files = replace(content, shortcuts=(files,))
    assert wording.reached_without(only_files) == "The AUROC is 0.872 from file facts alone"
    assert wording.reached_without(replace(content, shortcuts=content.shortcuts[1:])) == ""


def test_sentences_end() -> None:
    assert [wording.sentence(said) for said in ("", "A rim is left", "It is left.", "Is it? ")] == [
        "", "A rim is left.", "It is left.", "Is it?",
    ]  # fmt: skip


def test_words_do_not_round_up_to_perfect(content: Content) -> None:
    ranking = replace(content.sets[0].ranking, auroc=Estimate(0.9991, (0.99, 1)))
    near = replace(content, sets=(replace(content.sets[0], ranking=ranking),))
    assert wording.headline(near).startswith("In more than 99 of 100 pairs")


def test_bad_calibration_is_said(content: Content) -> None:
    before = content.calibration[0]
    verdict = wording.calibration_verdict(replace(content, calibration=(before, before)))
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
        verdict = wording.calibration_verdict(own)
        assert "too few to assess calibration" in verdict and "consistent" not in verdict
