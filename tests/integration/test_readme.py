"""The README and the guides say what is true: commands are accepted, Python runs, links lead somewhere."""

import pkgutil
import re
import shlex
from pathlib import Path

import pytest

from melanoma_pl import predict
from melanoma_pl.app import __main__ as app
from melanoma_pl.config.composition import compose_config
from melanoma_pl.config.schema import LIVE_METRICS
from melanoma_pl.data import __main__ as data
from melanoma_pl.export import __main__ as export
from melanoma_pl.runs import __main__ as runs

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
FRENCH = (REPOSITORY / "README.fr.md").read_text(encoding="utf-8")
GUIDES = [
    *(REPOSITORY / name for name in ("README.md", "README.fr.md", "UPGRADING.md", "CONTRIBUTING.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
BLOCKS = [block for guide in GUIDES for block in re.findall(r"```bash\n(.*?)```", guide.read_text(), re.DOTALL)]
LINES = [line.partition(" #")[0].rstrip() for block in BLOCKS for line in block.splitlines()]
# what needs a configuration of one's own is run by test_make_it_yours.py
COMMANDS = [shlex.split(line) for line in LINES if line.startswith("melanoma-") and "--config-dir" not in line]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_are_accepted(words: list[str]) -> None:
    command, arguments = words[0], words[1:]
    parsers = {
        "melanoma-predict": predict.parser,
        "melanoma-data": data.parser,
        "melanoma-app": app.parser,
        "melanoma-runs": runs.parser,
        "melanoma-export": export.parser,
    }
    if command in parsers:
        parsers[command]().parse_args(arguments)
        return
    overrides = [text for text in arguments if text != "-m" and not text.startswith("resume=")]
    if "-m" in arguments:  # one job of the sweep
        overrides = [text.partition(",")[0] for text in overrides if not text.startswith("sweep=")]
    compose_config(command.removeprefix("melanoma-"), overrides)


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 10


def test_nothing_is_left_to_fill_in() -> None:
    for guide in [*GUIDES, REPOSITORY / "benchmarks/README.md", REPOSITORY / "CHANGELOG.md"]:
        assert not re.search(r"@[A-Z]+@|TODO|FIXME", guide.read_text()), guide


def test_make_targets_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)", "\n".join(LINES), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    for guide in GUIDES:
        for link in re.findall(r"\]\(([^)#\s]+)\)", guide.read_text()):
            if not link.startswith("http"):
                assert (guide.parent / link).exists(), (guide.name, link)


def lines_of_commands(text: str) -> set[str]:
    """Return the lines of a page's shell blocks, without their comments."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return {line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()} - {""}


def test_the_french_page_repeats_commands_and_figures_of_the_english_one() -> None:
    commands = lines_of_commands(FRENCH)
    assert {"make demo", "make test"} <= commands
    assert commands <= lines_of_commands(README)
    figures = set(re.findall(r"\b0,\d{3}\b", FRENCH))
    assert len(figures) >= 5 and all(figure.replace(",", ".") in README for figure in figures)
    assert "README.md" in FRENCH and "non un dispositif médical" in FRENCH


def test_the_french_page_names_every_notebook_once() -> None:
    notebooks = sorted(file.name for file in (REPOSITORY / "notebooks").glob("*.ipynb"))
    assert re.findall(r"\(notebooks/([^)]+)\)", FRENCH) == notebooks


def test_the_english_page_names_every_notebook_and_the_french_page() -> None:
    assert "README.fr.md" in README
    notebooks = {file.name for file in (REPOSITORY / "notebooks").glob("*.ipynb")}
    assert set(re.findall(r"\(notebooks/([^)]+)\)", README)) == notebooks


def test_upgrading_names_what_exists() -> None:
    rows = [line.strip("| ").split(" | ") for line in (REPOSITORY / "UPGRADING.md").read_text().splitlines()]
    names = [name for row in rows if len(row) == 2 for name in re.findall(r"`(melanoma_pl[\w.]*)", row[1])]
    assert len(names) > 50
    for name in names:
        pkgutil.resolve_name(name)


def test_named_groups_and_options_exist() -> None:
    table = README.split("## The configuration")[1].split("## ")[0]
    for row in table.splitlines():
        groups, _, options = row.strip("| ").partition(" | ")
        if not groups.startswith("`"):
            continue
        found = set(re.findall(r"`([a-z_]+)`", options.split("|")[0]))
        known = {
            file.stem
            for group in re.findall(r"`([a-z_]+)`", groups)
            for file in (REPOSITORY / "conf" / group).iterdir()
        }
        assert found <= known, (found, known)


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_every_key_is_commented_with_its_values() -> None:
    groups = ("data", "model", "optimizer", "scheduler", "threshold", "augmentation")
    files = [file for group in groups for file in (REPOSITORY / "conf" / group).glob("*.yaml")]
    for file in [*files, REPOSITORY / "conf/train.yaml", REPOSITORY / "conf/evaluate.yaml"]:
        keys = file.read_text().split("\nhydra:")[0].split("\nfolder_names:")[0]
        for line in keys.splitlines():
            is_key = (
                re.match(r"\s*[a-z_0-9]+: +[^\s#]", line)
                and not re.search("_target_|^rule:", line)
                and "${" not in line
            )
            assert not is_key or " # " in line, f"{file}: {line}"


@pytest.mark.slow
def test_readme_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "import lightning" in block]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").symlink_to(image_folder)
    small = code.replace("max_epochs=5", "max_epochs=1, accelerator='cpu', logger=False, enable_progress_bar=False")
    exec(compile(small, "README.md", "exec"), {})
    assert len([line for line in capsys.readouterr().out.splitlines() if ".png" in line]) == 12


def test_live_metrics_are_those_of_the_settings() -> None:
    from melanoma_pl.models.classifier import live_metrics

    assert {"loss", *live_metrics()} == set(LIVE_METRICS)
