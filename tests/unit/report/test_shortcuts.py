"""Shortcuts, on images that are made so that the answer is known."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tests.unit.conftest import member

from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.evaluation import RankedImages, auroc
from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.evaluation.resampling import TOO_FEW
from melanoma_pl.inference.ensemble import Member, assemble
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.report import shortcuts
from melanoma_pl.report.shortcuts import few_of, find_shortcuts, mean_colours, trivial_scores, verdict_of


def images(folder: Path, colours: list[int], qualities: list[int], first: int = 0) -> LabelledImages:
    """Write JPEGs whose redness and compression are given; every second is malignant."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for number, (red, quality) in enumerate(zip(colours, qualities, strict=True), first):
        speckled = np.random.default_rng(number).integers(0, 40, (32, 32, 3))
        speckled[..., 0] += red
        Image.fromarray(speckled.astype(np.uint8)).save(folder / f"{number}.jpg", quality=quality)
        names.append(f"{number}.jpg")
    labels = tuple(("benign", "malignant")[index % 2] for index in range(len(names)))
    return LabelledImages(folder, tuple(names), labels, ("",) * len(names))


def scores_of(training: LabelledImages, evaluated: LabelledImages) -> dict[str, NDArray[np.float64]]:
    """Return the probabilities of the trivial models, from files that are decoded now."""
    colours = [mean_colours(images, Preprocessing(32), None) for images in (training, evaluated)]
    return trivial_scores(training, evaluated, np.concatenate(colours))


def test_what_reveals_the_label_is_found(tmp_path: Path) -> None:
    """Once malignant images are redder, once they are compressed more."""
    training = images(tmp_path / "train", [60, 120] * 60, [90] * 120)
    evaluated = images(tmp_path / "test", [60, 120] * 20, [90] * 40, first=500)
    assert auroc(scores_of(training, evaluated)["mean colour"], evaluated.targets) == 1
    training = images(tmp_path / "packed", [90] * 120, [90, 60] * 60)
    evaluated = images(tmp_path / "packed test", [90] * 40, [90, 60] * 20, first=500)
    assert auroc(scores_of(training, evaluated)["file facts"], evaluated.targets) == 1


def test_a_file_that_cannot_be_read_has_probability_one_half(tmp_path: Path) -> None:
    training = images(tmp_path / "train", [60, 120] * 20, [90] * 40)
    evaluated = images(tmp_path / "test", [60, 120] * 5, [90] * 10)
    (evaluated.files[3]).write_bytes(b"no image")
    (training.files[0]).write_bytes(b"no image")
    scores = scores_of(training, evaluated)["mean colour"]
    assert scores[3] == 0.5
    assert auroc(np.delete(scores, 3), np.delete(evaluated.targets, 3)) == 1


@pytest.mark.parametrize("cache_fraction", [0.5, 0])
def test_colours_are_the_same_however_the_images_were_decoded(image_folder: Path, cache_fraction: float) -> None:
    data = MoleDataModule(image_folder, preprocessing=Preprocessing(16), cache_fraction=cache_fraction)
    every, few = data.list_split("train"), data.list_split("train").take([5, 2, 7])
    assert data.loaded("train") is None
    loaded = data.load("train")
    expected = loaded.pixels(torch.tensor([5, 2, 7])).double().mean(dim=(2, 3)).numpy()
    np.testing.assert_array_equal(mean_colours(few, data.preprocessing, data.loaded("train")), expected)
    np.testing.assert_array_equal(mean_colours(few, data.preprocessing, None), expected)
    other = replace(loaded, images=every.take([0, 1]))
    np.testing.assert_array_equal(mean_colours(few, data.preprocessing, other), expected)


