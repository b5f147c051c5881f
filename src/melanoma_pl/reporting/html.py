"""Pages that need nothing but themselves: to be looked at, sent and kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from melanoma_pl.files import write_atomically
from melanoma_pl.reporting.words import readable


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
        loader=PackageLoader("melanoma_pl.reporting"),
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
