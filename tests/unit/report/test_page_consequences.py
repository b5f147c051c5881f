from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.report.evaluation_examples import bare_content, consequences, full_content, named_content
from tests.unit.report.page_reading import Page

from melanoma_pl.evaluation import Counts, in_people
from melanoma_pl.report.content import Caveat, Consequences, Content, Kind
from melanoma_pl.report.page import FIGURES, model_card, write_page

SVG = '<svg viewBox="0 0 309.6 200.5"/>'


@pytest.fixture(scope="module")
def content() -> Content:
    return replace(full_content(), warnings=())


def page_of(content: Content, folder: Path) -> Page:
    return Page(write_page(content, dict.fromkeys(FIGURES, SVG), folder).read_text(encoding="utf-8"))


def section(content: Content, folder: Path) -> str:
    """Return the words of the section, with ordinary spaces."""
    text = " ".join(page_of(content, folder).text.split())
    return text.split("What it means in people")[1].split("Calibration of the probabilities")[0]


def card_section(content: Content) -> str:
    """Return the same part of the model card without its escapes."""
    return model_card(content, {}).split("## In people")[1].split("## Calibration")[0].replace("\\", "")


SENTENCES = (
    "Of 1,000 images, 20 of them malignant (2 %), the network finds 18 [17 to 19] and misses 2 [1 to 3], with 309 "
    "[257 to 367] false alarms among the 980 benign images.",
    "Of the images called malignant, 5.5 % [4.6 to 6.6 %] (about 1 in 18) are malignant (positive predictive value). "
    "Of those called benign, 0.28 % [0.16 to 0.47 %] (about 1 in 360) are malignant all the same",
    "measured on 400 test images (140 malignant), also hold at 2 %; often they do not",
    "At 2 % malignant, following the decisions is worth more than calling all images malignant, or none, if finding "
    "one malignant image is worth about 17 to 360 false alarms. At 35 % malignant, as in these images, it has to be "
    "worth about 0.65 to 14.",
    "If the 20 % of images nearest to the threshold are referred to a person, 18 % [14 to 22 %] of the other 320 "
    "decisions are wrong, instead of 24 % [19 to 27 %]; 5 malignant images are still called benign, instead of 13.",
)


def test_page_and_card_say_the_same_of_people(content: Content, tmp_path: Path) -> None:
    on_page, in_card = section(content, tmp_path), card_section(content)
    for sentence in SENTENCES:
        assert sentence in on_page, sentence
        assert sentence in in_card, sentence
    assert "prevalence= takes another" not in on_page
    usual = replace(content, prevalence=None)
    assert "2 % is about the proportion of melanomas in ISIC 2020; prevalence= takes another." in section(
        usual, tmp_path
    )
    assert "These are not" not in on_page and "synthetic" not in on_page


def test_pictures_are_told_in_words(content: Content, tmp_path: Path) -> None:
    alternatives = " ".join(str(image["alt"]) for image in page_of(content, tmp_path).all("img"))
    for words in (SENTENCES[0], "Decision curves. At 2 % malignant", "Risk-coverage curve. If the 20 % of images"):
        assert words in alternatives


@pytest.mark.parametrize(
    ("kinds", "is_part", "caution"),
    [
        (("seen", "synthetic"), False, "on unseen ones, expect more errors"),
        (("leak",), False, "on unseen ones, expect more errors"),
        (("leak",), True, ""),
        (("few", "synthetic"), False, "these counts say nothing about patients"),
        (("few",), False, "These counts come from few images"),
        (("chosen", "unchecked"), False, ""),
    ],
)
def test_counts_carry_the_gravest_caution(
    content: Content, kinds: tuple[Kind, ...], is_part: bool, caution: str, tmp_path: Path
) -> None:
    assert content.consequences is not None
    own = replace(
        content,
        warnings=tuple(Caveat(kind, f"Warning about {kind}.") for kind in kinds),
        consequences=replace(content.consequences, is_part=is_part),
    )
    for words in (section(own, tmp_path), card_section(own)):
        assert caution in words
        assert ("unseen ones" in words, "nothing about patients" in words, "few images" in words).count(True) == bool(
            caution
        )
        assert ("400 test images of lesions unseen in training (140 malignant)" in words) == is_part


@pytest.mark.parametrize(("kind", "level"), [("seen", "problem"), ("synthetic", "caution"), ("few", "caution")])
def test_the_mark_of_the_caution_has_its_level(content: Content, kind: Kind, level: str, tmp_path: Path) -> None:
    html = write_page(replace(content, warnings=(Caveat(kind, "Warning."),)), {}, tmp_path).read_text(encoding="utf-8")
    assert f'class="mark {level}"' in html.split('<section id="consequences"')[1].split("</p>")[0]


def test_what_cannot_be_counted_says_why(tmp_path: Path) -> None:
    for words in (section(bare_content(), tmp_path), card_section(bare_content())):
        assert "How many of 1,000 images are found and missed cannot be computed: no positive images." in words
        assert "At 2 % malignant, net benefit cannot be computed: no positive images." in words
        assert "nan" not in words.lower().split() and "None" not in words


def changed(content: Content, probabilities: list[float], targets: list[int], threshold: float) -> Content:
    found: Consequences = consequences(np.array(probabilities), np.array(targets), threshold)
    return replace(content, consequences=found)


def test_perfect_useless_and_undecided_networks_are_told_apart(content: Content, tmp_path: Path) -> None:
    perfect = section(changed(content, [0.1, 0.9] * 20, [0, 1] * 20, 0.5), tmp_path)
    assert "worth any number of false alarms" in perfect and "finds 20 [17 to 20] and misses 0 [0 to 3]" in perfect
    inverted = section(changed(content, [0.9, 0.1] * 20, [0, 1] * 20, 0.5), tmp_path)
    assert "following the decisions is never worth more than calling all images malignant" in inverted
    sure = section(changed(content, [0.1, 0.9, 0.8] * 20, [0, 1, 0] * 20, 0.5), tmp_path)
    assert "worth at least 24 false alarms" in sure  # 20 found with 490 false alarms, and nothing missed
    alike = section(changed(content, [0.7] * 10, [0, 1] * 5, 0.5), tmp_path)
    assert "The network is equally certain of so many images" in alike
    none_called = section(changed(content, [0.1, 0.2] * 5, [0, 1] * 5, 0.5), tmp_path)
    assert "The positive predictive value cannot be computed: no positive decisions." in none_called
    missed = section(changed(content, [0.9] * 199 + [0.1] * 201, [1] * 200 + [0] * 200, 0.5), tmp_path)
    assert "misses fewer than 1 [0 to 1]" in missed


def test_rare_malignancy_takes_more_images(content: Content, tmp_path: Path) -> None:
    assert content.consequences is not None
    rare = replace(content.consequences, in_people=in_people(Counts(171, 65, 153, 11), 0.001))
    text = section(replace(content, consequences=rare), tmp_path)
    assert "Of 10,000 images, 10 of them malignant (0.1 %)" in text and "One dot for 10 of 10,000 images." in text


def test_classes_have_their_own_names(tmp_path: Path) -> None:
    named = named_content("<b> & \\1", "{braces}")
    assert "20 of them {braces} (2 %)" in section(named, tmp_path)
    assert "<b> & \\1 images" in section(named, tmp_path)
    for words in (section(named, tmp_path), card_section(named)):
        assert "malignant" not in words and "benign" not in words


def test_numbers_alone_have_no_such_section(content: Content, tmp_path: Path) -> None:
    without = replace(content, consequences=None)
    assert "What it means in people" not in page_of(without, tmp_path).text
    assert "## In people" not in model_card(without, {})
