"""Augmentation: pure parameters, exact permutations, plausible colours, and images independent of each other."""

import math
from dataclasses import asdict, fields
from itertools import product
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.stats import ks_2samp
from torch.nn.functional import affine_grid

from melanoma_pl.data.augmentation import Dermoscopy, Dihedral, NoAugmentation, _sampling_grid, symmetries_in_turn

CONF = Path(__file__).parents[3] / "conf" / "augmentation"
IN_TURN = [Dihedral(in_turn=True), Dermoscopy(in_turn=True, border=0.3)]
AUGMENTATIONS = [NoAugmentation(), Dihedral(), Dermoscopy(), *IN_TURN]
MANY = torch.arange(4000)
STILL = Dermoscopy(rotation_degrees=0, zoom=0, shift=0, flips=False, brightness=0, contrast=0, saturation=0, hue=0)
COLUMNS = [
    "left_right",
    "up_down",
    "rotation",
    "zoom",
    "shift_right",
    "shift_down",
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "border",
]
each_augmentation = pytest.mark.parametrize(
    "augmentation",
    AUGMENTATIONS,
    ids=lambda one: f"{type(one).__name__}{' in turn' if getattr(one, 'in_turn', False) else ''}",
)


@pytest.fixture
def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (37, 3, 33, 33), dtype=torch.uint8, generator=generator)


def parameters_with(**values: float) -> torch.Tensor:
    return torch.tensor([[values.get(column, 0.0) for column in COLUMNS]])


def change_with(augmentation: Dermoscopy, image: torch.Tensor, **values: float) -> torch.Tensor:
    return augmentation.apply(image[None], parameters_with(**values))[0]


def change(image: torch.Tensor, **values: float) -> torch.Tensor:
    return change_with(Dermoscopy(), image, **values)


def plain(red: int, green: int, blue: int) -> torch.Tensor:
    return torch.tensor([red, green, blue], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)


def colour_of(image: torch.Tensor) -> list[int]:
    assert (image == image[:, :1, :1]).all()
    return image[:, 0, 0].tolist()


@each_augmentation
def test_draw_is_a_pure_function_of_seed_epoch_and_index(augmentation):
    together = augmentation.draw(1, 2, MANY)
    torch.rand(3)

    assert torch.equal(augmentation.draw(1, 2, MANY), together)
    assert torch.equal(augmentation.draw(1, 2, MANY[[8, 3, 8]]), together[[8, 3, 8]])
    assert torch.equal(augmentation.draw(1, 2, MANY[5:6]), together[5:6])


@pytest.mark.parametrize("augmentation", [Dihedral(), Dermoscopy()])
def test_draw_differs_by_seed_epoch_and_index(augmentation):
    draws = [augmentation.draw(seed, epoch, MANY) for seed, epoch in ((0, 0), (0, 1), (1, 0))]

    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert len(draws[0].unique(dim=0)) > 1


@each_augmentation
def test_draw_and_apply_need_and_move_no_generator(augmentation, pixels):
    before = torch.get_rng_state()
    augmentation.apply(pixels, augmentation.draw(0, 0, MANY[:37]))

    assert torch.equal(torch.get_rng_state(), before)


@each_augmentation
def test_an_image_does_not_depend_on_its_neighbours(augmentation, pixels):
    parameters = augmentation.draw(0, 0, MANY[:37])
    together = augmentation.apply(pixels, parameters)
    shuffled = torch.randperm(37, generator=torch.Generator().manual_seed(0))

    for number in range(37):
        alone = augmentation.apply(pixels[number : number + 1], parameters[number : number + 1])
        assert torch.equal(alone[0], together[number])
    assert torch.equal(augmentation.apply(pixels[shuffled], parameters[shuffled]), together[shuffled])


@each_augmentation
def test_memory_format_makes_no_difference(augmentation, pixels):
    parameters = augmentation.draw(0, 0, MANY[:37])
    channels_last = pixels.contiguous(memory_format=torch.channels_last)

    assert torch.equal(augmentation.apply(channels_last, parameters), augmentation.apply(pixels, parameters))


@each_augmentation
def test_shape_and_type_stay_and_the_given_pixels_too(augmentation, pixels):
    before = pixels.clone()
    changed = augmentation.apply(pixels, augmentation.draw(0, 0, MANY[:37]))

    assert changed.dtype == torch.uint8
    assert changed.shape == pixels.shape
    assert torch.equal(pixels, before)


