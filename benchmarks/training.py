"""Compare training with the Keras original and with a bare PyTorch loop, in turn, each in its own process.

python -m benchmarks.training step [--keras keras-env/bin/python keras_original.py]
python -m benchmarks.training epochs images/isic_moles [--images 640] [--keras …]
python -m benchmarks.training overhead
python -m benchmarks.training operators

`step` trains on one batch of 128 images in memory. `epochs` trains on a folder and reports the epochs from the second
on: those that melanoma-train records, those of Keras's fit, and those of a loop over scaled images in memory (float32).
`overhead` trains a network of 61 weights on one thread, where all that surrounds the arithmetic counts: melanoma-train
with figures and progress, and a bare loop over the same batches with the same augmentation, loss and optimizer. Rates
are those of a processor's time, from the second epoch on. `operators` counts what a GPU would launch one by
one: operators of PyTorch and compiled loops of a training step with augmentation, on a CPU; it needs a C++ compiler.
"""

import argparse
import contextlib
import csv
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch._inductor import config as inductor
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from benchmarks import original
from benchmarks.machine import describe
from benchmarks.turns import child, show, take_turns
from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.augmentation import Dermoscopy
from melanoma_pl.inference.hardware import has_bf16, keep_freed_memory
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.models.three_conv import CONVOLUTIONS
from melanoma_pl.train import command
from melanoma_pl.training.autotune import open_ways, usual_way

BATCH, SIDE = 128, 224
STEPS, WARM_UP = 7, 2
EPOCHS = 3
TEST = 16  # images of each class to validate on; validation is not measured

OURS, BF16 = "ours, 32-bit, {}", "ours, bf16, {}"
DEFAULTS = "PyTorch with its defaults"
BARE = "bare loop"
NOTHING_COMPUTED = {  # operators that only view or allocate memory
    "alias", "as_strided", "as_strided_", "broadcast_tensors", "broadcast_to", "chunk", "contiguous", "detach",
    "empty", "empty_like", "empty_strided", "expand", "expand_as", "flatten", "item", "lift_fresh", "movedim",
    "narrow", "new_empty", "new_empty_strided", "permute", "reshape", "resize_", "resolve_conj", "resolve_neg",
    "result_type", "select", "set_", "slice", "split", "split_with_sizes", "squeeze", "squeeze_", "t", "to",
    "transpose", "unbind", "unflatten", "unfold", "unsafe_split", "unsqueeze", "view", "view_as",
    "_local_scalar_dense", "_reshape_alias", "_unsafe_view",
}  # fmt: skip
AUGMENTATION, COUNTED = Dermoscopy(), 16  # images: more are changed in pieces on a CPU
TINY_BATCH, TINY_EPOCHS = 8, 11
TINY = (
    *("data.synthetic.train=640", "data.synthetic.test=32", "data.image_size=32", f"data.batch_size={TINY_BATCH}"),
    *("model.channels=[1,1,1]", "model.hidden=2", f"trainer.max_epochs={TINY_EPOCHS}", "trainer=cpu", "logger=none"),
    *("report=numbers", "test=false", *(f"callbacks.{name}=null" for name in ("graph", "training_images"))),
    *(f"callbacks.{name}=null" for name in ("worst_mistakes", "curves", "early_stopping")),
)


def make_step(variant: str) -> Callable[[Tensor, Tensor], None]:
    """Return a training step on float inputs `(N, 3, S, S)` and targets, in one of the variants."""
    if variant != DEFAULTS:
        keep_freed_memory()
    network = ThreeConvNet()
    is_bf16 = variant in map(BF16.format, CONVOLUTIONS)
    if variant != DEFAULTS:
        network.convolutions = variant.rpartition(" ")[2]
    classifier = MelanomaClassifier(network).train()
    if variant != DEFAULTS:
        network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-4, fused=variant != DEFAULTS)

    def step(inputs: Tensor, targets: Tensor) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            logits = network(inputs)[:, 0]
        classifier.loss(logits, targets).backward()
        optimizer.step()

    return step


