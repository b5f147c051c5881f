"""How fast a network of timm trains: melanoma-train beside timm's own loop, in turn, each in a process of its own.

python -m benchmarks.backbones [--backbone resnet18 …] [--rounds 3] [key=value …]

Further arguments are overrides of melanoma-train, such as trainer.keep_memory=false. timm's loop is that of its
train.py without what it does beside: training mode, forward, loss, backward, step, in 32 bits and in PyTorch's own
memory layout, which are its defaults. It gets its batches normalised and in memory. Both start from random weights,
train all of them, with Adam, and are timed in their second epoch.
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

IMAGES, SIDE, BATCH = 240, 224, 32  # images in train/, of which 192 are trained on; pixels; images a step


def train_ours(backbone: str, root: Path, overrides: list[str]) -> float:
    """Return images a second, as melanoma-train writes them down."""
    with tempfile.TemporaryDirectory() as place:
        command = [
            *(sys.executable, "-m", "melanoma_pl.train", "model=timm", f"model.backbone={backbone}"),
            *("model.pretrained=false", "model.head_epochs=0", "data=folder", f"data.root={root}"),
            *(f"data.image_size={SIDE}", f"data.batch_size={BATCH}", "trainer=cpu", "trainer.max_epochs=2"),
            *("test=false", "report=numbers", *overrides),
        ]
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
        (table,) = Path(place).glob("outputs/*/*/metrics.csv")
        with table.open() as file:
            return float(list(csv.DictReader(file))[-1]["train/images_per_second"])


def train_timms(backbone: str, root: Path) -> float:
    """Return images a second of timm's loop."""
    command = [sys.executable, "-m", "benchmarks.backbones", "--backbone", backbone, "--loop", str(root)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def loop(backbone: str, root: Path) -> float:
    """Train as timm's script does, on the batches that melanoma-train makes."""
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
    """Print a line of the table in README.md."""
    pairs = [(train_ours(backbone, root, overrides), train_timms(backbone, root)) for _ in range(rounds)]
    ours, timms = ([pair[side] for pair in pairs] for side in range(2))
    ratio = statistics.median(ours) / statistics.median(timms)
    print(f"| {backbone} | {spread(ours)} | {spread(timms)} | {ratio:.2f} |", flush=True)


def spread(rates: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(rates):.1f} ({min(rates):.1f}–{max(rates):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", nargs="+", default=["resnet18", "mobilenetv3_small_100"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run, in turn")
    parser.add_argument("--loop", type=Path, metavar="IMAGES", help=argparse.SUPPRESS)
    chosen, overrides = parser.parse_known_args()
    if chosen.loop:
        print(loop(chosen.backbone[0], chosen.loop))
        return
    print(f"{describe()}, timm {timm.__version__}; images/s, median (range) of {chosen.rounds}", *overrides)
    with tempfile.TemporaryDirectory() as place:
        root = write_images(Path(place) / "images", IMAGES, 2, 0, SIDE, ("benign", "malignant"))
        for backbone in chosen.backbone:
            compare(backbone, root, chosen.rounds, overrides)


if __name__ == "__main__":
    main()
