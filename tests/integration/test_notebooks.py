"""Each notebook runs, and is stored executed, small and without paths of the machine that it ran on."""

import base64
import importlib.util
import io
import json
import re
import tomllib
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
LARGEST = 1_000 * 1024  # bytes
SECONDS = 900  # for one cell: the machine may be busy with something else
MACHINE_PATH = re.compile(r"/(?:home|Users|root|work|tmp|var|opt|usr|mnt|workspace)/|[A-Z]:\\\\|site-packages|\.venv")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"
ANSWER = re.compile(r"```python\n(?P<code>.*?)```\n(?:\nIt prints:\n\n```text\n(?P<printed>.*?)```)?", re.DOTALL)
MISSING = [name for name in ("nbclient", "ipykernel", "ipywidgets") if importlib.util.find_spec(name) is None]

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def numbered(*numbers: str) -> list[Path]:
    """Return the notebooks with these numbers."""
    return [path for path in NOTEBOOKS if path.stem[:2] in numbers]


def code_cells(path: Path) -> list[dict[str, Any]]:
    """Return a notebook's code cells."""
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_the_notebooks_are_numbered_from_00():
    assert len(NOTEBOOKS) >= 11
    assert [path.stem[:3] for path in NOTEBOOKS] == [f"{number:02}_" for number in range(len(NOTEBOOKS))]


@every_notebook
def test_is_stored_executed_in_order_and_without_errors(path):
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds <= {"stream", "execute_result", "display_data"}
    assert "execute_result" in kinds
    streams = {output["name"] for cell in cells for output in cell["outputs"] if output["output_type"] == "stream"}
    assert streams <= {"stdout"}, "a stored notebook must not hold warnings or progress bars"


@every_notebook
def test_is_small_and_holds_no_path_of_the_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    notebook = json.loads(text)
    assert notebook["metadata"] == METADATA
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    for output in [output for cell in notebook["cells"] for output in cell.get("outputs", [])]:
        for kind in ("image/png", "image/jpeg"):  # an encoded image may contain any letters
            output.get("data", {}).pop(kind, None)
    assert (found := MACHINE_PATH.search(json.dumps(notebook))) is None, found


@every_notebook
def test_says_first_that_it_is_not_a_medical_device(path):
    first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    assert "synthetic" in first
    assert "not a medical device" in first


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path.stem[:2] in ("00", "09")], ids=lambda path: path.stem
)
def test_is_stored_with_drawn_images_only(path):
    assert "MELANOMA_IMAGES" in path.read_text(encoding="utf-8")
    printed = [
        "".join(output["text"])
        for cell in code_cells(path)
        for output in cell["outputs"]
        if output.get("name") == "stdout"
    ]
    assert "drawn images (MELANOMA_IMAGES is not set)\n" in printed
    assert not any("images of the folder" in text for text in printed)


