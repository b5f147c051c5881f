from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from melanoma_pl.inference import corruptions
from melanoma_pl.inference.artefacts import directions

INDICES = torch.arange(16)


def plain(level: int, side: int = 64) -> Tensor:
    return torch.full((16, 3, side, side), level, dtype=torch.uint8)


def test_blur_spreads_a_point_as_far_as_it_says_at_any_size() -> None:
    for side in (112, 224):
        image = torch.zeros(1, 3, side, side, dtype=torch.uint8)
        image[..., side // 2, side // 2] = 255
        image[..., side // 2 - 3 : side // 2 + 4, :] = 255  # a bar, seven pixels high
        profile = corruptions.blur(image, 3, INDICES[:1])[0, 0, :, side // 4].double()
        profile /= profile.sum()
        places = torch.arange(side).double()
        variance = (profile * (places - (profile * places).sum()) ** 2).sum().item()
        assert variance == pytest.approx((3 * side / 224) ** 2 + (7**2 - 1) / 12, rel=0.03)  # gaussian + bar


def test_blur_keeps_a_plain_image() -> None:
    assert torch.equal(corruptions.blur(plain(90), 3, INDICES), plain(90))


@pytest.mark.parametrize(("strength", "sigma"), [(1, 4), (2, 10), (3, 20)])
def test_noise_has_the_deviation_it_says(strength: int, sigma: float) -> None:
    for side in (112, 224):
        grain = corruptions.noise(plain(128, side)[:2], strength, INDICES[:2]).float() - 128
        assert grain.std().item() == pytest.approx(sigma * side / 224, rel=0.03)
        assert abs(grain.mean().item()) < 0.2


def test_noise_follows_seed_and_index() -> None:
    first = corruptions.noise(plain(128), 1, INDICES)
    assert not torch.equal(first, corruptions.noise(plain(128), 1, INDICES, seed=1))
    assert torch.equal(first[[3, 0]], corruptions.noise(plain(128)[:2], 1, torch.tensor([3, 0])))


def test_jpeg_blocks_are_as_large_in_small_pictures() -> None:
    generator = np.random.default_rng(0)
    grain = torch.from_numpy(generator.integers(0, 256, (1, 3, 96, 96), dtype=np.uint8))
    changed = corruptions.jpeg(grain, 3, INDICES[:1])
    assert changed.shape == grain.shape
    smooth = torch.linspace(60, 200, 96).to(torch.uint8).expand(1, 3, 96, 96)
    lost = (corruptions.jpeg(smooth, 1, INDICES[:1]).float() - smooth.float()).abs().mean()
    assert lost < 2  # enlarging and shrinking costs nothing


def test_directions_do_not_follow_the_parity_of_the_index() -> None:
    signs = directions(torch.arange(400))
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.15
    assert abs(signs[::2].mean()) < 0.2 and abs(signs[1::2].mean()) < 0.2


@pytest.mark.parametrize(("strength", "share"), [(1, 0.1), (2, 0.2), (3, 0.35)])
def test_brightness_multiplies(strength: int, share: float) -> None:
    changed = corruptions.brightness(plain(100), strength, INDICES)
    expected = (100 * (1 + share * directions(INDICES))).round()
    assert torch.equal(changed[:, 0, 0, 0].float(), expected)


@pytest.mark.parametrize(("strength", "share"), [(1, 0.1), (2, 0.25), (3, 0.45)])
def test_contrast_stretches_about_mid_grey(strength: int, share: float) -> None:
    changed = corruptions.contrast(plain(77), strength, INDICES)
    expected = 127.5 + (77 - 127.5) * (1 + share * directions(INDICES))
    assert torch.allclose(changed[:, 0, 0, 0].float(), expected, atol=0.51)


def test_hue_turns_colours_and_leaves_grey() -> None:
    assert torch.equal(corruptions.hue(plain(140), 3, INDICES), plain(140))
    skin = torch.tensor([220, 170, 150], dtype=torch.uint8).view(1, 3, 1, 1).expand(16, 3, 32, 32)
    changed = corruptions.hue(skin, 3, INDICES).float()
    assert torch.allclose(changed.mean(1), skin.float().mean(1), atol=1)
    assert (changed - skin.float()).abs().amax() > 10


def test_rotation_by_90_degrees_is_a_quarter_turn_one_way_or_the_other() -> None:
    image = torch.arange(3 * 32 * 32).remainder(251).to(torch.uint8).view(1, 3, 32, 32).expand(16, 3, 32, 32)
    changed = corruptions.rotation(image, 3, INDICES)
    for turned, sign in zip(changed, directions(INDICES), strict=True):
        expected = torch.rot90(image[0], int(sign), (1, 2))
        assert (turned.float() - expected.float()).abs().max() <= 1


@pytest.mark.parametrize("change", [corruptions.rotation, corruptions.zoom])
def test_no_corner_turns_black(change: Callable[[Tensor, int, Tensor], Tensor]) -> None:
    for strength in (1, 2, 3):
        assert torch.equal(change(plain(200), strength, INDICES), plain(200))


def test_zoom_shows_the_middle_larger() -> None:
    image = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    image[..., 112 - 25 : 112 + 25, 112 - 25 : 112 + 25] = 255
    share = corruptions.zoom(image, 3, INDICES[:1]).float().mean() / 255
    assert share.item() == pytest.approx((70 / 224) ** 2, rel=0.02)
