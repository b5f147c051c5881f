"""The precision that `auto` takes for a network."""

import pytest

from melanoma_pl.config.composition import jobs_beforehand
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.specs import validated
from melanoma_pl.training import fit


@pytest.mark.parametrize(
    ("model", "wanted", "chosen"),
    [
        ("three_conv", "auto", "bf16-mixed"),
        ("efficientnet_lite0", "auto", "32-true"),  # depthwise convolutions are slower in bf16
        ("efficientnet_lite0", "bf16-mixed", "bf16-mixed"),
    ],
)
def test_depthwise_networks_train_in_32_bits_unless_told_otherwise(
    model: str, wanted: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if model != "three_conv":
        pytest.importorskip("timm", reason="needs melanoma-pl[timm]")
    monkeypatch.setattr("melanoma_pl.inference.hardware.has_bf16", lambda accelerator: True)
    config = next(jobs_beforehand("train", ["logger=none", f"model={model}", f"trainer.precision={wanted}"]))
    assert fit._precision(validated(TrainSettings, config), "cpu") == chosen