@each_augmentation
@pytest.mark.parametrize("side", [1, 8, 33, 224])
def test_parameters_of_zero_leave_every_level_as_it_is(augmentation, side):
    image = (torch.arange(3 * side * side).view(1, 3, side, side) * 7 % 256).to(torch.uint8)
    zero = torch.zeros_like(augmentation.draw(0, 0, MANY[:1]))

    assert torch.equal(augmentation.apply(image, zero), image)


@each_augmentation
def test_both_classes_are_changed_alike(augmentation):
    # Folders are read class by class: the first half of the indices is benign, the second malignant.
    parameters = augmentation.draw(0, 0, MANY).double()
    for column in parameters.T:
        assert ks_2samp(column[:2000], column[2000:]).pvalue > 1e-4


def test_no_augmentation_gives_back_the_very_pixels(pixels):
    assert NoAugmentation().apply(pixels, NoAugmentation().draw(0, 0, MANY[:37])) is pixels
    assert NoAugmentation().draw(0, 0, MANY[:37]).shape == (37, 0)


def test_dihedral_is_the_eight_flips_and_turns(pixels):
    image = pixels[0]
    flags = torch.tensor(list(product([False, True], repeat=3)))
    changed = Dihedral().apply(image.expand(8, -1, -1, -1), flags)
    expected = [torch.rot90(side, turns, dims=(-2, -1)) for side in (image, image.flip(-1)) for turns in range(4)]

    assert [sum(torch.equal(one, other) for one in changed) for other in expected] == [1] * 8


def test_dihedral_columns_are_left_right_up_down_and_exchanged(pixels):
    expected = [pixels[0].flip(-1), pixels[0].flip(-2), pixels[0].transpose(-1, -2)]
    changed = Dihedral().apply(pixels[:1].expand(3, -1, -1, -1), torch.eye(3, dtype=torch.bool))

    assert torch.equal(changed, torch.stack(expected))


def test_dihedral_draws_all_eight_about_equally_often():
    numbers = (Dihedral().draw(0, 0, MANY) * torch.tensor([1, 2, 4])).sum(dim=1)
    chi_squared = float(((torch.bincount(numbers, minlength=8) - 500) ** 2 / 500).sum())

    assert chi_squared < 35  # 7 degrees of freedom: exceeded by chance once in 90 000


def test_dermoscopy_draws_fill_their_ranges_and_no_more():
    strengths = {"rotation_degrees": 30, "zoom": 0.3, "shift": 0.2, "brightness": 0.4, "contrast": 0.1, "hue": 0.05}
    parameters = Dermoscopy(**strengths, saturation=0.6, border=0.4).draw(0, 0, MANY)
    parameters, border = parameters[:, :10], parameters[:, 10]
    largest = torch.tensor([30, 0.3, 0.2, 0.2, 0.4, 0.1, 0.6, 0.05])

    assert parameters.dtype == torch.float32
    assert parameters.shape == (4000, 10)
    assert 0 <= border.min() < 0.001 and 0.399 < border.max() < 0.4
    assert (parameters[:, 2:].abs() <= largest).all()
    assert torch.allclose(parameters[:, 2:].amax(dim=0), largest, rtol=0.01)
    assert torch.allclose(parameters[:, 2:].amin(dim=0), -largest, rtol=0.01)
    assert set(parameters[:, :2].flatten().tolist()) == {0.0, 1.0}
    assert torch.allclose(parameters[:, :2].mean(dim=0), torch.tensor(0.5), atol=0.04)


def test_dermoscopy_parameters_do_not_correlate():
    correlations = torch.corrcoef(Dermoscopy(border=0.4).draw(0, 0, MANY).T) - torch.eye(11)
    assert correlations.abs().max() < 5 / 4000**0.5


@pytest.mark.parametrize("strength", [one.name for one in fields(Dermoscopy) if one.name != "in_turn"])
def test_each_strength_moves_its_own_parameters_only(strength):
    columns = {"rotation_degrees": ["rotation"], "shift": ["shift_right", "shift_down"]}
    columns["flips"] = ["left_right", "up_down"]
    own = [COLUMNS.index(column) for column in columns.get(strength, [strength])]
    others = [number for number in range(11) if number not in own]
    default = Dermoscopy(border=0.2).draw(0, 0, MANY)
    without = Dermoscopy(**{"border": 0.2, strength: 0}).draw(0, 0, MANY)

    assert torch.equal(without[:, others], default[:, others])
    assert (without[:, own] == 0).all()


