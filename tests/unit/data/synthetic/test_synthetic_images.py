"""Synthetic moles: their traits, their images, and folders of them."""

import csv
import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from melanoma_pl.data.synthetic import synthetic_images
from melanoma_pl.data.synthetic.mole_drawing import Mole, draw_image
from melanoma_pl.data.synthetic.synthetic_images import TRAITS, draw_mole, draw_traits, write_images
from melanoma_pl.errors import UserError

SIZE = 64
PLAIN = Mole(asymmetry=0.0, border=0.0, colours=1, diameter=6.0)
LESIONS = range(8)


def show(mole: Mole, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the image, and the pixels of the mole: those that differ from the same image of a mole of 2 mm."""
    image = draw_image(mole, 0, index, SIZE).astype(float)
    nearly_bare = draw_image(replace(PLAIN, diameter=2.0), 0, index, SIZE).astype(float)
    return image, np.abs(image - nearly_bare).sum(axis=-1) > 30


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


@pytest.fixture(scope="module")
def drawn_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("synthetic") / "set", train=47, test=10, seed=3, size=32)


# Traits


def test_malignant_moles_have_larger_traits():
    for index in range(20):
        benign, malignant = draw_mole(False, 0, index), draw_mole(True, 0, index)
        assert all(getattr(benign, trait) <= getattr(malignant, trait) for trait in TRAITS)
        assert benign != malignant


def test_traits_stay_in_their_ranges():
    traits, _ = draw_traits(2000, seed=0)
    assert (traits >= [0, 0, 1, 2]).all() and (traits <= [1, 1, 6, 11]).all()
    assert set(traits[:, 2]) == {1, 2, 3, 4, 5, 6}


def test_traits_are_balanced_repeatable_and_of_the_stated_types():
    traits, targets = draw_traits(10, seed=5)
    assert traits.shape == (10, 4) and traits.dtype == np.float64
    assert targets.shape == (10,) and targets.dtype == np.int64 and targets.sum() == 5
    np.testing.assert_array_equal(traits, draw_traits(10, seed=5)[0])
    assert not np.array_equal(traits, draw_traits(10, seed=6)[0])
    assert draw_traits(0, seed=5)[0].shape == (0, 4)


def test_classes_overlap_as_much_as_stated():
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(*draw_traits(2000, seed=0))
    traits, targets = draw_traits(4000, seed=1)
    assert 0.95 < roc_auc_score(targets, model.decision_function(traits)) < 0.985


# Images


def test_an_image_has_the_stated_shape_and_follows_from_seed_and_index():
    image = draw_image(PLAIN, 1, 2)
    assert image.shape == (224, 224, 3) and image.dtype == np.uint8 and image.flags.c_contiguous
    np.testing.assert_array_equal(image, draw_image(PLAIN, 1, 2))
    others = [draw_image(PLAIN, 2, 2), draw_image(PLAIN, 1, 3), draw_image(PLAIN, 1, 2, image=1)]
    assert all(np.abs(image.astype(int) - other).mean() > 2 for other in others)


def test_another_process_draws_the_same_bits():
    code = (
        "import hashlib; from melanoma_pl.data.synthetic.mole_drawing import draw_image;"
        "from melanoma_pl.data.synthetic.synthetic_images import draw_mole;"
        "print(hashlib.sha256(draw_image(draw_mole(True, 4, 7), 4, 7, 96).tobytes()).hexdigest())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert elsewhere == hashlib.sha256(draw_image(draw_mole(True, 4, 7), 4, 7, 96).tobytes()).hexdigest()


def test_an_image_shows_the_same_at_any_size():
    for index in range(4):
        large = draw_image(PLAIN, 0, index, 4 * SIZE).reshape(SIZE, 4, SIZE, 4, 3).mean(axis=(1, 3))
        assert np.abs(large - draw_image(PLAIN, 0, index, SIZE)).mean() < 6


def test_the_surroundings_do_not_depend_on_the_traits():
    for index in LESIONS:
        benign = draw_image(Mole(0.1, 0.1, 1, 3.0), 0, index, SIZE)
        malignant = draw_image(Mole(0.9, 0.9, 6, 5.0), 0, index, SIZE)
        np.testing.assert_array_equal(benign[:6], malignant[:6])
        np.testing.assert_array_equal(benign[:, -6:], malignant[:, -6:])
        assert not np.array_equal(benign, malignant)


def test_diameter_shows_as_area():
    for index in LESIONS:
        areas = [show(replace(PLAIN, diameter=diameter), index)[1].mean() for diameter in (3.0, 5.0, 7.0, 9.0)]
        assert np.all(np.diff(areas) > 0.02)


def test_colours_show_as_spread_of_colour_inside_the_mole():
    def spread(colours: int) -> float:
        images = [show(replace(PLAIN, colours=colours, diameter=8.0), index)[0] for index in LESIONS]
        insides = [show(replace(PLAIN, diameter=5.0), index)[1] for index in LESIONS]
        pigments = [image[inside] for image, inside in zip(images, insides, strict=True)]
        red_less_blue = [pigment[:, 0] - pigment[:, 2] for pigment in pigments]
        return float(np.mean([difference.std() for difference in red_less_blue]))

    spreads = [spread(colours) for colours in (1, 3, 6)]
    assert spreads[0] < spreads[1] < spreads[2]


def test_border_shows_as_longer_edge():
    def edge_per_root_area(border: float) -> float:
        masks = [show(replace(PLAIN, border=border, diameter=8.0), index)[1].astype(int) for index in LESIONS]
        lengths = [np.abs(np.diff(mask, axis=0)).sum() + np.abs(np.diff(mask, axis=1)).sum() for mask in masks]
        return float(np.mean([length / np.sqrt(mask.sum()) for length, mask in zip(lengths, masks, strict=True)]))

    lengths = [edge_per_root_area(border) for border in (0.0, 0.5, 1.0)]
    assert lengths[0] < lengths[1] < lengths[2]


def test_asymmetry_shows_as_a_half_turn_that_does_not_match():
    def match(asymmetry: float) -> float:
        overlaps = []
        for index in LESIONS:
            mask = show(replace(PLAIN, asymmetry=asymmetry), index)[1]
            shift = [round((SIZE - 1) / 2 - axis.mean()) for axis in np.nonzero(mask)]
            mask = np.roll(mask, shift, axis=(0, 1))
            overlaps.append((mask & mask[::-1, ::-1]).sum() / (mask | mask[::-1, ::-1]).sum())
        return float(np.mean(overlaps))

    assert match(0.0) > match(1.0) + 0.1


# Datasets


def test_a_dataset_has_the_stated_files(drawn_dataset):
    counts = {str(path.relative_to(drawn_dataset)): len(list(path.iterdir())) for path in drawn_dataset.glob("*/*/")}
    assert counts == {"train/benign": 24, "train/malignant": 23, "test/benign": 5, "test/malignant": 5}
    assert sorted(path.name for path in drawn_dataset.iterdir()) == ["metadata.csv", "synthetic.json", "test", "train"]
    with Image.open(drawn_dataset / "train" / "benign" / "0000.jpg") as image:
        assert image.size == (32, 32) and image.mode == "RGB"


def test_a_dataset_records_its_settings(drawn_dataset):
    settings = json.loads((drawn_dataset / "synthetic.json").read_text(encoding="utf-8"))
    assert "no image shows a patient" in settings.pop("notice").lower()
    assert settings == {
        "drawing_version": synthetic_images.DRAWING_VERSION,
        "train": 47,
        "test": 10,
        "seed": 3,
        "size": 32,
        "class_names": ["benign", "malignant"],
    }


def test_metadata_joins_every_image(drawn_dataset):
    rows = rows_of(drawn_dataset)
    assert list(rows[0]) == ["image", "lesion_id", "group", *TRAITS, "synthetic"]
    assert {row["image"] for row in rows} == {
        path.relative_to(drawn_dataset).as_posix() for path in drawn_dataset.rglob("*.jpg")
    }
    assert len(rows) == 57 and {row["synthetic"] for row in rows} == {"1"}
    first = draw_mole(False, 3, 0)
    assert [float(rows[0][trait]) for trait in TRAITS] == [getattr(first, trait) for trait in TRAITS]


def test_a_tenth_of_the_train_lesions_have_two_images_and_no_group_crosses(drawn_dataset):
    rows = rows_of(drawn_dataset)
    train, test = ([row for row in rows if row["image"].startswith(split)] for split in ("train/", "test/"))
    groups = {row["group"] for row in train}
    assert len(train) - len(groups) == 4
    assert not groups & {row["group"] for row in test}
    assert len({row["group"] for row in test}) == len(test)
    for group in groups:
        images = [row for row in train if row["group"] == group]
        assert len({tuple(row[trait] for trait in TRAITS) for row in images}) == 1
        assert len({(drawn_dataset / row["image"]).read_bytes() for row in images}) == len(images)


def test_the_test_split_does_not_depend_on_the_size_of_train(drawn_dataset, tmp_path):
    other = write_images(tmp_path / "other", train=2, test=10, seed=3, size=32)
    for image in (other / "test").rglob("*.jpg"):
        assert image.read_bytes() == (drawn_dataset / image.relative_to(other)).read_bytes()


def test_class_names_name_the_folders(tmp_path):
    folder = write_images(tmp_path / "named", 2, 2, size=16, class_names=("naevus", "melanoma"))
    assert sorted(path.name for path in (folder / "train").iterdir()) == ["melanoma", "naevus"]


def test_a_finished_dataset_is_kept(drawn_dataset, monkeypatch):
    monkeypatch.setattr(synthetic_images, "draw_image", None)
    assert write_images(drawn_dataset, train=47, test=10, seed=3, size=32) == drawn_dataset


def test_an_empty_folder_is_filled(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    write_images(folder, 2, 2, size=16)
    assert len(list(folder.rglob("*.jpg"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch, interruption):
    drawn = []

    def draw_three(*arguments):
        if len(drawn) == 3:
            raise interruption
        drawn.append(draw_image(*arguments))
        return drawn[-1]

    monkeypatch.setattr(synthetic_images, "draw_image", draw_three)
    with pytest.raises(interruption):
        write_images(tmp_path / "set", 8, 2, size=16)
    assert len(drawn) == 3 and list(tmp_path.iterdir()) == []


def test_two_processes_may_draw_the_same_dataset_at_once(tmp_path, monkeypatch):
    def draw_after_the_other(*arguments):
        monkeypatch.setattr(synthetic_images, "draw_image", draw_image)
        write_images(tmp_path / "set", 2, 2, size=16)
        return draw_image(*arguments)

    monkeypatch.setattr(synthetic_images, "draw_image", draw_after_the_other)
    write_images(tmp_path / "set", 2, 2, size=16)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(list(tmp_path.rglob("*.jpg"))) == 4


def test_other_settings_are_refused_by_name(drawn_dataset):
    with pytest.raises(UserError, match=r"train=47, not 48; seed=3, not 0: name another folder"):
        write_images(drawn_dataset, train=48, test=10, seed=0, size=32)


@pytest.mark.parametrize("content", [None, "not JSON", "[1, 2]", "3"])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    if content is not None:
        (tmp_path / "synthetic.json").write_text(content, encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="holds something other than a synthetic dataset"):
        write_images(tmp_path, 2, 2, size=16)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="name another folder"):
        write_images(tmp_path / "file", 2, 2, size=16)


@pytest.mark.parametrize(
    "settings", [{"train": 1}, {"test": 0}, {"seed": -1}, {"size": 0}, {"size": 100_000_000}, {"train": 10**9}]
)
def test_settings_out_of_range_are_refused(tmp_path, settings):
    with pytest.raises(UserError, match="cannot have .*whole number"):
        write_images(tmp_path / "set", **({"train": 2, "test": 2} | settings))
    assert list(tmp_path.iterdir()) == []
