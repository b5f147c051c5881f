import numpy as np
import pytest
import torch
from torch import Tensor

from melanoma_pl.data.synthetic.mole_drawing import generator
from melanoma_pl.inference import corruptions
from melanoma_pl.inference.corruptions import DIRECTION, PERTURBATIONS, SEED

BY_NAME = {perturbation.name: perturbation.apply for perturbation in PERTURBATIONS}
INDICES = torch.arange(16)


def directions(indices: Tensor) -> Tensor:
    """Return the random -1 or 1 of each image, float32 `(N,)`."""
    return torch.tensor(
        [1.0 if generator(SEED, index, DIRECTION).random() < 0.5 else -1.0 for index in indices.tolist()]
    )


def plain(level: int, side: int = 64) -> Tensor:
    return torch.full((16, 3, side, side), level, dtype=torch.uint8)


def test_blur_has_its_stated_width_at_any_size() -> None:
    for side in (112, 224):
        image = torch.zeros(1, 3, side, side, dtype=torch.uint8)
        image[..., side // 2, side // 2] = 255
        image[..., side // 2 - 3 : side // 2 + 4, :] = 255  # a bar, seven pixels high
        profile = BY_NAME["blur"](image, 3, INDICES[:1])[0, 0, :, side // 4].double()
        profile /= profile.sum()
        positions = torch.arange(side).double()
        variance = (profile * (positions - (profile * positions).sum()) ** 2).sum().item()
        assert variance == pytest.approx((3 * side / 224) ** 2 + (7**2 - 1) / 12, rel=0.03)  # gaussian + bar


def test_blur_keeps_a_plain_image() -> None:
    assert torch.equal(BY_NAME["blur"](plain(90), 3, INDICES), plain(90))


@pytest.mark.parametrize(("strength", "sigma"), [(1, 4), (2, 10), (3, 20)])
def test_noise_has_its_stated_deviation(strength: int, sigma: float) -> None:
    for side in (112, 224):
        grain = BY_NAME["noise"](plain(128, side)[:2], strength, INDICES[:2]).float() - 128
        assert grain.std().item() == pytest.approx(sigma * side / 224, rel=0.03)
        assert abs(grain.mean().item()) < 0.2


def test_noise_follows_seed_and_index(monkeypatch: pytest.MonkeyPatch) -> None:
    first = BY_NAME["noise"](plain(128), 1, INDICES)
    assert torch.equal(first[[3, 0]], BY_NAME["noise"](plain(128)[:2], 1, torch.tensor([3, 0])))
    monkeypatch.setattr(corruptions, "SEED", 1)
    assert not torch.equal(first, BY_NAME["noise"](plain(128), 1, INDICES))


def test_jpeg_blocks_are_as_large_in_small_images() -> None:
    generator = np.random.default_rng(0)
    grain = torch.from_numpy(generator.integers(0, 256, (1, 3, 96, 96), dtype=np.uint8))
    changed = BY_NAME["JPEG"](grain, 3, INDICES[:1])
    assert changed.shape == grain.shape
    smooth = torch.linspace(60, 200, 96).to(torch.uint8).expand(1, 3, 96, 96)
    lost = (BY_NAME["JPEG"](smooth, 1, INDICES[:1]).float() - smooth.float()).abs().mean()
    assert lost < 2  # enlarging and shrinking costs nothing


def test_directions_do_not_follow_the_parity_of_the_index() -> None:
    grey = torch.full((400, 3, 4, 4), 100, dtype=torch.uint8)
    signs = (BY_NAME["brightness"](grey, 1, torch.arange(400))[:, 0, 0, 0].float() - 100).sign()
    assert set(signs.tolist()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.15
    assert abs(signs[::2].mean()) < 0.2 and abs(signs[1::2].mean()) < 0.2


@pytest.mark.parametrize(("strength", "fraction"), [(1, 0.1), (2, 0.2), (3, 0.35)])
def test_brightness_multiplies(strength: int, fraction: float) -> None:
    changed = BY_NAME["brightness"](plain(100), strength, INDICES)
    expected = (100 * (1 + fraction * directions(INDICES))).round()
    assert torch.equal(changed[:, 0, 0, 0].float(), expected)


@pytest.mark.parametrize(("strength", "fraction"), [(1, 0.1), (2, 0.25), (3, 0.45)])
def test_contrast_stretches_about_mid_grey(strength: int, fraction: float) -> None:
    changed = BY_NAME["contrast"](plain(77), strength, INDICES)
    expected = 127.5 + (77 - 127.5) * (1 + fraction * directions(INDICES))
    assert torch.allclose(changed[:, 0, 0, 0].float(), expected, atol=0.51)


def test_hue_turns_colours_and_leaves_grey() -> None:
    assert torch.equal(BY_NAME["hue"](plain(140), 3, INDICES), plain(140))
    skin = torch.tensor([220, 170, 150], dtype=torch.uint8).view(1, 3, 1, 1).expand(16, 3, 32, 32)
    changed = BY_NAME["hue"](skin, 3, INDICES).float()
    assert torch.allclose(changed.mean(1), skin.float().mean(1), atol=1)
    assert (changed - skin.float()).abs().amax() > 10


def test_rotation_by_90_degrees_is_a_quarter_turn_one_way_or_the_other() -> None:
    image = torch.arange(3 * 32 * 32).remainder(251).to(torch.uint8).view(1, 3, 32, 32).expand(16, 3, 32, 32)
    changed = BY_NAME["rotation"](image, 3, INDICES)
    for turned, sign in zip(changed, directions(INDICES), strict=True):
        expected = torch.rot90(image[0], int(sign), (1, 2))
        assert (turned.float() - expected.float()).abs().max() <= 1


@pytest.mark.parametrize("name", ["rotation", "zoom"])
def test_no_corner_turns_black(name: str) -> None:
    for strength in (1, 2, 3):
        assert torch.equal(BY_NAME[name](plain(200), strength, INDICES), plain(200))


def test_zoom_enlarges_the_centre() -> None:
    image = torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    image[..., 112 - 25 : 112 + 25, 112 - 25 : 112 + 25] = 255
    fraction = BY_NAME["zoom"](image, 3, INDICES[:1]).float().mean() / 255
    assert fraction.item() == pytest.approx((70 / 224) ** 2, rel=0.02)
