"""The documentation site: it is built without a warning, holds what it should, and opens without a network."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from tests.integration.browsing import DESKTOP, MARKS, PHONE, Visit, chromium

REPOSITORY = Path(__file__).parents[2]
CONF = REPOSITORY / "conf"
MISSING = [name for name in ("sphinx", "myst_nb", "pydata_sphinx_theme") if importlib.util.find_spec(name) is None]
needs_extra = pytest.mark.skipif(bool(MISSING), reason=f"needs the extra docs: {', '.join(MISSING)}")
LOADED = re.compile(
    r"""<(?:script|img|iframe|source)[^>]* src=["'](?P<file>[^"']*)|<link[^>]* href=["'](?P<link>[^"']*)"""
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site in HTML, built once for all processes of the tests; its notebooks show their stored outputs."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.mktemp("docs")
    with FileLock(folder / "docs-site.lock"):
        target, log = folder / "docs-site", folder / "docs-site.log"
        if not log.exists():
            command = [sys.executable, "-m", "docs.site.build", str(target)]
            built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
            log.write_text(f"exit code {built.returncode}\n{built.stdout}{built.stderr}", encoding="utf-8")
        said = log.read_text(encoding="utf-8")
    assert said.startswith("exit code 0\n"), said[-5000:]
    return target / "html"


def page(site: Path, name: str) -> str:
    return (site / f"{name}.html").read_text(encoding="utf-8")


@needs_extra
@pytest.mark.slow
def test_the_site_holds_guides_notebooks_commands_keys_and_modules(site: Path) -> None:
    for source in [*REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("notebooks/*.ipynb")]:
        assert (site / source.relative_to(REPOSITORY).with_suffix(".html")).is_file(), source
    assert "<img" in page(site, "notebooks/02_neurons_and_descent") and "<math" in page(
        site, "notebooks/03_back_propagation"
    )
    commands = page(site, "reference/commands")
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert [name for name in scripts if f">{name}<" not in commands] == []
    assert "melanoma-data audit" in commands and "--group-column" in commands and str(REPOSITORY) not in commands
    configuration = re.sub(r"<[^>]+>", "", page(site, "reference/configuration"))
    assert "data.image_size" in configuration and "pixels, 22 to 2048" in configuration
    assert "integer ≥ 22, ≤ 2048" in configuration and "dermoscopy" in configuration
    assert (
        page(site, "reference/api/models").count("https://docs.pytorch.org/docs/stable/tensors.html#torch.Tensor") > 20
    )
    assert "common/trainer.html#lightning.pytorch.trainer.trainer.Trainer" in page(site, "reference/api/training")


@needs_extra
@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for each in pages:
        files = [found["file"] or found["link"] for found in LOADED.finditer(each.read_text(encoding="utf-8"))]
        assert not [file for file in files if re.match(r"(?:https?:)?//", file)], each
    sheets = "".join(sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css"))
    assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheets)


def complaints(visit: Visit) -> list[str]:
    """Return what a page told the console, without the theme's notes on what it did."""
    return [text for text in visit.complaints if not text.startswith("[PST]")]


@pytest.fixture
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@needs_extra
@pytest.mark.parametrize("viewport, scheme", [(DESKTOP, "light"), (PHONE, "dark")])
class TestInBrowser:
    pytestmark = MARKS

    def test_pages_open_and_are_found_without_a_server(
        self, browser: Any, site: Path, viewport: dict[str, int], scheme: str
    ) -> None:
        for name in ("index", "docs/evaluation", "notebooks/04_convolution_and_pooling", "reference/api/models"):
            visit = Visit(browser, (site / f"{name}.html").as_uri(), viewport, scheme)
            assert visit.page.locator("h1").first.is_visible()
            assert visit.ask("document.documentElement.scrollWidth <= innerWidth"), name
            assert visit.ground > 600 if scheme == "light" else visit.ground < 150
            assert visit.ask("[...document.images].every(image => image.loading == 'lazy' || image.naturalWidth > 0)")
            assert all(request.startswith(("file:", "data:")) for request in visit.requests), visit.requests
            assert not complaints(visit)
            visit.page.close()
        visit = Visit(browser, (site / "index.html").as_uri(), viewport, scheme)
        visit.page.keyboard.press("Control+k")
        visit.page.keyboard.type("quarantine")
        visit.page.keyboard.press("Enter")
        result = visit.page.locator("#search-results a", has_text="Preparing data").first
        result.wait_for(timeout=30_000)
        assert all(request.startswith(("file:", "data:")) for request in visit.requests), visit.requests
        assert not complaints(visit)
        result.click()
        visit.page.wait_for_url("**/docs/*.html*")
        visit.page.close()


@needs_extra
def test_links_of_guides_lead_to_pages_to_copies_or_to_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docs.site.build import linked

    rest = " ![i](images/app.png) [w](https://a/b)"
    text = f"[r](../README.md#results) [k](../conf) [d](data.md) [f](../conf/train.yaml){rest}"
    here = "[r](../index.md#results) [k](../reference/configuration.md) [d](data.md) "
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert linked(text, "docs/evaluation.md", tmp_path) == f"{here}[f](../conf/train.yaml){rest}"
    assert (tmp_path / "conf/train.yaml").is_file() and (tmp_path / "docs/images/app.png").is_file()
    monkeypatch.setenv("GITHUB_REPOSITORY", "some/one")
    hosted = "[f](https://github.com/some/one/blob/HEAD/conf/train.yaml)"
    assert linked(text, "docs/evaluation.md", tmp_path) == f"{here}{hosted}{rest}"


def flat(tree: Any, above: str = "") -> set[str]:
    """Return the dotted names of a tree's leaves."""
    if not isinstance(tree, dict) or not tree:
        return {above} - {""}
    return set().union(*(flat(value, f"{above}.{key}".lstrip(".")) for key, value in tree.items()))


@pytest.mark.parametrize(
    "file", sorted(CONF.rglob("*.yaml")), ids=lambda file: file.relative_to(CONF).with_suffix("").as_posix()
)
def test_the_reference_names_every_key(file: Path) -> None:
    from docs.site.reference import HYDRA, read_keys

    if file.parent.parent.name == "hydra":  # Hydra's logging, which is nobody's choice
        return
    text = file.read_text(encoding="utf-8")
    tree = yaml.safe_load(text) or {}
    tree.pop("defaults", None)
    for name in HYDRA:
        tree.get("hydra", {}).pop(name, None)
    listed = {key.name for key in read_keys(text)}
    # {a: 1} in one line is one key; values over several lines are described by their first
    missing = {name for name in flat(tree) if not any(name == key or name.startswith(f"{key}.") for key in listed)}
    assert missing <= {"hydra"}, missing
