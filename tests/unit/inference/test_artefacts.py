import pytest
import torch
from torch import Tensor

from melanoma_pl.inference import corruptions
from melanoma_pl.inference.corruptions import PERTURBATIONS

BY_NAME = {perturbation.name: perturbation.apply for perturbation in PERTURBATIONS}
INDICES = torch.arange(8)


def skin(side: int = 96) -> Tensor:
    colour = torch.tensor([220, 170, 150], dtype=torch.uint8)
    return colour.view(1, 3, 1, 1).expand(8, 3, side, side).contiguous()


def touched(changed: Tensor, levels: int = 12) -> Tensor:
    """Return which pixels changed by more than so many levels: bool `(N, S, S)`."""
    return (changed.int() - skin(changed.shape[-1]).int()).abs().amax(1) > levels


def centre(side: int, diameter: float) -> Tensor:
    axis = (torch.arange(side) + 0.5) / side - 0.5
    return torch.hypot(axis[:, None], axis) < diameter / 2


@pytest.mark.parametrize("name", ["hairs", "ruler", "ink"])
@pytest.mark.parametrize("strength", [1, 2, 3])
def test_artefacts_have_the_same_size_in_small_and_large_images(name: str, strength: int) -> None:
    images = [(skin(side), BY_NAME[name](skin(side), strength, INDICES)) for side in (96, 224)]
    small, large = ((after.float() - before.float()).abs().mean().item() for before, after in images)
    assert 0 < small < 25
    assert small == pytest.approx(large, rel=0.3)


@pytest.mark.parametrize("name", ["ruler", "ink"])
def test_ruler_and_ink_leave_the_centre_unchanged(name: str) -> None:
    for strength in (1, 2, 3):
        assert not touched(BY_NAME[name](skin(), strength, INDICES), 0)[:, centre(96, 0.6)].any()


def test_hairs_are_dark() -> None:
    assert (BY_NAME["hairs"](skin(), 3, INDICES) <= skin()).all()


def test_a_paper_ruler_has_black_on_white() -> None:
    changed = BY_NAME["ruler"](skin(224), 3, INDICES)
    assert ((changed.amin(1) > 220).flatten(1).any(1)).all()
    assert ((changed.amax(1) < 80).flatten(1).any(1)).all()


def test_ink_is_violet_to_blue() -> None:
    changed = BY_NAME["ink"](skin(224), 3, INDICES).float()
    red, green, blue = changed.permute(1, 0, 2, 3)[:, touched(changed.to(torch.uint8), 90)]
    assert (blue > green).all()
    assert (red < 150).all()


def test_dark_corners_are_dark_in_the_corners_only() -> None:
    for strength in (1, 2, 3):
        changed = BY_NAME["dark corners"](skin(), strength, INDICES)
        assert torch.equal(changed[..., centre(96, 0.8)], skin()[..., centre(96, 0.8)])
        assert (changed[..., [0, 0, -1, -1], [0, -1, 0, -1]] < 60).all()


@pytest.mark.parametrize("name", ["hairs", "ruler", "ink", "dark corners"])
def test_the_seed_decides_where_things_lie(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = BY_NAME[name](skin(), 1, INDICES)
    monkeypatch.setattr(corruptions, "SEED", 1)
    assert not torch.equal(first, BY_NAME[name](skin(), 1, INDICES))
