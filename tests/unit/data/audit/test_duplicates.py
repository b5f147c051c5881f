"""Changed copies of an image are found, and two different moles are not taken for copies."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from tests.unit.data.audit.conftest import save, scanned

from melanoma_pl.data.audit import candidates
from melanoma_pl.data.audit.candidates import find_candidates
from melanoma_pl.data.audit.duplicates import clusters_of, find_matches, unsearched

CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda image: image,
    "resized": lambda image: image.resize((64, 64)).resize((128, 128)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned by 90°": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180°": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "cropped": lambda image: image.crop((6, 6, 128, 128)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(change: str, mole_folder: Path, moles: list[Image.Image]) -> None:
    save(
        CHANGES[change](moles[2]), mole_folder / "test/benign/copy.jpg", quality=50 if change == "recompressed" else 90
    )
    found = scanned(mole_folder)
    (match,) = find_matches(found)[0]
    assert {found.listing.paths[match.first], found.listing.paths[match.second]} == {
        "train/benign/2.jpg",
        "test/benign/copy.jpg",
    }
    assert match.kind == "near"
    assert match.turn == (change if change.startswith(("mirrored", "turned")) else "as it is")
    assert match.similarity is not None
    assert 0.58 <= match.similarity <= 1


def test_different_moles_are_not_copies(mole_folder: Path) -> None:
    assert find_matches(scanned(mole_folder)) == ([], 0)


@pytest.mark.parametrize("name", ["zero.png", "zero.bmp", "zero.jpg"])
def test_the_same_pixels_in_another_file_are_exact(name: str, mole_folder: Path) -> None:
    original = mole_folder / "train/benign/0.jpg"
    if name == "zero.jpg":  # the same file with something behind its end
        (mole_folder / "test/benign" / name).write_bytes(original.read_bytes() + b"more")
    else:
        with Image.open(original) as image:
            image.save(mole_folder / "test/benign" / name)
    (match,) = find_matches(scanned(mole_folder))[0]
    assert (match.kind, match.similarity, match.turn) == ("exact", 1.0, "as it is")


def test_many_copies_are_each_paired_with_the_first(mole_folder: Path) -> None:
    content = (mole_folder / "train/benign/0.jpg").read_bytes()
    for index in range(9):
        (mole_folder / f"train/benign/copy{index}.jpg").write_bytes(content)
    found = scanned(mole_folder)
    matches = find_matches(found)[0]
    assert len(matches) == 9
    assert len({match.first for match in matches}) == 1
    (cluster,) = clusters_of((match.pair for match in matches), len(found.images))
    assert len(cluster) == 10


def test_blank_images_are_not_candidates() -> None:
    blank = np.random.default_rng(0).integers(100, 102, (5, 64, 64)).astype(np.uint8)
    assert find_candidates(blank) == ([], 0)


def test_too_many_doubtful_candidates_are_counted(mole_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "COARSE_SIMILARITY", 0.2)
    monkeypatch.setattr(candidates, "FINE_SIMILARITY", -1)
    everything, none_left = find_candidates(scanned(mole_folder).grey)
    assert none_left == 0
    monkeypatch.setattr(candidates, "FEW", 2)
    monkeypatch.setattr(candidates, "PER_IMAGE", 0)
    kept, left = find_candidates(scanned(mole_folder).grey)
    assert kept == everything[:2]
    assert left == len(everything) - 2 > 0


def test_clusters_join_through_other_images() -> None:
    assert clusters_of([(0, 1), (1, 4), (2, 3)], 6) == [[0, 1, 4], [2, 3]]
    assert clusters_of([], 3) == []


@pytest.mark.slow
def test_very_many_copies_are_tied_together_without_comparing_all(mole_folder: Path, moles: list[Image.Image]) -> None:
    generator = np.random.default_rng(0)
    pixels = np.asarray(moles[0], dtype=float)
    for index in range(40):
        noisy = Image.fromarray((pixels + generator.normal(0, 2, pixels.shape)).clip(0, 255).astype(np.uint8))
        save(noisy, mole_folder / f"train/benign/copy{index:02d}.jpg")
    found = scanned(mole_folder)
    candidates, _ = find_candidates(found.grey)
    assert len(candidates) <= 41 * 30
    matches = find_matches(found)[0]
    assert len(matches) < 41 * 40 / 2 / 2
    clusters = clusters_of((match.pair for match in matches), len(found.images))
    assert [len(cluster) for cluster in clusters] == [41]


def test_of_very_many_images_only_equal_files_are_found(
    mole_folder: Path, moles: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    save(moles[2], mole_folder / "test/benign/near.jpg", quality=50)
    (mole_folder / "test/benign/equal.jpg").write_bytes((mole_folder / "train/benign/0.jpg").read_bytes())
    found = scanned(mole_folder)
    assert len(find_matches(found)[0]) == 2
    assert not unsearched(found)
    monkeypatch.setattr("melanoma_pl.data.audit.duplicates.MOST_IMAGES", len(found.images) - 1)
    (match,) = find_matches(found)[0]
    assert match.kind == "exact"
    assert f"{len(found.images)} images are more than" in unsearched(found)
