"""Execute the notebooks and store them: ``python notebooks/execute.py 02 05``, or all without a number.

Widgets are left out of what is stored, so that a page without a kernel shows the animation in their place. Figures of
lines and letters are stored with 256 colours, which takes half of the bytes.
"""

import base64
import io
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from melanoma_pl.foundations.moving_figures import in_few_colours

FOLDER = Path(__file__).parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"


MOST_COLOURS = 6_000  # of a figure of lines and letters; images have more, and keep them


def smaller(png: str) -> str:
    """Return a figure of lines and letters with 256 colours, and any other PNG as it is; both in base64."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if getattr(image, "n_frames", 1) > 1 or image.convert("RGB").getcolors(MOST_COLOURS) is None:
        return png
    file = io.BytesIO()
    in_few_colours([image.convert("RGB")])[0].save(file, format="png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def execute(path: Path) -> None:
    """Execute a notebook in place, without the images that the environment may name."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=900, kernel_name="python3", record_timing=False, resources=resources).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop(WIDGET, None)
            if "image/png" in data:
                data["image/png"] = smaller(data["image/png"])
    text = nbformat.writes(notebook, indent=1, ensure_ascii=False)
    path.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    for name in ("MELANOMA_IMAGES", "MELANOMA_RUN"):
        os.environ.pop(name, None)
    for each in sorted(FOLDER.glob("*.ipynb")):
        if len(sys.argv) == 1 or each.name[:2] in sys.argv[1:]:
            execute(each)
