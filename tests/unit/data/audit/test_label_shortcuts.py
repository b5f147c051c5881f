"""Features that predict the label, and features that do not."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from melanoma_pl.data.audit.findings import LabelShortcut
from melanoma_pl.data.audit.label_shortcuts import VERDICTS, cross_validated_scores, cut, find_label_shortcuts
from melanoma_pl.data.audit.scanning import FileFacts, Scan, Scanned
from melanoma_pl.data.labelled_images import LabelledImages

FACTS = FileFacts(10_000, "JPEG", "RGB", 224, 224, 72, 0, 500)


def scan_of(facts: Sequence[FileFacts], colours: Sequence[float], border: float = 0) -> Scan:
    generator = np.random.default_rng(1)
    images = tuple(
        Scanned(
            fact, str(number), np.zeros((64, 64), np.uint8), np.full(3, colour, np.float32),
            generator.normal(border, 1, 84).astype(np.float32),
        )
        for number, (fact, colour) in enumerate(zip(facts, colours, strict=True))
    )  # fmt: skip
    paths = tuple(f"{number:03d}.jpg" for number in range(len(images)))
    return Scan(LabelledImages(Path(), paths, paths, paths), images, {})


def found(scan: Scan, malignant: Sequence[int]) -> dict[str, LabelShortcut]:
    targets = np.array(malignant)
    return {each.name: each for each in find_label_shortcuts(scan, targets, np.arange(len(targets)))}


@pytest.fixture
def malignant() -> list[int]:
    return [number % 2 for number in range(120)]


def test_density_that_tells_the_source(malignant: list[int]) -> None:
    facts = [replace(FACTS, density=300 if target else 72) for target in malignant]
    shortcuts = found(scan_of(facts, np.random.default_rng(0).normal(100, 9, 120).tolist()), malignant)
    assert shortcuts["file facts"].auroc == 1
    assert shortcuts["file facts"].sentence.endswith(VERDICTS[2])
    assert shortcuts["outer border"].auroc == pytest.approx(0.5, abs=0.2)
    assert shortcuts["outer border"].sentence.endswith(VERDICTS[0])
    low, high = shortcuts["outer border"].interval or (1, 0)
    assert low < 0.5 < high + 0.1


def test_colours_that_tell_something(malignant: list[int]) -> None:
    colours = np.random.default_rng(0).normal([100 + 10 * target for target in malignant], 8).tolist()
    colour = found(scan_of([FACTS] * 120, colours), malignant)["mean colour"]
    assert colour.auroc is not None
    assert 0.65 < colour.auroc < 0.9
    assert colour.sentence.endswith(VERDICTS[1])


def test_a_constant_feature_predicts_nothing(malignant: list[int]) -> None:
    size = found(scan_of([FACTS] * 120, [1.0] * 120), malignant)["image size"]
    assert (size.auroc, size.interval) == (None, None)
    assert "the same for all images" in size.sentence


def test_too_few_lesions() -> None:
    few = found(scan_of([FACTS] * 12, list(range(12))), [1, 1, 1, 1, *[0] * 8])["mean colour"]
    assert few.auroc is None
    assert "fewer than 5 lesions" in few.sentence


def test_lesions_are_kept_together() -> None:
    """Two images a lesion with one number each that tells nothing but the lesion: apart they would give it away."""
    targets = np.random.default_rng(0).integers(0, 2, 60).repeat(2)
    lesions = np.arange(60).repeat(2)
    number = np.random.default_rng(1).normal(size=60).repeat(2)[:, None]
    together, apart = cut(targets, lesions, 0), cut(targets, np.arange(120), 0)
    assert together is not None
    assert apart is not None
    assert all(not set(lesions[learnt]) & set(lesions[predicted]) for learnt, predicted in together)
    right = [np.mean((cross_validated_scores(number, targets, folds) > 0.5) == targets) for folds in (together, apart)]
    assert right[0] < 0.65 < right[1]
