"""Training targets that are mixed, smoothed and taught."""

from typing import Any

import pytest
import torch
from tests.conftest import SIZE
from torch import Tensor
from torch.nn import functional

from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.models.soft_targets import SoftTargets
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
    images, targets = SoftTargets()(pixels, TARGETS)
    assert images is pixels
    assert targets is TARGETS


def test_smoothed_targets(pixels: Tensor) -> None:
    _, targets = SoftTargets(label_smoothing=0.1)(pixels, TARGETS)
    torch.testing.assert_close(targets, torch.tensor([0.05, 0.95, 0.95, 0.05, 0.95]))


def test_mixed_images_and_targets_belong_together(pixels: Tensor) -> None:
    pixels[:] = (255 * TARGETS).to(torch.uint8)[:, None, None, None]  # the grey of an image is its target
    mixed = SoftTargets(mixup=1.0)
    torch.manual_seed(3)
    images, targets = mixed(pixels, TARGETS)
    torch.testing.assert_close(images.float().mean(dim=(1, 2, 3)) / 255, targets, rtol=0, atol=0.002)
    assert images.dtype == torch.uint8
    assert not torch.equal(targets, TARGETS.float())
    torch.manual_seed(3)  # as `on_train_batch_start` does at each step
    assert torch.equal(mixed(pixels, TARGETS)[0], images)


def test_targets_are_part_of_the_teachers_answers(pixels: Tensor) -> None:
    teachers = [classifier(seed).eval() for seed in (1, 2)]
    teachers[0].temperature = 2.0
    model = classifier(soft_targets=SoftTargets(teachers=teachers, teacher_weight=0.25))
    _, targets = model.soft_targets(pixels, TARGETS)
    taught = torch.sigmoid((teachers[0](pixels) / 2 + teachers[1](pixels)) / 2)
    torch.testing.assert_close(targets, 0.75 * TARGETS + 0.25 * taught)
    # the loss is then the mean of the losses against the labels and against the teachers
    logits = model.eval()(pixels)
    parts = [functional.binary_cross_entropy_with_logits(logits, each) for each in (TARGETS.float(), taught)]
    torch.testing.assert_close(model.loss(logits, targets), 0.75 * parts[0] + 0.25 * parts[1])
    assert not [name for name in model.state_dict() if "teacher" in name], "they are not a part of the student"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"mixup": -1.0}, "mixup=-1.0"),
        ({"teacher_weight": 0.0}, "teacher_weight=0.0"),
    ],
)
def test_wrong_values_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SoftTargets(**options)
