"""Markup of pages and cards: HTML from templates, embedded thumbnails, and Markdown that shows any name as plain text.

Light: no PyTorch.
"""

import base64
import html
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from melanoma_pl.files import write_atomically
from melanoma_pl.image_files import BrokenImageError, draft, open_image, read_all, to_rgb
from melanoma_pl.messages import amount, readable

SPECIAL = re.compile(r"[\\`*\[\]|#~]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word has no meaning
LIST_MARK = re.compile(r"^(\s*(?:\d{1,9}(?=[.)])|(?=[-+])))([-+.)])(?=[\s+-]|$)")  # starts a list at a text's start
NO_NAME = "(no name)"
SIDE = 160  # pixels, of the longer side of a thumbnail
QUALITY = 72  # of JPEG: about 5 kB a thumbnail


def write_html(path: Path, template: str, context: Mapping[str, Any]) -> Path:
    """Write a page, whole or not at all.

    Args:
        path: Path of the page; its folder is created if necessary.
        template: Name of the template in `templates/`.
        context: Variables of the template.

    Returns:
        Path of the page.
    """
    content = template_environment().get_template(template).render(context)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        file.write(content)
    return path


def render_markdown(template: str, **context: Any) -> str:
    """Return a Markdown text in which every value of the context is shown as plain text.

    Several empty lines become one. A value is inserted unchanged only if it is `Markup`, as from the filter `code`.

    Args:
        template: Name of the template in `templates/`.
        context: Variables of the template.
    """
    content = template_environment(finalize=_markdown).get_template(template).render(context)
    return re.sub(r"\n{3,}", "\n\n", content).strip() + "\n"


@cache  # so that each template is compiled once
def template_environment(*packages: str, **options: Any) -> Environment:
    """Return the environment of the templates of the reports and of further packages, with the filters of both.

    Args:
        packages: Packages whose `templates/` go before those of the reports.
        options: Options of jinja2's environment.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, "melanoma_pl.report")]),
        autoescape=True,  # names of files and of lesions may contain < & "
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.filters |= {
        "readable": readable,
        "breakable": _breakable,
        "command": _command,
        "code": code,
        "number": "{:,}".format,
        "percent": "{:.2f}%".format,
    }
    environment.globals["amount"] = amount
    return environment


def _markdown(value: object) -> Markup:
    """Return a value of a Markdown template as Markdown."""
    if isinstance(value, Markup):
        return value
    return Markup(f"{value:,}") if isinstance(value, int) else text(str(value))


def _breakable(path: str) -> Markup:
    """Allow line breaks after the folders of a path rather than within a name."""
    return Markup("/<wbr>").join(readable(path).split("/"))


def _command(command: str) -> Markup:
    """Allow line breaks only between the words of a command: a browser would break `--fix` after its hyphens."""
    return Markup(" ").join(Markup("<span>{}</span>").format(word) for word in command.split(" "))


def text(content: str) -> Markup:
    """Return a text escaped so that Markdown shows it unchanged."""
    escaped = SPECIAL.sub(r"\\\g<0>", html.escape(readable(content), quote=False))
    return Markup(LIST_MARK.sub(r"\1\\\2", escaped))


def code(content: str) -> Markup:
    """Return a name as inline code, also within a table cell."""
    shown = readable(content)
    if not shown.strip():
        return Markup(NO_NAME)
    return text(content) if "`" in shown or "|" in shown else Markup(f"`{shown}`")


# Images embedded in a page


@dataclass(frozen=True)
class EmbeddedImage:
    """An image as a data URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def thumbnails(root: Path, paths: Iterable[str], side: int = SIDE) -> dict[str, EmbeddedImage]:
    """Return a thumbnail of each image that can be read.

    Args:
        root: Folder that the paths are relative to.
        paths: Paths of the images, with `/`.
        side: Length of the longer side in pixels; smaller images keep their size.
    """
    wanted = sorted(set(paths))
    found = read_all(lambda path: thumbnail(root / path, side), wanted, "thumbnails")
    return {path: small for path, small in zip(wanted, found, strict=True) if small}


def thumbnail(file: Path, side: int = SIDE) -> EmbeddedImage | None:
    """Return a thumbnail of an image, or None if it cannot be read."""
    try:
        with open_image(file) as image:
            draft(image, side)
            small = to_rgb(image)
            small.thumbnail((side, side), reducing_gap=2.0)
            return EmbeddedImage(data_uri(small), *small.size)
    except BrokenImageError:
        return None


def data_uri(image: Image.Image) -> str:
    """Return an image as a JPEG in a data URI, without the comment of its file, which may name a patient."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY, comment=b"")
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
