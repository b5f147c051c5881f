"""Names of files on the terminal: no escape sequence, no change of direction, no line of their own."""

import json
import logging

import pytest

from melanoma_pl.config.app import ReadableFormatter
from melanoma_pl.errors import UserError
from melanoma_pl.messages import json_text, readable

NAME = "a\x1b[31m\u202egnp.exe\nerror: forged\udcff\x9b.png"
SHOWN = r"a\x1b[31m\u202egnp.exe\nerror: forged\udcff\x9b.png"


def test_a_name_is_shown_with_its_odd_letters_escaped() -> None:
    assert readable(NAME) == SHOWN
    assert readable("Muttermal ä (1).jpg") == "Muttermal ä (1).jpg"
    assert readable("two\nlines\x1b", keep="\n") == "two\nlines\\x1b"


def test_an_error_is_one_line_whatever_names_it_holds() -> None:
    assert str(UserError(f"{NAME} is broken", "remove it")) == f"{SHOWN} is broken: remove it"
    assert str(UserError("a", "b", ["  c", NAME])) == f"a: b\n  c\n{SHOWN}"


@pytest.mark.parametrize("indent", [None, 2])
def test_json_is_safe_and_returns_the_name(indent: int | None) -> None:
    text = json_text({"path": NAME, "ä": [1.5, None]}, indent)
    assert json.loads(text) == {"path": NAME, "ä": [1.5, None]}
    assert "ä" in text
    assert text.replace("\n", "").isprintable()


def test_a_log_line_holds_no_command_of_a_terminal() -> None:
    record = logging.LogRecord("", logging.INFO, "", 0, "table\n%s", ("a\x1b[2J",), None)
    assert ReadableFormatter("%(message)s").format(record) == "table\na\\x1b[2J"
