"""Make the images of the README again: ``python -m docs.screenshots [RUN]``, with Chromium and the extras app and dev.

Without a run's folder, one is trained on synthetic images first, which takes a few minutes. No run on images of
patients may be shown here.
"""

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from melanoma_pl.foundations.moving_figures import in_few_colours

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WIDTH, HEIGHT = 1180, 1210  # of the report; the page is as high as its answers
MOST_BYTES = 200_000


def train(folder: Path) -> Path:
    """Train a small network on synthetic images, and return its run."""
    run = folder / "demo"
    words = ["-m", "melanoma_pl.train", "experiment=demo", "data.synthetic.folder=drawn", f"hydra.run.dir={run}"]
    subprocess.run([sys.executable, *words], cwd=folder, check=True)
    return run


def save(shot: bytes, name: str) -> None:
    """Store a screenshot with 256 colours."""
    file = io.BytesIO()
    in_few_colours([Image.open(io.BytesIO(shot)).convert("RGB")])[0].save(file, format="png", optimize=True)
    assert file.tell() < MOST_BYTES, f"{name} has {file.tell()} bytes"
    (IMAGES / name).write_bytes(file.getvalue())


def show_report(browser: Any, run: Path) -> None:
    """Store the first screen of a run's report."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
    page.goto((run / "report/report.html").resolve().as_uri())
    save(page.screenshot(), "report.png")


def show_page(browser: Any, run: Path, images: list[Path]) -> None:
    """Store the local page with its answers to two images."""
    words = ["-m", "melanoma_pl.app", "--port", "0", "--run", str(run)]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            page = browser.new_page(viewport={"width": WIDTH, "height": 600}, color_scheme="light", locale="en-GB")
            page.goto(server.stdout.readline().partition("  ")[0])
            page.locator("input[type=checkbox]").check()
            page.set_input_files("#images", [str(image) for image in images])
            page.get_by_text(f"{len(images)} of {len(images)} images answered").wait_for(timeout=300_000)
            save(page.screenshot(full_page=True), "app.png")
        finally:
            server.terminate()


def main(run: Path | None) -> None:
    """Store both images."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as player:
        run = run or train(Path(folder))
        root = Path(folder, "seen")
        words = ["-m", "melanoma_pl.data", "synthesize", str(root), "--train", "20", "--test", "20", "--seed", "1"]
        subprocess.run([sys.executable, *words], check=True)
        images = [
            shutil.copyfile(root / f"test/{label}/{number}.jpg", root / f"synthetic_{label}.jpg")
            for label, number in (("malignant", "0000"), ("benign", "0001"))
        ]
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        show_report(browser, run)
        show_page(browser, run, images)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
