"""Pages that need nothing but themselves: to be looked at, sent and kept.

Markdown from names and counts that may hold anything.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from melanoma_pl.files import write_atomically
from melanoma_pl.messages import readable


def write_html(path: Path, template: str, context: Mapping[str, Any]) -> Path:
    """Write a page, whole or not at all.

    Args:
        path: Where the page goes; its folder is made if it is not there.
        template: Name of the template in `templates/`.
        context: What the template shows.

    Returns:
        The page's path.
    """
    text = _environment().get_template(template).render(context)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        file.write(text)
    return path


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("melanoma_pl.report"),
        autoescape=True,  # names of files and of lesions may hold < & "
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "readable": readable,
        "breakable": _breakable,
        "command": _command,
        "number": "{:,}".format,
        "percent": "{:.2f}%".format,
    }
    return environment


def _breakable(path: str) -> Markup:
    """Let a path break after its folders rather than within a name."""
    return Markup("/<wbr>").join(readable(path).split("/"))


def _command(text: str) -> Markup:
    """Let a command break between its words: a browser would break `--fix` after its hyphens."""
    return Markup(" ").join(Markup("<span>{}</span>").format(word) for word in text.split(" "))


SPECIAL = re.compile(r"[\\`*\[\]|#~]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word means nothing
LIST_MARK = re.compile(r"^(\s*(?:\d{1,9}(?=[.)])|(?=[-+])))([-+.)])(?=[\s+-]|$)")  # opens a list where a text begins
NO_NAME = "(no name)"


def text(content: str) -> str:
    """Return a text that Markdown shows as it is."""
    escaped = SPECIAL.sub(r"\\\g<0>", html.escape(readable(content), quote=False))
    return LIST_MARK.sub(r"\1\\\2", escaped)


def code(content: str) -> str:
    """Return a name in the letters of code; in a table's cell, too."""
    shown = readable(content)
    if not shown.strip():
        return NO_NAME
    return text(content) if "`" in shown or "|" in shown else f"`{shown}`"


def table(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """Return a table: the first column flush left, the others flush right.

    Args:
        header: The columns' names, in Markdown.
        rows: Their cells, in Markdown, or counts.
    """
    lines = [_line(header), _line(["---", *("---:" for _ in header[1:])])]
    return "\n".join([*lines, *(_line([_cell(cell) for cell in row]) for row in rows)])


def bullets(items: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {item}" for item in items)


def section(title: str, *parts: str) -> str:
    """Return a section; parts that are empty are left out."""
    return "\n\n".join([f"## {title}", *filter(None, parts)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: str | int) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell
