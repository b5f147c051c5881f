import pytest
import torch
from torch import Tensor

from melanoma_pl.inference.corruptions import DIAMETER, erase_border, erase_centre

SIDE = 64
FILL = torch.tensor([10.0, 120.0, 230.0])


def radius() -> Tensor:
    axis = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    return torch.hypot(axis[:, None], axis)


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (20, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8).permute(0, 3, 1, 2)


def test_erasing_the_centre_removes_everything_in_the_disc(images: Tensor) -> None:
    other = torch.where(radius() <= DIAMETER / 2, 255 - images, images)
    assert torch.equal(erase_centre(images), erase_centre(other))


def test_erasing_the_border_removes_everything_outside_the_disc(images: Tensor) -> None:
    other = torch.where(radius() >= DIAMETER / 2 + 0.06, 255 - images, images)
    assert torch.equal(erase_border(images, FILL), erase_border(other, FILL))
    corner = erase_border(images, FILL)[..., 0, 0]
    assert torch.equal(corner, FILL.to(torch.uint8).expand_as(corner))


def test_one_keeps_what_the_other_erases(images: Tensor) -> None:
    inside, outside = radius() <= DIAMETER / 2, radius() >= DIAMETER / 2 + 0.06
    assert torch.equal(erase_border(images, FILL)[..., inside], images[..., inside])
    assert torch.equal(erase_centre(images)[..., outside], images[..., outside])
    grey, black = torch.full_like(images, 100), torch.zeros(3)
    filled = torch.full_like(images, 100)
    centre = erase_border(grey, black).int()
    border = 100 - centre
    assert ((centre + border) == filled).all()
    assert torch.equal(erase_centre(grey), grey)  # a plain image has nothing to erase


def test_the_centre_takes_the_images_own_border_colour() -> None:
    image = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)
    image[0, 0], image[1, 2] = 200, 90
    image[:, :, radius() <= DIAMETER / 2] = 33
    assert erase_centre(image)[..., SIDE // 2, SIDE // 2].tolist() == [[200, 0, 0], [0, 0, 90]]


def test_the_edge_is_soft() -> None:
    white = torch.full((1, 3, 200, 200), 255, dtype=torch.uint8)
    diagonal = erase_border(white, torch.zeros(3))[0, 0].diagonal().int()
    assert diagonal.diff().abs().max() < 40
    assert diagonal.min() == 0 and diagonal.max() == 255


def test_a_batch_equals_one_by_one(images: Tensor) -> None:
    for erase in (erase_centre, lambda pixels: erase_border(pixels, FILL)):
        together = erase(images)
        assert together.dtype == torch.uint8
        assert torch.equal(together, torch.cat([erase(image[None]) for image in images]))
        assert erase(images[:0]).shape == (0, 3, SIDE, SIDE)
