"""The names of heat maps' files, and the figures in them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.unit.inference.heat_map_examples import tiny_classifier

from melanoma_pl.inference.heat_map_files import LARGEST, SMALLEST, heat_map_files, write_heat_map
from melanoma_pl.inference.prediction import Prediction


def named(*paths: str) -> list[str]:
    return [str(file) for file in heat_map_files([Path(path) for path in paths], Path("maps"))]


def test_a_file_is_named_after_its_image_without_its_ending() -> None:
    assert named("in/a.jpg", "in/b.tar.PNG", "in/c") == ["maps/a.png", "maps/b.tar.png", "maps/c.png"]
    assert named() == []


def test_images_of_one_name_have_files_of_their_own() -> None:
    assert named("in/a.jpg", "in/a.png", "in/b.jpg") == ["maps/a_jpg.png", "maps/a_png.png", "maps/b.png"]
    assert named("in/a.jpg", "other/a.jpg") == ["maps/in/a.png", "maps/other/a.png"]
    assert named("in/a.jpg", "in/a.png", "in/a_jpg.bmp") == ["maps/a_jpg.png", "maps/a_png.png", "maps/a_jpg_2.png"]
    upper, lower = named("in/A.jpg", "in/a.jpg")
    assert upper.casefold() != lower.casefold(), "some disks do not tell them apart"


def test_an_image_that_is_named_twice_has_one_file() -> None:
    assert named("in/a.jpg", "in/../in/a.jpg") == ["maps/a.png", "maps/a.png"]


def figure_of(folder: Path, size: tuple[int, int], **changes: object) -> Image.Image:
    """Write an image of a size and its heat map, and return the figure."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "image.png")
    pixels = torch.tensor(np.asarray(Image.fromarray(noise).resize((32, 32)))).permute(2, 0, 1)
    values = {"probability": 0.75, "threshold": 0.25, "is_ood": None, **changes}
    prediction = Prediction(0, folder / "image.png", decision="malignant", pixels=pixels, **values)  # type: ignore[arg-type]
    target = folder / "maps/image.png"
    assert write_heat_map(tiny_classifier(), prediction, target, ("benign", "malignant")) == target
    return Image.open(target).convert("RGB")


@pytest.mark.parametrize("size", [(24, 24), (90, 60), (20, 400), (2000, 1500), (3000, 40)])
def test_the_caption_fits_below_an_image_of_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    figure = figure_of(tmp_path, size)
    longer = min(max(*size, SMALLEST), LARGEST)
    assert figure.width == max(round(longer * size[0] / max(size)), SMALLEST)
    height = round(longer * size[1] / max(size))
    assert figure.height - height >= 0.1 * figure.width, "the caption"
    caption = np.asarray(figure)[height + 1 :]
    assert (caption[:, :4] == 255).all() and (caption[:, -4:] == 255).all(), "nothing is cut off"
    assert (caption < 60).all(axis=2).any(), "letters"


def test_decision_probability_and_threshold_are_written(tmp_path: Path) -> None:
    figure = np.asarray(figure_of(tmp_path, (500, 400)))
    for change in ({"probability": 0.8}, {"threshold": 0.3}, {"probability": 0.2}):
        assert (np.asarray(figure_of(tmp_path, (500, 400), **change))[400:] != figure[400:]).any(), change
    assert figure_of(tmp_path, (500, 400), is_ood=True).height > len(figure), "a line more"


def test_a_probability_beside_the_threshold_has_more_digits() -> None:
    from melanoma_pl.inference.heat_map_files import _numbers

    close = Prediction(0, None, 0.4999, 0.5, "benign")
    assert _numbers(close, "malignant") == "probability of malignant 0.499900, threshold 0.500000"
    assert "0.100, threshold 0.500" in _numbers(Prediction(0, None, 0.1, 0.5, "benign"), "malignant")


def test_a_broken_image_has_no_file(tmp_path: Path) -> None:
    broken = Prediction(0, tmp_path / "image.png", None, 0.5, None, reason="broken")
    assert write_heat_map(tiny_classifier(), broken, tmp_path / "map.png", ("a", "b")) is None
    assert not (tmp_path / "map.png").exists()
