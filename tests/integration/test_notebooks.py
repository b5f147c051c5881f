"""Each notebook runs, and is stored executed, small and without paths of the machine that it ran on."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
LARGEST = 300_000  # bytes
SECONDS = 900  # for one cell: the machine may be busy with something else
MACHINE_PATH = re.compile(r"/(?:home|Users|root|work|tmp|var|opt|usr|mnt|workspace)/|[A-Z]:\\\\|site-packages|\.venv")
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
MISSING = [name for name in ("nbclient", "ipykernel") if importlib.util.find_spec(name) is None]

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[dict[str, Any]]:
    """Return a notebook's code cells."""
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_the_notebooks_are_numbered_from_01():
    assert len(NOTEBOOKS) >= 6
    assert [path.stem[:3] for path in NOTEBOOKS] == [f"{number:02}_" for number in range(1, len(NOTEBOOKS) + 1)]


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
    outputs = [output for cell in code_cells(path) for output in cell["outputs"]]
    for output in outputs:
        output.get("data", {}).pop("image/png", None)  # an encoded image may contain any letters
    assert (found := MACHINE_PATH.search(json.dumps(notebook))) is None, found


@every_notebook
def test_says_first_that_it_is_not_a_medical_device(path):
    first = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    assert "synthetic" in first
    assert "not a medical device" in first


@pytest.mark.notebook
@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}: pip install -e '.[notebooks]'")
@every_notebook
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_runs(path, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    noise = [
        output["text"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr"
    ]
    assert not noise
    assert not list(tmp_path.iterdir()), "a notebook leaves nothing behind"
