"""The local page as a person uses it, in headless Chromium."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command
from tests.integration.browsing import DESKTOP, MARKS, PHONE, Visit, chromium
from tests.integration.test_local_page import needs_extra, served, train_tiny

pytestmark = [*MARKS, needs_extra]

DROP = """async ([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  document.querySelector(".drop").dispatchEvent(
    new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def address(run_command: Command, image_folder: Path) -> Iterator[str]:
    with served("--run", str(train_tiny(run_command, image_folder))) as found:
        yield found


@pytest.fixture
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


def test_images_are_dropped_chosen_and_answered_by_this_machine_alone(
    browser: Any, address: str, image_folder: Path, tmp_path: Path
) -> None:
    image = image_folder / "test/malignant/001.png"
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    for viewport, scheme in ((DESKTOP, "light"), (PHONE, "dark")):
        visit = Visit(browser, address, viewport, scheme)
        visit.ask_with(DROP, ["<b>dropped</b>.png", base64.b64encode(image.read_bytes()).decode()])
        answer = visit.page.locator(".answer:has(.scale)")
        answer.wait_for(timeout=30_000)
        text = answer.inner_text()
        assert "<b>dropped</b>.png" in text and "The network calls this image" in text and "threshold 0." in text
        visit.page.get_by_role("button", name="Show heat map").click()
        answer.locator("img").nth(1).wait_for(timeout=30_000)
        assert visit.page.evaluate("document.activeElement.tagName") == "H3"
        visit.page.set_input_files("#images", [str(image), str(broken)])
        visit.page.locator(".answer .refused").wait_for(timeout=30_000)
        visit.page.get_by_text("3 of 3 images answered").wait_for(timeout=30_000)
        assert visit.ask("document.documentElement.scrollWidth <= innerWidth")
        assert visit.ground > 600 if scheme == "light" else visit.ground < 150
        asked = [request for request in visit.requests if not request.startswith("data:")]
        assert len(asked) == 5 and all(request.startswith(f"{address}/") for request in asked), asked
        assert not visit.complaints
        visit.page.close()


def test_the_page_works_without_a_script_and_by_keyboard(browser: Any, address: str, image_folder: Path) -> None:
    context = browser.new_context(java_script_enabled=False, locale="fr-FR", viewport=PHONE)
    page = context.new_page()
    page.goto(address)
    page.set_input_files("#images", str(image_folder / "test/benign/000.png"))
    page.focus("#images")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # the check box of the heat map
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".answer img").nth(1).wait_for(timeout=30_000)
    assert "Le réseau classe cette image" in page.inner_text(".answer")
    context.close()
