"""Layers with options of their own in the optimizer."""

from typing import Any

import pytest
from tests.conftest import SIZE

from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.preprocessing import Preprocessing


def classifier(**options: Any) -> MelanomaClassifier:
    network = ThreeConvNet([4, 4, 4], hidden=8, image_size=SIZE)
    return MelanomaClassifier(network, preprocessing=Preprocessing(SIZE), **options)


def test_layers_have_options_of_their_own() -> None:
    model = classifier(optimizer={"_target_": "torch.optim.AdamW", "lr": 0.01, "weight_decay": 0.02},
                       layer_options={"dense_1": {"lr": 0.001, "weight_decay": 0.3}})  # fmt: skip
    groups = model.configure_optimizers()["optimizer"].param_groups  # type: ignore[call-overload,index]
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.01, 0.02), (0.001, 0.3)]
    assert groups[1]["params"] == list(model.network.dense_1.parameters())  # type: ignore[union-attr,operator]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("layer_options", "told"),
    [
        ({"dense_3": {"lr": 1.0}}, r"parameter_groups\.dense_3.*dense_1"),
        ({"": {"lr": 1.0}}, "available are conv_1, conv_2"),
        ({"dense_1": {"wd": 1.0}}, r"parameter_groups\.dense_1\.wd=1\.0.*weight_decay"),
        ({"dense_1": {"lr": -1.0}}, r"parameter_groups\.dense_1\.lr=-1\.0"),
    ],
)
def test_layers_and_options_that_do_not_exist_are_refused(layer_options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        classifier(layer_options=layer_options)
