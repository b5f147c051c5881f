import pytest
import torch
from torch import Tensor

from melanoma_pl.inference.corruptions import PERTURBATIONS, Perturbation

SIDE = 96
NAMES = [
    "blur",
    "noise",
    "JPEG",
    "brightness",
    "contrast",
    "hue",
    "rotation",
    "zoom",
    "hairs",
    "ruler",
    "ink",
    "dark corners",
]


@pytest.fixture
def images() -> Tensor:
    """Seven images of a spot off the middle, in channels-last memory, as the data module hands them out."""
    rows, columns = torch.meshgrid(torch.arange(SIDE) / SIDE, torch.arange(SIDE) / SIDE, indexing="ij")
    spot = (((rows - 0.4) / 0.22) ** 2 + ((columns - 0.6) / 0.14) ** 2 < 1)[None, ..., None]
    skin = (
        torch.tensor([210.0, 165.0, 150.0]) - 40 * (rows * columns)[..., None] + 3 * torch.arange(7.0).view(7, 1, 1, 1)
    )
    return torch.where(spot, skin * 0.4, skin).to(torch.uint8).permute(0, 3, 1, 2)


def distance(first: Tensor, second: Tensor) -> float:
    return (first.float() - second.float()).abs().mean().item()


def test_order_and_settings() -> None:
    assert [perturbation.name for perturbation in PERTURBATIONS] == NAMES
    for perturbation in PERTURBATIONS:
        assert len(set(perturbation.settings)) == 3 and all(perturbation.settings)


each = pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=lambda perturbation: perturbation.name)


@each
def test_shape_type_and_the_images_themselves_stay(perturbation: Perturbation, images: Tensor) -> None:
    before = images.clone()
    changed = perturbation.apply(images, 2, torch.arange(7))
    assert changed.shape == images.shape and changed.dtype == torch.uint8
    assert torch.equal(images, before)


@each
def test_a_batch_equals_one_by_one_and_any_memory_format(perturbation: Perturbation, images: Tensor) -> None:
    indices = torch.tensor([3, 1, 4, 159, 26, 5, 358])
    for strength in (1, 2, 3):
        together = perturbation.apply(images, strength, indices)
        singly = [perturbation.apply(images[i : i + 1], strength, indices[i : i + 1]) for i in range(7)]
        assert torch.equal(together, torch.cat(singly))
        assert torch.equal(together, perturbation.apply(images.contiguous(), strength, indices))


@each
def test_stronger_is_further_away(perturbation: Perturbation, images: Tensor) -> None:
    first, second, third = (
        distance(perturbation.apply(images, strength, torch.arange(7)), images) for strength in (1, 2, 3)
    )
    assert 0 < first < second < third


@each
def test_no_images_and_unknown_strengths(perturbation: Perturbation, images: Tensor) -> None:
    assert perturbation.apply(images[:0], 1, torch.arange(0)).shape == (0, 3, SIDE, SIDE)
    for strength in (0, 4):
        with pytest.raises(ValueError, match=f"strength is {strength}: allowed are 1, 2 and 3"):
            perturbation.apply(images, strength, torch.arange(7))


@each
def test_global_chance_is_neither_used_nor_moved(perturbation: Perturbation, images: Tensor) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    once = perturbation.apply(images, 3, torch.arange(7))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(perturbation.apply(images, 3, torch.arange(7)), once)


@pytest.mark.parametrize("name", ["noise", "hairs", "ruler", "ink", "dark corners"])
def test_what_is_random_differs_from_image_to_image(name: str, images: Tensor) -> None:
    perturbation = next(each for each in PERTURBATIONS if each.name == name)
    same = images[:1].expand(2, -1, -1, -1)
    first, second = perturbation.apply(same, 3, torch.tensor([0, 1]))
    assert not torch.equal(first, second)
