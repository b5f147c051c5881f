"""The evaluation's page as a person sees it, on a wide screen and on a phone, in headless Chromium."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.report.content import Content, SubgroupTable
from melanoma_pl.report.page import FIGURES, write_figures, write_page
from tests.integration.browsing import DESKTOP, MARKS, PHONE, Visit, chromium
from tests.unit.report.evaluation_examples import bare_content, full_content, group

pytestmark = MARKS
BOTH = pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])


def written(content: Content, folder: Path) -> str:
    return write_page(content, write_figures(content, folder / "figures"), folder).as_uri()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the page of an evaluation that has everything."""
    return written(full_content(), tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@BOTH
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_stands_alone_and_fits(viewport: dict[str, int], scheme: str, browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport, scheme)
    visit.open_all()
    assert visit.ask("document.documentElement.scrollWidth") <= viewport["width"]
    images = visit.ask("[...document.images].map(image => image.complete && image.naturalWidth > 0)")
    assert len(images) == len(FIGURES) + 3 * 3 + 1 and all(images)
    assert {url for url in visit.requests if not url.startswith("data:")} == {address}
    assert visit.complaints == []
    assert (visit.ground > 3 * 230) == (scheme == "light")


@BOTH
def test_page_of_nothing_computable_fits(viewport: dict[str, int], browser: Any, tmp_path: Path) -> None:
    visit = Visit(browser, written(bare_content(), tmp_path), viewport)
    assert visit.ask("document.documentElement.scrollWidth") <= viewport["width"]
    assert visit.complaints == []


@BOTH
def test_a_phone_folds_what_a_wide_screen_shows(viewport: dict[str, int], browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport)
    assert visit.ask("[...document.querySelectorAll('details.fold')].every(fold => !fold.open)")
    assert visit.ask("document.querySelector('#decisions table').checkVisibility()") == (viewport == DESKTOP)
    assert visit.ask("document.querySelector('#decisions summary').checkVisibility()") == (viewport == PHONE)
    shown = visit.ask("[...document.querySelectorAll('.learning')].filter(own => own.checkVisibility()).length")
    assert shown == 1, "the learning curves in the shape that fits"
    assert visit.ask("document.querySelector('.verdict').getBoundingClientRect().top") < 400


def test_a_phone_needs_few_screens(browser: Any, tmp_path: Path) -> None:
    one = replace(full_content(), members=(), robustness=(), image_sets=(), experiments=full_content().experiments[:1])
    visit = Visit(browser, written(one, tmp_path), {"width": 390, "height": 844})
    assert visit.ask("document.documentElement.scrollHeight") < 9000


def test_nothing_lies_beyond_the_edge_of_a_phone(browser: Any, address: str) -> None:
    visit = Visit(browser, address, PHONE)
    visit.open_all()
    beyond = """[...document.querySelectorAll('main *')]
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('.scroll, nav'))
        .map(element => element.textContent)"""
    assert visit.ask(beyond) == []


def test_tables_of_three_columns_fit_a_phone(browser: Any, address: str) -> None:
    visit = Visit(browser, address, PHONE)
    visit.open_all()
    wide = """[...document.querySelectorAll('.scroll')].filter(box => box.scrollWidth > box.clientWidth)
        .map(box => box.getAttribute('aria-label'))"""
    assert visit.ask(wide) in ([], ["Robustness"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_long_values_are_whole_on_a_phone(scheme: str, browser: Any, tmp_path: Path) -> None:
    rows = (group("intermediate", 120, 40), group("melanoma|seborrheic keratosis|pigmented_benign_keratosis", 90, 30))
    signed = replace(rows[0], value="letters" * 12, auroc=Estimate(-0.012, (-0.123, 0.156)))
    table = SubgroupTable("diagnosis_of_the_pathologist_of_the_clinic", False, (*rows, signed))
    visit = Visit(browser, written(replace(full_content(), subgroups=(table,)), tmp_path), PHONE, scheme)
    visit.open_all()
    cut = """[...document.querySelectorAll('#subgroups .scroll *, #subgroups h3')]
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('.hidden'))
        .map(element => element.textContent)"""
    assert visit.ask(cut) == []
    broken = (
        "[...document.querySelectorAll('.interval')].filter(own => own.offsetHeight > 24).map(own => own.textContent)"
    )
    assert visit.ask(broken) == []


def test_letters_in_figures_are_legible_on_a_phone(browser: Any, address: str) -> None:
    visit = Visit(browser, address, PHONE)
    visit.open_all()
    drawn = "[...document.querySelectorAll('.drawing img')].filter(image => image.offsetWidth)"
    scales = visit.ask(f"{drawn}.map(image => image.width / image.naturalWidth)")
    assert len(scales) == len(FIGURES) - 1 and min(scales) * 10 * 96 / 72 > 10  # pixels, of letters of 10 points


def test_links_lead_to_their_sections(browser: Any, address: str) -> None:
    visit = Visit(browser, address, PHONE)
    for link in visit.page.locator("nav a").all():
        link.click()
        top = visit.ask("document.querySelector(location.hash).getBoundingClientRect().top")
        bottom = visit.ask("scrollY + innerHeight >= document.documentElement.scrollHeight - 1")
        assert 0 <= top < PHONE["height"] / 2 or bottom


def test_page_works_from_the_keyboard(browser: Any, address: str) -> None:
    visit = Visit(browser, address, DESKTOP)
    visit.page.locator("#robustness summary").focus()
    visit.page.keyboard.press("Enter")
    assert visit.ask("document.querySelector('#robustness details').open")
    assert visit.ask("[...document.querySelectorAll('.scroll')].every(box => box.tabIndex === 0)")


def test_page_is_saved_where_its_figures_are_not(browser: Any, address: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.html"
    shutil.copy(address.removeprefix("file://"), moved)
    visit = Visit(browser, moved.as_uri(), PHONE)
    assert visit.ask("[...document.images].every(image => image.naturalWidth > 0)")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_mistakes_open_large_with_the_keyboard_or_a_click_and_close_again(
    viewport: dict[str, int], browser: Any, address: str
) -> None:
    visit = Visit(browser, address, viewport)
    images = visit.page.locator(".views > summary").first
    images.scroll_into_view_if_needed()
    before, top = images.locator("img").first.bounding_box()["width"], visit.ask("scrollY")
    for act in (lambda: images.press("Enter"), images.click):
        act()
        assert images.locator("img").first.bounding_box()["width"] > 2 * before
        cover = visit.page.locator(".views[open]").bounding_box()
        assert (cover["x"], cover["y"]) == (0, 0) and cover["height"] == viewport["height"]
        act()
        assert images.locator("img").first.bounding_box()["width"] == before
        assert abs(visit.ask("scrollY") - top) < viewport["height"] / 2, "the reader stays where they were"
    assert visit.complaints == []
