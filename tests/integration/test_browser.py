"""TensorBoard as a person sees it, in headless Chromium."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from melanoma_pl import train  # noqa: E402
from tests.conftest import TINY, Command  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def board(run_command: Command, work_folder: Path, image_folder: Path) -> Iterator[str]:
    """TensorBoard over one run; its address."""
    shown = [text for text in TINY if not text.startswith(("logger", "callbacks"))]
    result = run_command(train.command, *shown, "data=folder", f"data.root={image_folder}")
    assert result.code == 0, result.error
    port = free_port()
    words = ["-m", "tensorboard.main", "--logdir", "outputs", "--port", str(port), "--host", "127.0.0.1"]
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/data/runs", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        time.sleep(5)  # it reads the event files in the background
        yield address
        process.terminate()


@pytest.mark.parametrize(
    ("tab", "expected"),
    [
        ("scalars", ["train/loss", "train/accuracy", "val/auroc", "train/learning_rate"]),
        ("images", ["visuals/training_images", "visuals/worst_mistakes", "visuals/roc"]),
        ("pr_curves", ["val/precision_recall"]),
        ("hparams", ["batch_size", "val_final/auroc"]),
    ],
)
def test_tabs_show_what_the_readme_says(tab: str, expected: list[str], board: str) -> None:
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *QUIET])
        page = browser.new_page(viewport={"width": 1600, "height": 3000})
        page.goto(f"{board}/#{tab}")
        for text in expected:
            page.get_by_text(text).first.wait_for(state="attached", timeout=60_000)
        browser.close()