@pytest.mark.parametrize("augmentation", IN_TURN, ids=lambda one: type(one).__name__)
def test_eight_epochs_show_each_symmetry_once(augmentation, pixels):
    still = (
        Dermoscopy(0, 0, 0, True, 0, 0, 0, 0, in_turn=True) if isinstance(augmentation, Dermoscopy) else augmentation
    )
    shown = [still.apply(pixels, still.draw(0, epoch, MANY[:37])) for epoch in range(24)]
    for image, views in enumerate(zip(*shown, strict=True)):
        symmetries = [torch.rot90(each, turns, (1, 2)) for each in (views[0], views[0].flip(-1)) for turns in range(4)]
        for first in (0, 8, 16):
            group = views[first : first + 8]
            assert all(any(torch.equal(each, view) for view in group) for each in symmetries), image
    orders = torch.stack([symmetries_in_turn(0, epoch, MANY) for epoch in range(16)])
    assert len(orders[:8].T.unique(dim=0)) > 3000, "each image has an order of its own"
    assert not torch.equal(orders[:8], orders[8:])


def test_an_erased_border_has_the_mean_colour(pixels):
    image = change_with(Dermoscopy(border=0.4), pixels[0], border=0.1)
    mean = pixels[0].float().mean(dim=(1, 2)).round().to(torch.uint8)
    assert torch.equal(image[:, 4:-4, 4:-4], pixels[0][:, 4:-4, 4:-4]), "3.3 pixels are the border"
    for edge in (image[:, :4], image[:, -4:], image[:, :, :4], image[:, :, -4:]):
        assert (edge == mean[:, None, None]).all()


def test_no_strength_means_no_change(pixels):
    assert torch.equal(STILL.apply(pixels, STILL.draw(0, 0, MANY[:37])), pixels)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"left_right": 1}, lambda image: image.flip(-1)),
        ({"up_down": 1}, lambda image: image.flip(-2)),
        ({"rotation": 90}, lambda image: torch.rot90(image, 1, dims=(-2, -1))),
        ({"rotation": -90}, lambda image: torch.rot90(image, -1, dims=(-2, -1))),
        ({"rotation": 180}, lambda image: image.flip(-1, -2)),
        ({"left_right": 1, "rotation": 90}, lambda image: torch.rot90(image.flip(-1), 1, dims=(-2, -1))),
    ],
)
def test_quarter_turns_and_mirrors_are_exact(values, expected, pixels):
    assert torch.equal(change(pixels[0], **values), expected(pixels[0]))


def test_shift_moves_the_image_and_reflects_its_border():
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    right, down = change(image, shift_right=0.25), change(image, shift_down=0.25)

    assert torch.equal(right, torch.cat([image[:, :, :8].flip(-1), image[:, :, :-8]], dim=-1))
    assert torch.equal(down, torch.cat([image[:, :8].flip(-2), image[:, :-8]], dim=-2))
    turned_too = change(image, rotation=90, shift_right=0.25)
    assert torch.equal(turned_too[:, :, 8:], torch.rot90(image, 1, dims=(-2, -1))[:, :, :-8])


def test_zoom_enlarges_the_middle():
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    image[:, 10:30, 10:30] = 200

    assert int((change(image, zoom=0.5)[0] > 100).sum()) == 30 * 30
    assert int((change(image, zoom=-0.5)[0, 10:30, 10:30] > 100).sum()) == 10 * 10


def test_sampling_grid_is_affine_grid():
    parameters = Dermoscopy().draw(0, 0, MANY[:50])
    left_right, up_down, rotation, zoom, right, down = parameters[:, :6].double().unbind(1)
    cosine, sine = torch.cos(rotation * math.pi / 180), torch.sin(rotation * math.pi / 180)
    turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)  # (N, 2, 2)
    mirror = torch.diag_embed(1 - 2 * torch.stack([left_right, up_down], 1))
    matrix = mirror @ turn / (1 + zoom[:, None, None])
    offset = matrix @ (-2 * torch.stack([right, down], 1)[:, :, None])
    expected = affine_grid(torch.cat([matrix, offset], 2), [50, 3, 24, 24], align_corners=False)

    assert torch.allclose(_sampling_grid(parameters[:, :6], 24).double(), expected, atol=1e-6)


def test_corners_are_filled_from_the_image():
    image = plain(180, 120, 90)
    turned = Dermoscopy(brightness=0, contrast=0, saturation=0, hue=0)

    for row in turned.draw(0, 0, MANY[:50]):
        assert colour_of(turned.apply(image[None], row[None])[0]) == [180, 120, 90]


