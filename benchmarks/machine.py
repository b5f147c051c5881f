"""Describe the machine that a figure was measured on.

python -m benchmarks.machine
"""

import torch

from melanoma_pl.inference.hardware import has_bf16
from melanoma_pl.machine_limits import usable_cores, usable_memory


def describe() -> str:
    """Return the properties of the machine and of PyTorch that decide the speed, as text."""
    arithmetic = "bf16 arithmetic" if has_bf16("cpu") else "no bf16 arithmetic"
    parts = [
        f"{usable_cores()} cores",
        torch.backends.cpu.get_cpu_capability(),
        arithmetic,
        f"{usable_memory() / 2**30:.0f} GiB",
        f"PyTorch {torch.__version__.partition('+')[0]}",
    ]
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


if __name__ == "__main__":
    print(describe())
