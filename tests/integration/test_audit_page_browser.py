"""The audit's page as a person sees it, on a wide screen and on a phone, in headless Chromium."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from melanoma_pl.report.data.audit_page import write_page
from tests.integration.browsing import DESKTOP, MARKS, PHONE, Visit, chromium
from tests.unit.report.data.audit_examples import full_audit, write_images

pytestmark = MARKS


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the page of an audit that found everything."""
    listing = write_images(tmp_path_factory.mktemp("images"))
    return write_page(full_audit(listing.root), listing, tmp_path_factory.mktemp("audit")).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_stands_alone_and_fits(viewport: dict[str, int], scheme: str, browser: Any, address: str) -> None:
    visit = Visit(browser, address, viewport, scheme)
    visit.open_all()
    assert visit.ask("document.documentElement.scrollWidth") <= viewport["width"]
    images = visit.ask("[...document.images].map(image => image.complete && image.naturalWidth > 0)")
    assert len(images) > 12 and all(images)
    assert {url for url in visit.requests if not url.startswith("data:")} == {address}
    assert visit.complaints == []


def test_nothing_overlaps_the_edge_of_a_phone(browser: Any, address: str) -> None:
    visit = Visit(browser, address, PHONE)
    beyond = """[...document.querySelectorAll('main img, main p, main code, main .path, main h2, main h3, main dd')]
        .filter(element => element.getBoundingClientRect().right > innerWidth + 1)
        .map(element => element.textContent)"""
    assert visit.ask(beyond) == []


def test_dark_is_dark(browser: Any, address: str) -> None:
    light, dark = (Visit(browser, address, DESKTOP, scheme).ground for scheme in ("light", "dark"))
    assert light > 3 * 230 and dark < 3 * 40


def test_links_lead_to_their_sections(browser: Any, address: str) -> None:
    visit = Visit(browser, address, PHONE)
    for link in visit.page.locator("nav a").all():
        link.click()
        top = visit.ask("document.querySelector(location.hash).getBoundingClientRect().top")
        bottom = visit.ask("scrollY + innerHeight >= document.documentElement.scrollHeight - 1")
        assert 0 <= top < PHONE["height"] / 2 or bottom


def test_page_works_from_the_keyboard(browser: Any, address: str) -> None:
    visit = Visit(browser, address, DESKTOP)
    visit.page.locator("#pairs-title").locator("xpath=ancestor::summary").focus()
    assert not visit.ask("document.querySelector('#pairs-title').closest('details').open")
    visit.page.keyboard.press("Enter")
    assert visit.ask("document.querySelector('#pairs-title').closest('details').open")


def test_page_is_saved_where_its_images_are_not(browser: Any, address: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.html"
    shutil.copy(address.removeprefix("file://"), moved)
    visit = Visit(browser, moved.as_uri(), PHONE)
    assert visit.ask("[...document.images].every(image => image.naturalWidth > 0)")
