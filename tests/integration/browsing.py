"""Pages opened in headless Chromium, and what they did there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 380, "height": 800}

MARKS = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]
"""Marks and helpers of the tests in a browser."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Launch a browser, and close it at the end; skip the test where nothing can drive one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with playwright.sync_playwright() as player:
        launched = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *QUIET])
        yield launched
        launched.close()


class Visit:
    """A page that was opened, and what it did."""

    def __init__(self, browser: Any, address: str, viewport: dict[str, int], scheme: str = "light") -> None:
        self.page = browser.new_page(viewport=viewport, color_scheme=scheme)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address, wait_until="load")

    def ask(self, script: str) -> Any:
        return self.page.evaluate(script)

    def ask_with(self, script: str, argument: Any) -> Any:
        return self.page.evaluate(script, argument)

    def open_all(self) -> None:
        self.ask("document.querySelectorAll('details').forEach(details => { details.open = true })")

    @property
    def ground(self) -> int:
        """Brightness of the page's ground, 0 to 765."""
        colour = self.ask("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")))
