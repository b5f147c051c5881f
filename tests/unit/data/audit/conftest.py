"""Drawn moles with skin, spots and hairs, which differ from each other more than the plain spots of other tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melanoma_pl.data.audit.scanning import Scan, scan
from melanoma_pl.data.labelled_images import list_images
from melanoma_pl.data.synthetic.mole_drawing import draw_image
from melanoma_pl.data.synthetic.synthetic_images import draw_mole

Plant = Callable[[str, Image.Image], None]


def draw(index: int, malignant: bool = False, size: int = 128) -> Image.Image:
    """Draw one mole."""
    return Image.fromarray(np.asarray(draw_image(draw_mole(malignant, 7, index), 7, index, size, 0)))


@pytest.fixture(scope="session")
def moles() -> list[Image.Image]:
    """Eight moles, the odd ones malignant."""
    return [draw(index, bool(index % 2)) for index in range(8)]


@pytest.fixture
def mole_folder(tmp_path: Path, moles: list[Image.Image]) -> Path:
    """Six of them in train, two in test."""
    for index, mole in enumerate(moles):
        save(
            mole,
            tmp_path / f"moles/{'train' if index < 6 else 'test'}/{('benign', 'malignant')[index % 2]}/{index}.jpg",
        )
    return tmp_path / "moles"


def save(image: Image.Image, path: Path, quality: int = 92) -> None:
    """Write a JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=quality)


def scanned(folder: Path) -> Scan:
    """Return the scan of a folder."""
    return scan(list_images(folder))
