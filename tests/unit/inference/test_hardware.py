"""Abilities of the machine, also of one whose PyTorch lacks a library."""

from types import SimpleNamespace

import pytest
import torch

from melanoma_pl.inference.hardware import choose_precision, has_bf16


@pytest.mark.parametrize(
    ("operations", "precision"),
    [
        (SimpleNamespace(), "32-true"),
        (SimpleNamespace(_is_mkldnn_bf16_supported=lambda: False), "32-true"),
        (SimpleNamespace(_is_mkldnn_bf16_supported=lambda: True), "bf16-mixed"),
    ],
    ids=["without oneDNN", "an old CPU", "a CPU with bf16"],
)
def test_precision_of_a_cpu(operations: SimpleNamespace, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", operations)
    assert has_bf16("cpu") == (precision == "bf16-mixed")
    assert choose_precision("auto", "cpu") == precision
