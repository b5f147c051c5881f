"""Synthetic moles: traits drawn per class by the ABCD rule, and folders of images drawn from them.

They replace a public dataset where there is none: in tests, in the first minutes with this project, and where a known
answer is needed. They are drawings; nothing measured on them says anything about patients.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melanoma_pl.data.metadata import METADATA_FILE
from melanoma_pl.data.options import CLASS_NAMES, DRAWN_FILE
from melanoma_pl.data.partition.target_folder import staged_folder, write_csv
from melanoma_pl.data.synthetic.mole_drawing import Mole, draw_image, generator
from melanoma_pl.errors import UserError
from melanoma_pl.messages import counted

TRAITS = ("asymmetry", "border", "colours", "diameter")
DRAWING_VERSION = 1  # raise it with every change that alters a drawn trait or pixel
NOTICE = "Synthetic drawings of moles, made by a program from random numbers. No image shows a patient."
# Standard deviations between the classes on each of four independent traits: an ideal observer reaches an area under
# the ROC curve of Φ(√4 · SEPARATION / √2) = 0.973 before colours are counted in whole numbers.
SEPARATION = 1.36
TRAIT_STREAM = 0
TEST_FROM = 1_000_000_000  # lesion indices from here on belong to the test split, which so does not depend on `train`
LESIONS_PER_PAIR = 10
JPEG_QUALITY = 92
MOST_IMAGES, LARGEST_SIDE = 1_000_000, 4096  # of a split; pixels, which take 2 GB of memory to draw


def draw_mole(malignant: bool, seed: int, index: int) -> Mole:
    """Draw the traits of one mole.

    The traits are independent within a class. The same random numbers serve both classes, so that `malignant` alone
    makes a given ``(seed, index)`` more asymmetric, jagged, colourful and large.

    Args:
        malignant: The class.
        seed: Seed of the dataset; not negative.
        index: Index of the lesion in the dataset; not negative.
    """
    shift = SEPARATION / 2 if malignant else -SEPARATION / 2
    scores = generator(seed, index, TRAIT_STREAM).standard_normal(4) + shift
    asymmetry, border = 1 / (1 + np.exp(-1.1 * scores[:2]))
    colours = np.clip(np.rint(3.1 + 1.2 * scores[2]), 1, 6)  # means 2.3 and 3.9
    diameter = np.clip(5.8 * np.exp(0.28 * scores[3]), 2, 11)  # medians 4.8 and 7.0 mm
    return Mole(float(asymmetry), float(border), int(colours), float(diameter))


def draw_traits(count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw the traits of `count` moles, benign and malignant in turn, for learning from numbers alone.

    Returns:
        Traits, float64 ``(count, 4)``, columns as in `TRAITS`, and targets, int64 ``(count,)``, 1 for malignant.
    """
    targets = np.arange(count, dtype=np.int64) % 2
    traits = [astuple(draw_mole(bool(target), seed, index)) for index, target in enumerate(targets)]
    return np.array(traits, dtype=np.float64).reshape(count, len(TRAITS)), targets


def write_images(
    folder: Path, train: int, test: int, seed: int = 0, size: int = 224, class_names: tuple[str, str] = CLASS_NAMES
) -> Path:
    """Write ``folder/{train,test}/{class}/NNNN.jpg`` with ``metadata.csv`` and ``synthetic.json``.

    One train lesion in ten has a second image, in the same group; no lesion is in both splits. The folder appears only
    when it is complete. A dataset already drawn with these settings is kept.

    Args:
        folder: Folder to make; it may be absent, empty, or hold this very dataset.
        train: Images of the train split, half of each class (an odd one is benign); at least 2.
        test: Images of the test split, likewise.
        seed: Seed of the dataset; not negative.
        size: Side of each image in pixels.
        class_names: Names of the folders of benign and of malignant moles.

    Returns:
        `folder`.

    Raises:
        UserError: If `folder` holds something else, or a setting is out of range.
    """
    _check(train, test, seed, size)
    settings = {
        "drawing_version": DRAWING_VERSION,
        "train": train,
        "test": test,
        "seed": seed,
        "size": size,
        "class_names": list(class_names),
    }
    if _holds_dataset(folder, settings):
        return folder
    try:
        with staged_folder(folder) as staged:
            _draw(staged, list(_plan(train, test, class_names)), seed, size)
            record = json.dumps({"notice": NOTICE, **settings}, indent=2)
            (staged / DRAWN_FILE).write_text(f"{record}\n", encoding="utf-8")
    except UserError:
        if not _holds_dataset(folder, settings):  # another process may have drawn the same dataset meanwhile
            raise
    return folder


def _check(train: int, test: int, seed: int, size: int) -> None:
    for name, value, least, most in (
        ("train", train, 2, MOST_IMAGES),
        ("test", test, 2, MOST_IMAGES),
        ("seed", seed, 0, 2**32 - 1),
        ("size", size, 16, LARGEST_SIDE),
    ):
        if not least <= value <= most:
            raise UserError(
                f"a synthetic dataset cannot have {name}={value}", f"give a whole number from {least} to {most}"
            )


def _holds_dataset(folder: Path, settings: dict[str, Any]) -> bool:
    """Tell whether a folder holds the dataset of these settings (True) or nothing (False), or refuse it."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = dict(json.loads((folder / DRAWN_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise UserError(f"{folder} holds something other than a synthetic dataset", "name another folder") from None
    differing = [f"{key}={found.get(key)}, not {value}" for key, value in settings.items() if found.get(key) != value]
    if differing:
        message = f"{folder} holds a synthetic dataset with {'; '.join(differing)}"
        raise UserError(message, "name another folder, or delete this one to draw the dataset again")
    return True


def _plan(train: int, test: int, class_names: tuple[str, str]) -> Iterator[tuple[str, bool, int, int]]:
    """List every image of the dataset; the indices of benign lesions are even, those of malignant ones odd.

    Yields:
        The image's path, whether it is malignant, the index of its lesion, and its number among the lesion's images.
    """
    for split, total, first in (("train", train, 0), ("test", test, TEST_FROM)):
        for malignant, class_name in enumerate(class_names):
            count = (total + 1 - malignant) // 2
            pairs = round(count / (LESIONS_PER_PAIR + 1)) if split == "train" else 0
            for number in range(count):
                view, lesion = divmod(number, count - pairs)
                path = f"{split}/{class_name}/{number:04d}.jpg"
                yield path, bool(malignant), first + 2 * lesion + malignant, view


def _draw(folder: Path, plan: list[tuple[str, bool, int, int]], seed: int, size: int) -> None:
    """Draw every planned image, and write ``metadata.csv``."""
    rows = []
    for path, malignant, lesion, view in counted(plan, "drawing moles"):
        mole = draw_mole(malignant, seed, lesion)
        pixels = draw_image(mole, seed, lesion, size, view)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / path, quality=JPEG_QUALITY)
        lesion_id = f"S{lesion}"
        rows.append({"image": path, "lesion_id": lesion_id, "group": lesion_id, **asdict(mole), "synthetic": 1})
    write_csv(folder / METADATA_FILE, list(rows[0]), rows)