def test_colours_of_loaded_images_need_no_file(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = MoleDataModule(image_folder, preprocessing=Preprocessing(16))
    loaded = data.load("train")
    monkeypatch.setattr(shortcuts, "decode_images", None)
    assert mean_colours(loaded.images, data.preprocessing, loaded).shape == (len(loaded.images), 3)


def test_the_four_are_compared_with_the_network_itself(members: list[Member]) -> None:
    ensemble, data = assemble(members[:1]), members[0].evaluated
    malignant = ensemble.decision.probabilities(ensemble.logits("test", ""))
    targets = data.list_split("test").targets
    found = find_shortcuts(ensemble, "test", RankedImages(malignant, targets), data.list_split("train"))
    assert [shortcut.name for shortcut in found] == ["centre erased", "border erased", "mean colour", "file facts"]
    whole = auroc(malignant, targets)
    assert whole is not None
    for shortcut in found:
        assert shortcut.lost.value == pytest.approx(whole - (shortcut.auroc.value or 0))
    colour = found[2]
    assert colour.auroc.value == 1, "the tiny moles are darker and larger where malignant"
    assert colour.is_problem and "without any shape or structure" in colour.verdict
    assert not found[1].is_problem, "the centre alone is a control"


@pytest.mark.parametrize(
    ("known", "is_problem"),
    [(lambda row: "malignant" not in row["image"], True), (lambda row: int(row["age"]) % 4 > 1, False)],
)
def test_an_age_that_is_unknown_of_one_class_only(
    own_image_folder: Path, known: Callable[[dict[str, str]], bool], is_problem: bool
) -> None:
    with (own_image_folder / "metadata.csv").open() as file:
        rows = [{**row, "age": row["age"] if known(row) else ""} for row in csv.DictReader(file)]
    with (own_image_folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    one = member(own_image_folder)
    ensemble, data = assemble([one]), one.evaluated
    ranked = RankedImages(ensemble.logits("test", ""), data.list_split("test").targets)
    for training in (data.list_split("train"), None):
        missing = find_shortcuts(ensemble, "test", ranked, training)[-1]
        assert missing.name == "missing metadata"
        assert missing.is_problem == (is_problem and training is not None), "twelve images alone may be by chance"
        if missing.is_problem:
            assert missing.auroc.value == 1
            (gap,) = missing.gaps
            assert gap == "Of the training images, age is unknown for 20 of 20 malignant and 0 of 20 other images."


def test_several_images_of_a_lesion_are_not_independent(image_folder: Path) -> None:
    one = member(image_folder, group_column="group")
    ensemble, images = assemble([one]), one.evaluated.list_split("test")
    logits = ensemble.logits("test", "")
    alone = find_shortcuts(ensemble, "test", RankedImages(logits, images.targets), None)[0]
    by_lesion = find_shortcuts(ensemble, "test", RankedImages(logits, images.targets, images.groups), None)[0]
    assert by_lesion.auroc.value == alone.auroc.value and by_lesion.lost.value == alone.lost.value
    assert alone.auroc.interval is not None
    assert by_lesion.auroc.interval is None and by_lesion.auroc.reason == TOO_FEW, "six lesions show twelve images"


def test_without_training_images_it_says_so(members: list[Member]) -> None:
    ensemble = assemble(members[:1])
    malignant = ensemble.decision.probabilities(ensemble.logits("test", ""))
    targets = members[0].evaluated.list_split("test").targets
    colour, files = find_shortcuts(ensemble, "test", RankedImages(malignant, targets), None)[2:]
    assert "training images are not where they were" in str(colour.auroc)
    assert "training images are not where they were" in str(files.auroc)


def test_images_of_one_class_have_no_verdict(image_folder: Path) -> None:
    ensemble = assemble([member(image_folder)])
    malignant = ensemble.decision.probabilities(ensemble.logits("test", ""))
    for shortcut in find_shortcuts(ensemble, "test", RankedImages(malignant, np.zeros(12, dtype=np.int64)), None):
        assert shortcut.auroc.value is None and not shortcut.is_problem and not shortcut.verdict


def test_a_verdict_tells_how_much_of_the_networks_result_a_shortcut_reaches() -> None:
    good, low, high = Estimate(0.9, (0.87, 0.93)), Estimate(0.55, (0.5, 0.6)), Estimate(0.8, (0.75, 0.85))
    same, lost = Estimate(0.0, (-0.02, 0.02)), Estimate(0.1, (0.07, 0.13))
    assert "the same result is possible without the lesion" in verdict_of(good, good, same, True, "the lesion")
    assert verdict_of(high, good, lost, True, "the lesion") == (
        "75 % of the network's AUROC above chance level is reached without the lesion."
    )
    assert verdict_of(low, good, lost, False, "the lesion") == "It hardly tells the classes apart."


@pytest.mark.parametrize(("malignant", "benign", "expected"), [(5, 90, (5, 15)), (50, 50, (10, 10)), (90, 4, (16, 4))])
def test_of_very_many_training_images_few_are_fitted(malignant: int, benign: int, expected: tuple[int, int]) -> None:
    targets = np.random.default_rng(0).permutation([1] * malignant + [0] * benign)
    chosen = few_of(targets, 20)
    assert len(set(chosen.tolist())) == len(chosen) == 20
    assert (int(targets[chosen].sum()), int((targets[chosen] == 0).sum())) == expected
    assert few_of(targets, len(targets)).tolist() == list(range(len(targets)))
