"""The page's section of the worst mistakes: heat maps, controls, enlarged images."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.report.evaluation_examples import full_content
from tests.unit.report.page_reading import Page

from melanoma_pl.inference.heat_maps import SHUFFLES
from melanoma_pl.report.content import SIMILARITY_BANDS, Content, Mistake
from melanoma_pl.report.page import write_page


@pytest.fixture(scope="module")
def content() -> Content:
    return full_content()


def page_of(content: Content, folder: Path) -> Page:
    return Page(write_page(content, {}, folder).read_text(encoding="utf-8"))


def words(page: Page) -> str:
    return " ".join(page.text.split())


@pytest.mark.parametrize(
    ("similarity", "band"),
    [
        (1.0, "like the control"),
        (0.7, "like the control"),
        (0.69, "partly like the control"),
        (0.3, "partly like the control"),
        (0.29, "independent"),
        (-0.77, "independent"),
        (-1.0, "independent"),
        (None, ""),
    ],
)
def test_the_bands_of_similarity_are_fixed(similarity: float | None, band: str) -> None:
    assert Mistake("a.jpg", "benign", 0.9, "", "", "", similarity).band == band


def test_the_page_names_control_and_bands_in_words(content: Content, tmp_path: Path) -> None:
    own = replace(content.false_negatives[0], similarity=-0.77)
    text = words(page_of(replace(content, false_negatives=(own,)), tmp_path))
    assert "similarity to control −0.77 (independent)" in text
    assert f"The control is the mean map of {SHUFFLES} networks" in text and "Adebayo et al., NeurIPS 2018" in text
    for bound in (SIMILARITY_BANDS["like the control"], SIMILARITY_BANDS["partly like the control"]):
        assert str(bound) in text


def test_images_are_enlarged_without_a_script_or_a_second_copy(content: Content, tmp_path: Path) -> None:
    page = page_of(content, tmp_path)
    shown = (*content.false_negatives, *content.false_positives)
    enlarged = [each for each in page.all("details") if each.get("class") == "views"]
    assert len(enlarged) == len(shown) and not page.all("script")
    assert {each["name"] for each in enlarged} == {"enlarged"}, "opening one closes the other"
    sources = [str(each["src"]) for each in page.all("img") if str(each["src"]).startswith("data:image/jpeg")]
    assert len(sources) == sum(map(bool, (uri for own in shown for uri in (own.image, own.heat_map, own.control))))
    names = [str(each.get("aria-label")) for each in page.all("summary")]
    assert sum(name.startswith("Enlarge or close the images of ") for name in names) == len(shown)


def test_a_page_without_images_explains_its_similarities(content: Content, tmp_path: Path) -> None:
    def bare(shown: tuple[Mistake, ...]) -> tuple[Mistake, ...]:
        return tuple(replace(own, image="", heat_map="", control="") for own in shown)

    hidden = replace(
        content,
        false_negatives=bare(content.false_negatives),
        false_positives=bare(content.false_positives),
        has_images=False,
    )
    page = page_of(hidden, tmp_path)
    text = words(page)
    assert "leaves out the images of the dataset (images_in_report=false)" in text
    assert "similarity to control 0.12 (independent)" in text and "Adebayo et al., NeurIPS 2018" in text
    assert "Green to yellow" not in text and "to enlarge them" not in text, "there is nothing to look at"
    assert not any(str(each["src"]).startswith("data:image/jpeg") for each in page.all("img"))
    no_maps = replace(
        hidden, false_negatives=(replace(hidden.false_negatives[0], similarity=None),), false_positives=()
    )
    assert "Adebayo" not in words(page_of(no_maps, tmp_path))