@every_notebook
def test_has_exercises_with_folded_answers(path):
    text = "".join("".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
    exercises = text.split("## Exercises")[1]
    answers = exercises.count("<details><summary>Answer</summary>")
    assert answers >= 2 and answers == exercises.count("</details>") == len(
        re.findall(r"^\*\*\d\.\*\*", exercises, re.MULTILINE)
    )


@every_notebook
def test_figures_are_sharp(path):
    """Each figure is stored with twice the pixels that it is shown at."""
    assert '%config InlineBackend.figure_format = "retina"' in "".join(code_cells(path)[0]["source"])
    figures = 0
    for cell in code_cells(path):
        for output in cell["outputs"]:
            assert WIDGET not in output.get("data", {}), "stored by notebooks/execute.py, a widget leaves its animation"
            for kind in {"image/png", "image/jpeg"} & set(output.get("data", {})):
                figures += 1
                with Image.open(io.BytesIO(base64.b64decode(output["data"][kind]))) as image:
                    assert abs(image.width - 2 * output["metadata"][kind]["width"]) <= 1
    assert figures


@pytest.mark.parametrize("path", numbered("02", "04", "05", "06"), ids=lambda path: path.stem)
def test_a_page_without_a_kernel_has_an_animation(path):
    pictures = [output["data"] for cell in code_cells(path) for output in cell["outputs"] if "data" in output]
    frames = []
    for data in pictures:
        if "image/png" in data:
            with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as image:
                frames.append(getattr(image, "n_frames", 1))
    assert max(frames) >= 10


def test_make_notebooks_installs_what_it_opens():
    repository = Path(__file__).parents[2]
    extras = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    needed = {re.split(r"[<>=!\[]", requirement)[0] for requirement in extras["notebooks"]}
    assert {"jupyterlab", "ipywidgets", "ipykernel", "onnxruntime"} <= needed
    pinned = {line.partition("==")[0] for line in (repository / "constraints.txt").read_text().splitlines()}
    assert needed - {"melanoma-pl"} <= pinned
    target = (repository / "Makefile").read_text().partition("\nnotebooks:")[2].partition("\n\n")[0]
    assert (
        ".installed-notebooks" in target and "jupyter lab" in target and "/lab/tree/notebooks $(LAB_OPTIONS)" in target
    )


def test_the_conclusion_repeats_the_figures_of_the_guides():
    (path,) = numbered("10")
    repository = path.parents[1]
    guides = (repository / "README.md").read_text() + (repository / "docs/evaluation.md").read_text()
    figures = set(re.findall(r"0\.\d{3} \[0\.\d{3}–0\.\d{3}\]", path.read_text(encoding="utf-8")))
    assert len(figures) == 9
    assert not {figure for figure in figures if figure not in guides}


@every_notebook
def test_links_lead_somewhere(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"]) if cell["cell_type"] == "markdown" else ""
        text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)#\s]+)\)", text):
            assert link.startswith("http") or (path.parent / link).exists(), link


def test_most_chapters_have_an_answer_in_code():
    cells = {path.stem[:2]: json.loads(path.read_text(encoding="utf-8"))["cells"] for path in NOTEBOOKS}
    texts = {number: "".join("".join(cell["source"]) for cell in each) for number, each in cells.items()}
    answers = {number: len(ANSWER.findall(text.split("## Exercises")[1])) for number, text in texts.items()}
    printed = sum(bool(found["printed"]) for text in texts.values() for found in ANSWER.finditer(text))
    assert printed == sum(text.count("```text") for text in texts.values()) >= 14, "each is compared"
    assert all(answers[f"0{number}"] >= 2 for number in range(1, 8)), answers


def needs_a_kernel(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that executes a notebook."""
    marks = (
        pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
        pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}: pip install -e '.[notebooks]'"),
        pytest.mark.slow,
        pytest.mark.notebook,
    )
    return reduce(lambda marked, mark: mark(marked), marks, test)


def with_answers(notebook: Any) -> dict[int, str]:
    """Add the code of the exercises' answers to a notebook, and return what each of these cells should print."""
    import nbformat

    cells, expected = [], {}
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "markdown" and "## Exercises" in cell.source:
            for answer in ANSWER.finditer(cell.source.split("## Exercises")[1]):
                expected[len(cells)] = answer["printed"] or ""
                cells.append(nbformat.v4.new_code_cell(answer["code"]))
    notebook.cells = cells
    return expected


def printed_by(path: Path, folder: Path, answers: bool = False) -> dict[str, str]:
    """Execute a notebook in a folder, and return what it prints, by the stream's name.

    Args:
        path: The notebook.
        folder: Working folder.
        answers: Whether to execute the answers of the exercises too, and to compare what they print.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    expected = with_answers(notebook) if answers else {}
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=resources).execute()
    for position, text in expected.items():
        cell = notebook.cells[position]
        printed = "".join(output["text"] for output in cell.outputs if output.get("name") == "stdout")
        assert printed == text, cell.source
    texts = {"stdout": "", "stderr": ""}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output["output_type"] == "stream":
                texts[output["name"]] += output["text"]
    return texts


@needs_a_kernel
@every_notebook
def test_runs(path, tmp_path, monkeypatch):
    for name in ("MELANOMA_IMAGES", "MELANOMA_RUN"):
        monkeypatch.delenv(name, raising=False)
    assert not printed_by(path, tmp_path, answers=True)["stderr"]
    assert not list(tmp_path.iterdir()), "a notebook leaves nothing behind"


@needs_a_kernel
@pytest.mark.real_data
@pytest.mark.parametrize("path", numbered("00", "09"), ids=lambda path: path.stem)
def test_takes_images_of_ones_own(path, tmp_path, monkeypatch, shared_images):
    monkeypatch.setenv("MELANOMA_IMAGES", str(shared_images / "isic_moles/test"))
    printed = printed_by(path, tmp_path)
    assert "images of the folder in MELANOMA_IMAGES" in printed["stdout"]
    assert not printed["stderr"]
