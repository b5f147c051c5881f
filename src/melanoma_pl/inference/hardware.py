"""What the machine can do: device, precision, and memory that is kept."""

import ctypes
import os
import platform
import shutil
from typing import Literal

import torch

from melanoma_pl.errors import UserError

Accelerator = Literal["cpu", "gpu"]

# parameters of glibc's mallopt, from malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next step instead of giving it back to the system.

    A training step frees and takes hundreds of megabytes; getting each page back from the system takes two thirds of
    the time. Only glibc has these settings; elsewhere nothing happens.

    Returns:
        Whether it was set.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, -1))


def choose_accelerator(wanted: Literal["auto", "cpu", "gpu"], on_cpu: str = "trainer=cpu") -> Accelerator:
    """Return `gpu` if it is wanted or, with `auto`, if there is one.

    Args:
        wanted: What the user typed.
        on_cpu: What to type instead for the processor.

    Raises:
        UserError: If a GPU is wanted and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if wanted == "gpu" and not has_gpu:
        raise UserError(
            "a GPU is asked for and there is none that PyTorch can use",
            f"take the processor: {on_cpu}",
        )
    return "gpu" if has_gpu and wanted != "cpu" else "cpu"


def choose_precision(wanted: str, accelerator: Accelerator) -> str:
    """Return the precision; `auto` is bf16 where the device computes in it.

    Raises:
        UserError: If the device cannot compute in what is wanted, or not faster than in 32 bits.
    """
    if wanted == "auto":
        return "bf16-mixed" if has_bf16(accelerator) else "32-true"
    if wanted == "16-mixed" and accelerator == "cpu":
        raise UserError("trainer.precision=16-mixed is for GPUs", "on a processor take 32-true, or auto")
    if wanted == "bf16-mixed" and not has_bf16(accelerator):
        raise UserError(
            f"trainer.precision=bf16-mixed: this {accelerator} does not compute in bf16", "take 32-true, or auto"
        )
    return wanted


def check_compiler(mode: str, accelerator: Accelerator) -> None:
    """Refuse to compile for a processor where nothing can.

    Raises:
        UserError: If there is no C++ compiler.
    """
    if mode == "none" or accelerator == "gpu":
        return
    if shutil.which(os.environ.get("CXX", "g++")) is None and shutil.which("clang++") is None:
        raise UserError(
            f"trainer.compile={mode} needs a C++ compiler for the processor, and there is none",
            "install g++, or leave trainer.compile out: on a processor nothing is won by it",
        )


def has_bf16(accelerator: Accelerator) -> bool:
    """Tell whether the device has bf16 arithmetic; emulated it would be slower than 32 bits."""
    if accelerator == "gpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return supported
