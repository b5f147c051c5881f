"""Tiny images and a tiny network for all tests, and fixtures that fail a test which leaves something behind."""

import csv
import logging
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melanoma_pl.config import app
from melanoma_pl.errors import STOPPING
from melanoma_pl.messages import Progress

SHARED = Path(__file__).parents[2] / "shared" / "data"
SIZE = 32  # pixels
TINY = [  # overrides that make a training take a second
    f"data.image_size={SIZE}",
    "data.batch_size=8",
    "model.channels=[4,4,4]",
    "model.hidden=8",
    "trainer.max_epochs=2",
    "trainer.accelerator=cpu",
    "logger=none",
    "callbacks.training_images=null",
    "callbacks.worst_mistakes=null",
    "callbacks.curves=null",
    "callbacks.graph=null",
    "report=numbers",
]
HEIC = (  # in base64, an image of 64×64 pixels of the colour (200, 120, 100)
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABegABAAAAAAAAABwAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA1mlwcnAA"
    "AAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkA"
    "AAAwAAAwAeoCCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAA"
    "QAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAACRtZGF0AAAAGCgBrxOA5qhw07/46Uf/sDZ4fAOK0nm/fA=="
)


def draw_image(path: Path, malignant: bool, seed: int, size: int = SIZE) -> None:
    """Draw a spot on skin; malignant ones are darker and larger."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    radius = generator.uniform(0.3, 0.4) if malignant else generator.uniform(0.12, 0.22)
    spot = (rows**2 + columns**2 < radius**2)[..., None]
    skin = np.array([225, 180, 160]) + generator.normal(0, 6, (size, size, 3))
    mole = np.array([70, 40, 40] if malignant else [140, 90, 70]) + generator.normal(0, 6, (size, size, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.where(spot, mole, skin).clip(0, 255).astype(np.uint8)).save(path)


def write_image_folder(root: Path, train: int = 40, test: int = 12) -> Path:
    """Write images in the layout, with a metadata table whose lesions have two images each."""
    rows = []
    for split, count in (("train", train), ("test", test)):
        for index in range(count):
            malignant = index % 2 == 1
            path = f"{split}/{'malignant' if malignant else 'benign'}/{index:03d}.png"
            draw_image(root / path, malignant, seed=index + (1000 if split == "test" else 0))
            rows.append({"image": path, "group": f"{split}{malignant}{index // 4}", "age": 40 + index})
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty training and twelve test images, for all tests to read; tests that change images write their own."""
    return write_image_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture
def own_image_folder(tmp_path: Path) -> Path:
    """An image folder that the test may change."""
    return write_image_folder(tmp_path / "images")


@pytest.fixture(scope="session", autouse=True)
def heeds_sigint() -> Iterator[None]:
    """Heed SIGINT, which a shell's job in the background ignores, and so do the processes that such a job starts."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put environment, signals and logging back, and fail the test that changed a signal's handler."""
    environment = dict(os.environ)
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    root = logging.getLogger()
    logging_state = (list(root.handlers), root.level)
    Progress.said = Progress.active = float("-inf")  # a slow test before must not make this one tell its progress
    yield
    os.environ.clear()
    os.environ.update(environment)
    for handler in set(root.handlers) - set(logging_state[0]):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(logging_state[1])
    changed = [number for number, handler in handlers.items() if signal.getsignal(number) != handler]
    for number in changed:
        signal.signal(number, handlers[number])
    assert not changed, f"the test left handlers of {changed}"


@pytest.fixture
def shared_images() -> Path:
    """The real images, where the machine has them."""
    if not (SHARED / "isic_moles").is_dir():
        pytest.skip("needs the real images of ../shared/data")
    return SHARED


@dataclass(frozen=True)
class Result:
    """What a command answered: exit code, standard output, standard error."""

    code: int
    output: str
    error: str


Command = Callable[..., Result]


@pytest.fixture
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_command(work_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command's body in this process, as its `main` does."""

    def run(command: Callable[[list[str]], int], *arguments: str) -> Result:
        monkeypatch.setattr("sys.argv", ["command"])
        code = app.run_command(command, list(arguments))
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


def only_run(folder: Path, name: str = "*") -> Path:
    """Return the one run below a folder's outputs."""
    (record,) = folder.glob(f"outputs/{name}/*/run.json")
    return record.parent
