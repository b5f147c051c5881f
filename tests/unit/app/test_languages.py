"""Both languages say the same things, and the browser chooses."""

import re

import pytest

from melanoma_pl.app.languages import PHRASES, Language, choose_language


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "en"),
        ("fr", "fr"),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "fr"),
        ("en-GB,en;q=0.9,fr;q=0.8", "en"),
        ("de, fr;q=0.3, en;q=0.9", "en"),
        ("de,fr;q=0.5", "fr"),
        ("fr;q=0", "en"),
        ("fr;q=nonsense,;;,en;q=0.1", "fr"),
        ("," * 10_000, "en"),
    ],
)
def test_the_browser_chooses(accepted: str, expected: str) -> None:
    assert choose_language(accepted).code == expected


def test_both_languages_use_the_same_values() -> None:
    for key, (english, french) in PHRASES.items():
        used = [{name.removesuffix("_plural") for name in re.findall(r"{(\w+)}", text)} for text in (english, french)]
        assert used[0] == used[1], key


def test_french_numbers_and_reasons() -> None:
    french = Language("fr")
    assert french.number(0.1234, 3) == "0,123" and Language("en").number(0.1234, 3) == "0.123"
    assert french.class_name("malignant") == "maligne" and french.class_name("naevus x") == "naevus x"
    assert french.reason("30000×30000 pixels, more than any camera takes").startswith("30000×30000 pixels, plus")
    assert french.reason("broken data stream") == "broken data stream"
