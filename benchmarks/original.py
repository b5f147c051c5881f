"""Run the Keras original in its own environment: `--keras <its python> <keras_original.py>`."""

import argparse
import re
import statistics
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

NAME = "Keras original"


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the original is; without it, only this project is measured."""
    parser.add_argument(
        "--keras",
        nargs=2,
        type=lambda path: Path(path).absolute(),
        metavar=("PYTHON", "SCRIPT"),
        help="the Python of an environment with tensorflow-cpu, and keras_original.py",
    )


def step_rate(keras: list[Path], what: str) -> float:
    """Return the images/s of a step on a batch of 128 in memory; `what` is `train` or `predict`."""
    found = re.search(rf"keras {what}\s+([\d.]+)", _run(keras, "step"))
    assert found is not None
    return float(found[1])


def epoch_rate(keras: list[Path], images: Path, epochs: int) -> float:
    """Return the images/s of `fit` from files, the median of the epochs from the second on."""
    rates = re.findall(r"epoch \d+: ([\d.]+) images/s", _run(keras, "fit", str(images), str(epochs)))
    return statistics.median(map(float, rates[1:]))


def _run(keras: list[Path], *words: str) -> str:
    with TemporaryDirectory() as folder:  # the script leaves files in its working directory
        command = [*map(str, keras), *words]
        return subprocess.run(
            command, cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ).stdout
