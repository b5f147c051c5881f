"""One preprocessing for any image: mode, size, orientation."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from melanoma_pl.image_files import to_rgb
from melanoma_pl.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, shades_of_gray

PREPROCESSING = Preprocessing(image_size=8)


def test_input_is_scaled_by_255() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    assert PREPROCESSING.to_input(pixels).flatten().tolist() == pytest.approx([0.0, 0.2, 1.0])
    assert pixels.flatten().tolist() == [0, 51, 255]  # what is cached stays what it is


def test_pixels_that_were_scaled_before_are_refused() -> None:
    with pytest.raises(TypeError, match="should be torch.uint8"):
        PREPROCESSING.to_input(torch.rand(1, 3, 8, 8))


def test_imagenet_normalisation() -> None:
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    expected = (pixels / 255 - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    torch.testing.assert_close(Preprocessing.imagenet(8).to_input(pixels), expected)


def test_memory_format_survives() -> None:
    pixels = torch.zeros(2, 3, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    assert PREPROCESSING.to_input(pixels).is_contiguous(memory_format=torch.channels_last)


def test_memory_format_does_not_change_the_bits() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(12).view(4, 3, 16, 16)
    preprocessing = Preprocessing.imagenet(16)
    expected = preprocessing.to_input(pixels)
    assert torch.equal(preprocessing.to_input(pixels.contiguous(memory_format=torch.channels_last)), expected)


def test_values_survive_a_checkpoint() -> None:
    for one in (Preprocessing.imagenet(96), Preprocessing(96, interpolation="bicubic")):
        assert Preprocessing.from_dict(one.to_dict()) == one


def test_older_checkpoints_have_no_interpolation() -> None:
    values = Preprocessing(96).to_dict()
    del values["interpolation"]
    assert Preprocessing.from_dict(values).interpolation == "bilinear"


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_interpolation_is_pillows(interpolation: Literal["bilinear", "bicubic"]) -> None:
    array = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    image = Image.fromarray(array)
    pixels = Preprocessing(8, interpolation=interpolation).to_pixels(image)
    expected = image.resize((8, 8), Image.Resampling[interpolation.upper()])
    assert torch.equal(pixels.permute(1, 2, 0), torch.from_numpy(np.array(expected)))


def test_shape_is_squashed_and_colours_stay() -> None:
    image = Image.new("RGB", (40, 10), (200, 100, 50))
    pixels = PREPROCESSING.to_pixels(image)
    assert pixels.shape == (3, 8, 8)
    assert pixels.dtype == torch.uint8
    assert pixels[:, 0, 0].tolist() == [200, 100, 50]


def test_an_image_of_the_right_size_is_left_alone() -> None:
    array = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert torch.equal(PREPROCESSING.to_pixels(Image.fromarray(array)), torch.from_numpy(array).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 120, (120, 120, 120)),
        ("1", 1, (255, 255, 255)),
        ("LA", (120, 255), (120, 120, 120)),
        ("LA", (0, 0), (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("I;16", 0x8000, (128, 128, 128)),
        ("I;16", 0xFFFF, (255, 255, 255)),
    ],
)
def test_any_mode(mode: str, colour: object, expected: tuple[int, int, int]) -> None:
    image = Image.new(mode, (4, 4), colour)  # type: ignore[arg-type]
    assert to_rgb(image).getpixel((0, 0)) == expected


def test_palette_with_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 10, 10, 0, 0, 0])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = 1
    assert to_rgb(image).getpixel((0, 0)) == (200, 10, 10)
    assert to_rgb(image).getpixel((1, 0)) == (255, 255, 255)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown range"):
        to_rgb(Image.new("F", (2, 2)))


def test_exif_orientation(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 2), "white")
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter: the camera was held upright
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        upright = to_rgb(turned)
    assert upright.size == (2, 4)
    assert upright.getpixel((1, 0)) == (255, 0, 0)


def test_shades_of_gray_removes_the_colour_of_the_light() -> None:
    scene = np.random.default_rng(0).integers(20, 200, (40, 40, 3))
    scene -= scene.min()  # any scene; its own tint is a part of the estimate, so two lights are compared
    lit = [np.rint(scene * np.array(light)).clip(0, 255).astype(np.uint8) for light in ((1, 1, 1), (1.2, 1.0, 0.6))]
    one, other = (shades_of_gray(image).astype(int) for image in lit)
    assert np.abs(lit[0].astype(int) - lit[1]).max() > 60
    assert np.abs(one - other * one.mean() / other.mean()).max() <= 2, "the same colours, up to the brightness"
    naive = np.array([(np.mean((lit[1][..., channel] / 255.0) ** 6)) ** (1 / 6) for channel in range(3)])
    expected = lit[1] * (np.sqrt((naive**2).sum()) / np.sqrt(3) / naive)
    assert np.abs(other - expected.clip(0, 255)).max() <= 0.5


def test_an_image_without_a_channel_stays() -> None:
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    pixels[..., 0] = 9
    assert np.array_equal(shades_of_gray(pixels), pixels)


def test_colour_constancy_is_part_of_the_preprocessing() -> None:
    image = Image.fromarray(np.full((8, 8, 3), (200, 100, 50), dtype=np.uint8))
    preprocessing = Preprocessing(4, colour_constancy="shades_of_gray")
    red, green, blue = preprocessing.to_pixels(image)[:, 0, 0].tolist()
    assert red == green == blue
    assert Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing
    assert Preprocessing.from_dict({"image_size": 4, "mean": [0, 0, 0], "std": [1, 1, 1]}) == Preprocessing(4)
    with pytest.raises(ValueError, match="colour_constancy=max"):
        Preprocessing(4, colour_constancy="max")  # type: ignore[arg-type]
