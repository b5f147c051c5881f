"""Compare the training speed of melanoma-train and of timm's own loop, in turn, each in its own process.

python -m benchmarks.backbones [--backbone resnet18 …] [--rounds 3] [key=value …]

Further arguments are overrides of melanoma-train, such as trainer.keep_memory=false. timm's loop is the one of its
train.py, reduced to training mode, forward, loss, backward and step, in 32 bits and in PyTorch's default memory layout,
which are its defaults. Its batches are normalised and in memory. Both start from random weights, train all of them with
Adam, and are timed in their second epoch.
"""

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import timm
from timm.optim import create_optimizer_v2
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.machine import describe
from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.synthetic.synthetic_images import write_images
from melanoma_pl.models.timm_backbone import backbone_preprocessing

IMAGES, SIDE, BATCH = 240, 224, 32  # images in train/, 192 of them for training; pixels; images a step


def train_ours(backbone: str, root: Path, overrides: list[str]) -> float:
    """Return the images a second that melanoma-train records."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "melanoma_pl.train", "model=timm", f"model.backbone={backbone}"),
            *("model.pretrained=false", "model.head_epochs=0", "data=folder", f"data.root={root}"),
            *(f"data.image_size={SIDE}", f"data.batch_size={BATCH}", "trainer=cpu", "trainer.max_epochs=2"),
            *("test=false", "report=numbers", *overrides),
        ]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (table,) = Path(folder).glob("outputs/*/*/metrics.csv")
        with table.open() as file:
            return float(list(csv.DictReader(file))[-1]["train/images_per_second"])


def train_with_timm(backbone: str, root: Path) -> float:
    """Return the images a second of timm's loop."""
    command = [sys.executable, "-m", "benchmarks.backbones", "--backbone", backbone, "--loop", str(root)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def loop(backbone: str, root: Path) -> float:
    """Train as timm's script does, on the same batches as melanoma-train, and return images a second."""
    preprocessing = backbone_preprocessing(backbone, SIDE)
    data = MoleDataModule(root, preprocessing=preprocessing, batch_size=BATCH)
    data.setup("fit")
    batches = [(preprocessing.to_input(batch.pixels).contiguous(), batch.targets) for batch in data.train_dataloader()]
    model = timm.create_model(backbone, num_classes=1)
    optimizer = create_optimizer_v2(model, opt="adam", lr=1e-3)
    for _ in range(2):
        began = time.perf_counter()
        model.train()
        for inputs, targets in batches:
            logits = model(inputs)
            loss = binary_cross_entropy_with_logits(logits.flatten(), targets.float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - began
    return sum(len(targets) for _, targets in batches) / seconds


def compare(backbone: str, root: Path, rounds: int, overrides: list[str]) -> None:
    """Print a row of the table in README.md."""
    pairs = [(train_ours(backbone, root, overrides), train_with_timm(backbone, root)) for _ in range(rounds)]
    ours, timm_rates = ([pair[side] for pair in pairs] for side in range(2))
    ratio = statistics.median(ours) / statistics.median(timm_rates)
    print(f"| {backbone} | {spread(ours)} | {spread(timm_rates)} | {ratio:.2f} |", flush=True)


def spread(rates: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(rates):.1f} ({min(rates):.1f}–{max(rates):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", nargs="+", default=["resnet18", "mobilenetv3_small_100"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn (default: %(default)s)")
    parser.add_argument("--loop", type=Path, metavar="IMAGES", help=argparse.SUPPRESS)
    chosen, overrides = parser.parse_known_args()
    if chosen.loop:
        print(loop(chosen.backbone[0], chosen.loop))
        return
    print(f"{describe()}, timm {timm.__version__}; images/s, median (range) of {chosen.rounds}", *overrides)
    with tempfile.TemporaryDirectory() as folder:
        root = write_images(Path(folder) / "images", IMAGES, 2, 0, SIDE, ("benign", "malignant"))
        for backbone in chosen.backbone:
            compare(backbone, root, chosen.rounds, overrides)


if __name__ == "__main__":
    main()
