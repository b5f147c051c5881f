"""Measure the effect of settings that change rounding on the AUROC, over several seeds.

python -m benchmarks.rounding images/isic_moles [--seeds 5] [--only trainer.precision=bf16-mixed] [key=value …]

Further arguments are overrides of every run. Each setting is compared with the default on validation, paired by seed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.stats import t

from benchmarks.machine import describe
from melanoma_pl.inference.hardware import has_bf16

DEFAULT = "as configured"
SETTINGS = {
    DEFAULT: "",
    "trainer.convolutions=layers": "trainer.convolutions=layers",
    "optimizer.fused=false": "optimizer.fused=false",
    "trainer.channels_last=false": "trainer.channels_last=false",
    "trainer.compile=default": "trainer.compile=default",
    "trainer.precision=bf16-mixed": "trainer.precision=bf16-mixed",
}
RECIPE = (
    "data.image_size=96", "augmentation=dihedral", "scheduler=one_cycle", "trainer.max_epochs=4", "trainer=cpu",
    "test=false", "report=numbers", "logger=none", "callbacks.graph=null", "callbacks.training_images=null",
    "callbacks.worst_mistakes=null", "callbacks.curves=null",
)  # fmt: skip


def auroc(images: Path, seed: int, setting: str, overrides: list[str]) -> float:
    """Train, and return the final AUROC on validation."""
    with TemporaryDirectory() as folder:
        chosen = [*RECIPE, f"seed={seed}", *overrides, *([setting] if setting else [])]
        command = [sys.executable, "-m", "melanoma_pl.train", "data=folder", f"data.root={images.resolve()}", *chosen]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (record,) = Path(folder).glob("outputs/*/*/run.json")
        return float(json.loads(record.read_text(encoding="utf-8"))["figures"]["val/auroc"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="2 or more; default: %(default)s")
    parser.add_argument("--only", choices=[name for name in SETTINGS if name != DEFAULT], help="one of the settings")
    chosen, overrides = parser.parse_known_args()
    print(f"{describe()}; {chosen.seeds} seeds", *overrides)
    print(f"{'':<28}  {'AUROC, mean (range)':>22}  {'difference [95 % CI]':>26}")
    settings = {name: setting for name, setting in SETTINGS.items() if "bf16" not in name or has_bf16("cpu")}
    if chosen.only:
        settings = {name: settings[name] for name in (DEFAULT, chosen.only)}
    reference = np.empty(0)
    for name, setting in settings.items():
        each = np.array([auroc(chosen.images, seed, setting, overrides) for seed in range(chosen.seeds)])
        reference = each if name == DEFAULT else reference
        print(f"{name:<28}  {f'{each.mean():.4f} ({each.min():.4f}–{each.max():.4f})':>22}  ", end="")
        print("" if name == DEFAULT else difference(each - reference), flush=True)


def difference(differences: np.ndarray) -> str:
    """Return the mean of paired differences with its interval by Student's t over the seeds."""
    half = t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences))
    mean = differences.mean()
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


if __name__ == "__main__":
    main()
