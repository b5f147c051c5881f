"""Build the documentation site, offline: ``python -m docs.site.build [FOLDER]``; without a folder, in ``build/docs``.

The guides, the README and the notebooks are copied into ``FOLDER/source`` where they have the same relative paths as in
the repository, with the pages that are generated from the program beside them (``reference.py``), and Sphinx writes
``FOLDER/html``. Notebooks are not executed: their stored outputs are shown. A warning is an error.

Links to files that are not pages become copies of these files; where GITHUB_REPOSITORY is set, as in GitHub's
workflows, they lead to the repository's page instead.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from sphinx.cmd.build import build_main

from docs.site.inventories import write_inventories
from docs.site.reference import write_reference

SITE = Path(__file__).parent
ROOT = SITE.parents[1]
PROJECT = ("README.md", "README.fr.md", "CHANGELOG.md", "UPGRADING.md", "CONTRIBUTING.md", "benchmarks/README.md")
RENAMED = {"README.md": "index.md"}
FOLDERS = {"conf": "reference/configuration.md", "docs": "guides.md", "notebooks": "notebooks.md"}
START = "\n```{toctree}\n:hidden:\n\nguides\nnotebooks\nreference\nproject\n```\n"
LINK = re.compile(r"(?P<image>!?)(?P<text>\[[^\]]*\])\((?P<path>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def main(folder: Path) -> int:
    """Build the site in a folder, and return Sphinx's exit code."""
    source = folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(SITE / "pages", source)
    for page in pages():
        copy_page(page, source)
    write_reference(source / "reference")
    write_inventories(folder / "inventories")
    options = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet", "--jobs", "2", "-b", "html"]
    return build_main([*options, "-c", str(SITE), "-d", str(folder / "doctrees"), str(source), str(folder / "html")])


def pages() -> list[str]:
    """Return the pages that the repository holds, as paths from its root."""
    found = [*ROOT.glob("docs/*.md"), *ROOT.glob("notebooks/*.ipynb")]
    return [*PROJECT, *sorted(path.relative_to(ROOT).as_posix() for path in found)]


def copy_page(page: str, source: Path) -> None:
    """Copy a guide or a notebook, with links that lead somewhere in the site."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.endswith(".ipynb"):
        text = json.dumps(with_links(json.loads(text), page, source))
    else:
        text = linked(text, page, source) + (START if page == "README.md" else "")
    target = source / RENAMED.get(page, page)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def with_links(notebook: dict[str, Any], page: str, source: Path) -> dict[str, Any]:
    """Return a notebook whose links lead somewhere, and whose figures have half of their pixels as width.

    Figures are stored for screens with two pixels to a point.
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = linked("".join(cell["source"]), page, source)
        widths = [size["width"] for output in cell.get("outputs", []) for size in output.get("metadata", {}).values()]
        if widths:
            cell["metadata"] = {"mystnb": {"image": {"width": f"{max(widths)}px"}}}
    return notebook


def linked(text: str, page: str, source: Path) -> str:
    """Return Markdown whose relative links lead to pages of the site, to copied files or to the repository."""
    here = PurePosixPath(page).parent

    def replace(link: re.Match[str]) -> str:
        target = normpath((here / link["path"]).as_posix())
        if link["path"].startswith("http") or not (ROOT / target).exists():
            return link[0]
        anchor = link["anchor"] or ""
        if (ROOT / target).is_dir():
            path = FOLDERS[target]
        elif target in pages():
            path = RENAMED.get(target, target)
        elif not link["image"] and (repository := os.environ.get("GITHUB_REPOSITORY")):
            return f"{link['text']}(https://github.com/{repository}/blob/HEAD/{target}{anchor})"
        else:
            path = target
            (source / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / target, source / target)
        return f"{link['image']}{link['text']}({relpath(path, here.as_posix())}{anchor})"

    return LINK.sub(replace, text)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/docs").resolve()))