def step_rate(variant: str) -> float:
    """Return the images/s of a step that begins with uint8 pixels in memory, the median of several steps."""
    step = make_step(variant)
    pixels = torch.randint(0, 256, (BATCH, SIDE, SIDE, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    targets = torch.randint(0, 2, (BATCH,))
    seconds = []
    for _ in range(WARM_UP + STEPS):
        began = time.perf_counter()
        inputs = pixels.float().div_(255)
        step(inputs.contiguous() if variant == DEFAULTS else inputs, targets)
        seconds.append(time.perf_counter() - began)
    return BATCH / statistics.median(seconds[WARM_UP:])


def loop_rate(root: Path) -> float:
    """Return the images/s of a bare loop over the training images of a folder, scaled and in memory."""
    data = MoleDataModule(root, batch_size=BATCH, drop_last=True, validate_on="test")
    data.setup("fit")
    batches = [(data.preprocessing.to_input(batch.pixels), batch.targets) for batch in data.train_dataloader()]
    convolutions = usual_way(open_ways(["32-true"], "auto", ThreeConvNet()), ThreeConvNet()).convolutions
    step = make_step(OURS.format(convolutions))
    rates = []
    for _ in range(EPOCHS):
        began = time.perf_counter()
        for inputs, targets in batches:
            step(inputs, targets)
        rates.append(BATCH * len(batches) / (time.perf_counter() - began))
    return statistics.median(rates[1:])


def command_rate(root: Path, *overrides: str) -> float:
    """Return the images/s that `melanoma-train` records."""
    with TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "melanoma_pl.train", "experiment=tipe", "data=folder", f"data.root={root}"),
            *("trainer=cpu", f"trainer.max_epochs={EPOCHS}", "test=false", "report=numbers", *overrides),
        ]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (table,) = Path(folder).glob("outputs/*/*/metrics.csv")
        with table.open() as file:
            return statistics.median([float(row["train/images_per_second"]) for row in csv.DictReader(file)][1:])


def tiny_rate(augmentation: str, is_bare: bool) -> float:
    """Return the images/s of the processor's time in training steps of a tiny network, from the second epoch on."""
    torch.set_num_threads(1)
    rates: list[float] = []
    fit = pl.Trainer.fit

    def measured(trainer: pl.Trainer, model: MelanomaClassifier, data: MoleDataModule, **options: Any) -> None:
        if is_bare:
            rates.extend(bare_rates(model, data))
            raise KeyboardInterrupt  # there is nothing to evaluate
        trainer.callbacks.insert(0, Clock(rates))  # type: ignore[attr-defined]
        fit(trainer, model, data, **options)

    with TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        pl.Trainer.fit = measured  # type: ignore[method-assign,assignment]
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            command([*TINY, f"augmentation={augmentation}"])
    return statistics.median(rates[1:])


class Clock(pl.Callback):
    """Collects the images/s of each epoch's training steps."""

    def __init__(self, rates: list[float]) -> None:
        self.rates = rates
        self.began, self.first = 0.0, 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.began, self.first = time.process_time(), trainer.global_step

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        images = TINY_BATCH * (trainer.global_step - self.first)
        self.rates.append(images / (time.process_time() - self.began))


def bare_rates(classifier: MelanomaClassifier, data: MoleDataModule) -> Iterator[float]:
    """Yield the images/s of each epoch of a loop without Lightning."""
    data.setup("fit")
    batches = data.train_dataloader()
    optimizer = torch.optim.Adam(classifier.train().network.parameters(), lr=1e-3, fused=True)
    for epoch in range(TINY_EPOCHS):
        batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        began = time.process_time()
        for batch in map(data.augment, batches):
            optimizer.zero_grad()
            classifier.training_loss(classifier(batch.pixels), batch.targets).backward()
            optimizer.step()
        yield TINY_BATCH * len(batches) / (time.process_time() - began)