@pytest.mark.parametrize(
    ("values", "before", "after"),
    [
        ({"brightness": 0.5}, (100, 60, 20), [150, 90, 30]),
        ({"brightness": 1}, (100, 200, 20), [200, 255, 40]),
        ({"brightness": -1}, (100, 60, 20), [0, 0, 0]),
        ({"contrast": 1}, (128, 100, 20), [128, 72, 0]),
        ({"contrast": -1}, (250, 60, 20), [128, 128, 128]),
        ({"saturation": -1}, (100, 60, 20), [60, 60, 60]),
        ({"saturation": 0.5}, (100, 60, 20), [120, 60, 0]),
        ({"hue": 1 / 3}, (250, 60, 20), [20, 250, 60]),  # as the colour circle goes: red to green
        ({"hue": -1 / 3}, (250, 60, 20), [60, 20, 250]),
        ({"hue": 0.5}, (100, 60, 20), [20, 60, 100]),
    ],
)
def test_colours_change_as_named(values, before, after):
    assert colour_of(change(plain(*before), **values)) == after


def test_grey_stays_grey_and_within_the_strengths():
    parameters = Dermoscopy().draw(0, 0, MANY[:500])
    grey = Dermoscopy().apply(plain(150, 150, 150).expand(500, -1, -1, -1), parameters)[:, :, 0, 0].int()
    brightness, contrast = 1 + parameters[:, 6], 1 + parameters[:, 7]
    expected = (150 * brightness - 127.5) * contrast + 127.5

    assert (grey.amax(dim=1) - grey.amin(dim=1)).max() <= 1  # rounding
    assert (grey - expected[:, None]).abs().max() <= 0.51
    assert grey.min() >= (150 * 0.8 - 127.5) * 1.2 + 127.5 - 1
    assert grey.max() <= (150 * 1.2 - 127.5) * 1.2 + 127.5 + 1


def test_default_strengths_keep_skin_in_the_colours_of_skin():
    skin = plain(220, 170, 150)
    changed = Dermoscopy().apply(skin.expand(500, -1, -1, -1), Dermoscopy().draw(0, 0, MANY[:500]))[:, :, 0, 0].int()
    red, green, blue = changed.unbind(1)

    assert (red >= green).all()
    assert (green >= blue - 10).all()


def test_autocast_does_not_coarsen_coordinates_or_colours(pixels):
    parameters = Dermoscopy().draw(0, 0, MANY[:37])
    expected = Dermoscopy().apply(pixels, parameters)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(Dermoscopy().apply(pixels, parameters), expected)


@pytest.mark.parametrize(
    ("strength", "value", "largest"),
    [
        ("rotation_degrees", 181, "180"),
        ("zoom", 1, "0.9"),
        ("shift", 0.6, "0.5"),
        ("brightness", -0.1, "1"),
        ("contrast", 1.5, "1"),
        ("saturation", math.nan, "1"),
        ("hue", 0.51, "0.5"),
    ],
)
def test_strengths_out_of_range_are_refused_in_one_line(strength, value, largest):
    with pytest.raises(ValueError, match=rf"^augmentation\.{strength} is {value}: allowed are 0 to {largest}$"):
        Dermoscopy(**{strength: value})


@pytest.mark.parametrize(
    ("name", "augmentation"), [("none", NoAugmentation), ("dihedral", Dihedral), ("dermoscopy", Dermoscopy)]
)
def test_configuration_makes_the_class(name, augmentation):
    assert type(instantiate(OmegaConf.load(CONF / f"{name}.yaml"))) is augmentation


def test_configuration_of_dermoscopy_is_its_defaults_with_a_comment_each():
    path = CONF / "dermoscopy.yaml"
    keys = OmegaConf.to_container(OmegaConf.load(path))
    keys.pop("_target_")

    assert keys == asdict(Dermoscopy())
    assert all("  # " in line for line in path.read_text(encoding="utf-8").splitlines()[2:])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@each_augmentation
def test_gpu_draws_the_same_and_changes_by_one_level_at_most(augmentation, pixels):
    parameters = augmentation.draw(0, 0, MANY[:37])
    on_gpu = augmentation.apply(pixels.cuda(), parameters.cuda()).cpu()

    assert torch.equal(augmentation.draw(0, 0, MANY[:37].cuda()).cpu(), parameters)
    assert (on_gpu.int() - augmentation.apply(pixels, parameters).int()).abs().max() <= 1
