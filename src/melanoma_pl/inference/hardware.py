"""Abilities of the machine: device, precision, compiler, and memory that the C library keeps."""

import ctypes
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from melanoma_pl.errors import UserError

Accelerator = Literal["cpu", "gpu"]

# parameters of glibc's mallopt, from malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
M_ARENA_MAX = -8


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next step instead of returning it to the system.

    A training step allocates and frees hundreds of megabytes; to get each page back from the system takes two thirds of
    the time. Threads share one heap, because glibc gives back the heaps of single threads all the same. Only glibc has
    these settings; elsewhere the function does nothing.

    Returns:
        Whether the settings were changed.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_ARENA_MAX, 1))
    return all(library.mallopt(parameter, value) for parameter, value in settings)


def choose_accelerator(wanted: Literal["auto", "cpu", "gpu"], cpu_option: str = "trainer=cpu") -> Accelerator:
    """Return the accelerator; `auto` is a GPU if PyTorch finds one.

    Args:
        wanted: The user's choice.
        cpu_option: The option that selects the CPU, for the error.

    Raises:
        UserError: If a GPU is wanted and PyTorch finds none.
    """
    has_gpu = torch.cuda.is_available()
    if wanted == "gpu" and not has_gpu:
        raise UserError("a GPU is wanted, but PyTorch finds none that it can use", f"take the CPU: {cpu_option}")
    return "gpu" if has_gpu and wanted != "cpu" else "cpu"


def choose_precision(
    wanted: str, accelerator: Accelerator, option: str = "trainer.precision=", other: str = "32-true, or auto"
) -> str:
    """Return the precision; `auto` is bf16 if the device has bf16 arithmetic.

    Args:
        wanted: The user's choice.
        accelerator: The device.
        option: The option that was typed before it, for the error.
        other: What to take instead, for the error.

    Raises:
        UserError: If the device lacks the wanted arithmetic.
    """
    if wanted == "auto":
        return "bf16-mixed" if has_bf16(accelerator) else "32-true"
    if wanted == "16-mixed" and accelerator == "cpu":
        raise UserError("trainer.precision=16-mixed is for GPUs", "on a CPU take 32-true, or auto")
    if wanted == "bf16-mixed" and not has_bf16(accelerator):
        raise UserError(f"{option}bf16-mixed: this {accelerator} does not compute in bf16", f"take {other}")
    return wanted


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute convolutions on a GPU in 32 bits within the context.

    By default cuDNN rounds their inputs to the 10 bits of TF32, and probabilities differ from those of a CPU by 1e-4.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def check_compiler(mode: str, accelerator: Accelerator) -> None:
    """Refuse to compile for a CPU without a C++ compiler.

    Raises:
        UserError: If there is no compiler.
    """
    if mode == "none" or accelerator == "gpu":
        return
    if shutil.which(os.environ.get("CXX", "g++")) is None and shutil.which("clang++") is None:
        raise UserError(
            f"trainer.compile={mode} needs a C++ compiler for the CPU, and there is none",
            "install g++, or leave trainer.compile out: on a CPU it gains nothing",
        )


def has_bf16(accelerator: Accelerator) -> bool:
    """Tell whether the device has bf16 arithmetic; emulated, it would be slower than 32 bits."""
    if accelerator == "gpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # builds without oneDNN, as for macOS, lack the function
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return ask is not None and bool(ask())
