"""Training targets that are mixed, smoothed and taught, and parameter groups by layer."""

from typing import Any

import pytest
import torch
from tests.conftest import SIZE
from torch import Tensor
from torch.nn import functional

from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.preprocessing import Preprocessing

TARGETS = torch.tensor([0, 1, 1, 0, 1])


def classifier(seed: int = 0, **options: Any) -> MelanomaClassifier:
    torch.manual_seed(seed)
    network = ThreeConvNet([4, 4, 4], hidden=8, image_size=SIZE)
    return MelanomaClassifier(network, preprocessing=Preprocessing(SIZE), **options)


@pytest.fixture
def pixels() -> Tensor:
    return torch.randint(0, 256, (5, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_nothing_is_changed_by_default(pixels: Tensor) -> None:
    images, targets = classifier().mixed(pixels, TARGETS)
    assert images is pixels
    assert targets is TARGETS


def test_smoothed_targets(pixels: Tensor) -> None:
    _, targets = classifier(label_smoothing=0.1).mixed(pixels, TARGETS)
    torch.testing.assert_close(targets, torch.tensor([0.05, 0.95, 0.95, 0.05, 0.95]))


def test_mixed_images_and_targets_belong_together(pixels: Tensor) -> None:
    pixels[:] = (255 * TARGETS).to(torch.uint8)[:, None, None, None]  # the grey of an image is its target
    model = classifier(mixup=1.0)
    torch.manual_seed(3)
    images, targets = model.mixed(pixels, TARGETS)
    torch.testing.assert_close(images.float().mean(dim=(1, 2, 3)) / 255, targets, rtol=0, atol=0.002)
    assert images.dtype == torch.uint8
    assert not torch.equal(targets, TARGETS.float())
    torch.manual_seed(3)  # as `on_train_batch_start` does at each step
    assert torch.equal(model.mixed(pixels, TARGETS)[0], images)


def test_targets_are_part_of_the_teachers_answers(pixels: Tensor) -> None:
    teachers = [classifier(seed).eval() for seed in (1, 2)]
    teachers[0].temperature = 2.0
    model = classifier(teachers=teachers, teacher_weight=0.25)
    _, targets = model.mixed(pixels, TARGETS)
    taught = torch.sigmoid((teachers[0](pixels) / 2 + teachers[1](pixels)) / 2)
    torch.testing.assert_close(targets, 0.75 * TARGETS + 0.25 * taught)
    # the loss is then the mean of the losses against the labels and against the teachers
    logits = model.eval()(pixels)
    parts = [functional.binary_cross_entropy_with_logits(logits, each) for each in (TARGETS.float(), taught)]
    torch.testing.assert_close(model.loss(logits, targets), 0.75 * parts[0] + 0.25 * parts[1])
    assert all(not name.startswith("teachers") for name in model.state_dict()), "they are not a part of the student"


def test_layers_have_options_of_their_own() -> None:
    model = classifier(optimizer={"_target_": "torch.optim.AdamW", "lr": 0.01, "weight_decay": 0.02},
                       parameter_groups={"dense_1": {"lr": 0.001, "weight_decay": 0.3}})  # fmt: skip
    groups = model.configure_optimizers()["optimizer"].param_groups  # type: ignore[call-overload,index]
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.01, 0.02), (0.001, 0.3)]
    assert groups[1]["params"] == list(model.network.dense_1.parameters())  # type: ignore[union-attr,operator]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"mixup": -1.0}, "mixup=-1.0"),
        ({"teacher_weight": 0.0}, "teacher_weight=0.0"),
        ({"parameter_groups": {"dense_3": {"lr": 1.0}}}, r"parameter_groups\.dense_3.*dense_1"),
        ({"parameter_groups": {"": {"lr": 1.0}}}, "available are conv_1, conv_2"),
        ({"parameter_groups": {"dense_1": {"wd": 1.0}}}, r"parameter_groups\.dense_1\.wd=1\.0.*weight_decay"),
        ({"parameter_groups": {"dense_1": {"lr": -1.0}}}, r"parameter_groups\.dense_1\.lr=-1\.0"),
    ],
)
def test_wrong_values_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        classifier(**options)