def count_operators(convolutions: str, is_compiled: bool) -> int:
    """Return the number of operators and compiled loops of a training step, from uint8 pixels to new weights."""
    torch.manual_seed(0)
    network = ThreeConvNet(image_size=32)
    network.convolutions = convolutions
    classifier = MelanomaClassifier(network.to(memory_format=torch.channels_last)).train()
    optimizer = torch.optim.Adam(classifier.network.parameters(), fused=True)
    change, compute = AUGMENTATION.apply, classifier.logits_and_loss
    if is_compiled:
        inductor.cpp.enable_kernel_profile = True  # names the compiled loops
        change, compute = torch.compile(change), torch.compile(compute)
    pixels = torch.randint(0, 256, (COUNTED, 32, 32, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    targets = torch.randint(0, 2, (COUNTED,))
    drawn = AUGMENTATION.draw(0, 0, torch.arange(COUNTED))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            _, loss = compute(change(pixels, drawn), targets)
        loss.backward()
        optimizer.step()

    step()
    return launches(step)


def launches(compute: Callable[[], object]) -> int:
    """Return the number of operators and compiled loops that are not made of others."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        compute()
    return sum(_computes(event) and not _is_made_of_others(event) for event in profiler.events())


def _computes(event: FunctionEvent) -> bool:
    name = event.name.removeprefix("aten::")
    return "cpp_fused" in event.name or (name != event.name and name not in NOTHING_COMPUTED)


def _is_made_of_others(event: FunctionEvent) -> bool:
    return any(_computes(child) or _is_made_of_others(child) for child in event.cpu_children)


def show_operators() -> None:
    print(f"{'operators of a training step in bf16':<52}{'layers':>8}{'space_to_depth':>16}")
    for title, is_compiled in (("one by one", False), ("trainer.compile=default", True)):
        counts = [count_operators(each, is_compiled) for each in ("layers", "space_to_depth")]
        print(f"{title:<52}{counts[0]:>8}{counts[1]:>16}")
    draw = launches(lambda: AUGMENTATION.draw(0, 0, torch.arange(COUNTED)))
    metrics = MelanomaClassifier(ThreeConvNet(image_size=32)).train_metrics["accuracy"]
    count = launches(lambda: metrics.update(torch.rand(COUNTED), torch.ones(COUNTED, dtype=torch.int64)))
    print(f"{'once an epoch: drawing the augmentation, accuracy':<52}{draw:>8}{count:>16}")


def link_subset(images: Path, root: Path, count: int) -> Path:
    """Link `count` training images, half of each class, and a few test images into a folder with train/ and test/."""
    for split, each in (("train", count // 2), ("test", TEST)):
        for folder in sorted(path for path in (images / split).iterdir() if path.is_dir()):
            target = root / split / folder.name
            target.mkdir(parents=True)
            for file in sorted(folder.iterdir())[:each]:
                (target / file.name).symlink_to(file.resolve())
    return root


def compare_steps(rounds: int, keras: list[Path] | None) -> None:
    variants = [OURS.format(each) for each in CONVOLUTIONS]
    if has_bf16("cpu"):
        variants += [BF16.format(each) for each in ("layers", "fused")]
    variants.append(DEFAULTS)
    measured = {name: partial(child, "benchmarks.training", "--variant", name) for name in variants}
    if keras:
        measured[original.NAME] = partial(original.step_rate, keras, "train")
    show(f"a step of {BATCH} images", take_turns(measured, rounds), [original.NAME, DEFAULTS])


def compare_epochs(images: Path, count: int, rounds: int, keras: list[Path] | None) -> None:
    with TemporaryDirectory() as folder:
        root = link_subset(images, Path(folder) / "images", count)
        measured = {
            "melanoma-train": partial(command_rate, root),
            "with augmentation=dermoscopy": partial(command_rate, root, "augmentation=dermoscopy"),
            BARE: partial(child, "benchmarks.training", "--loop", str(root)),
        }
        if keras:
            measured[original.NAME] = partial(original.epoch_rate, keras, root, EPOCHS)
        show(f"epochs of {count} images", take_turns(measured, rounds), [original.NAME, BARE])


def compare_overhead(rounds: int) -> None:
    for augmentation in ("none", "dermoscopy"):
        arguments = ("benchmarks.training", "--tiny", augmentation)
        measured = {"melanoma-train": partial(child, *arguments), BARE: partial(child, *arguments, "--bare")}
        show(f"a network of 61 weights, augmentation={augmentation}", take_turns(measured, rounds), [BARE])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("step", "epochs", "overhead", "operators"))
    parser.add_argument("root", nargs="?", type=Path, metavar="IMAGES", help="for `epochs`: a folder of images")
    parser.add_argument("--images", type=int, default=640, help="for `epochs`: training images (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    original.add_option(parser)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--loop", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tiny", help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant:
        print(step_rate(chosen.variant))
    elif chosen.loop:
        print(loop_rate(chosen.loop))
    elif chosen.tiny:
        print(tiny_rate(chosen.tiny, chosen.bare))
    elif chosen.what is None or (chosen.what == "epochs") != (chosen.root is not None):
        parser.error("give `step`, `overhead` or `operators`, or `epochs` with a folder of images")
    elif chosen.what == "operators":
        show_operators()
    else:
        print(f"{describe()}; median (range) of {chosen.rounds} in turn")
        if chosen.what == "step":
            compare_steps(chosen.rounds, chosen.keras)
        elif chosen.what == "overhead":
            compare_overhead(chosen.rounds)
        else:
            compare_epochs(chosen.root, chosen.images, chosen.rounds, chosen.keras)


if __name__ == "__main__":
    main()
