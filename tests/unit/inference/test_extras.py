"""Extras of a checkpoint: saved beside it, restored from there, and ignored if they do not belong to it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.inference.heat_map_examples import tiny_classifier

from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.evaluation.out_of_distribution import fit_detector
from melanoma_pl.inference.extras import extras_file, restore_extras, save_extras
from melanoma_pl.models.classifier import MelanomaClassifier


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file that stands for a checkpoint, with the extras of a classifier beside it."""
    path = tmp_path / "best.ckpt"
    path.write_bytes(b"weights")
    save_extras(fitted_classifier(), path)
    return path


def fitted_classifier() -> MelanomaClassifier:
    classifier, features = tiny_classifier(), np.random.default_rng(0).normal(size=(40, 3))
    classifier.ood_detector, classifier.augmented_decision = (
        fit_detector(features[:30], features[30:]),
        Decision(2, 0.3),
    )
    return classifier


def test_extras_come_back_to_the_bit(checkpoint: Path) -> None:
    restored, fitted = tiny_classifier(), fitted_classifier()
    restore_extras(restored, checkpoint)
    assert restored.augmented_decision == Decision(2, 0.3)
    features = np.random.default_rng(1).normal(size=(9, 3))
    assert restored.ood_detector is not None and fitted.ood_detector is not None
    np.testing.assert_array_equal(restored.ood_detector.distances(features), fitted.ood_detector.distances(features))
    assert restored.ood_detector.threshold == fitted.ood_detector.threshold


def test_the_file_is_plain_and_names_its_checkpoint(checkpoint: Path) -> None:
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["best.ckpt", "best.inference.pt"]
    extras = torch.load(extras_file(checkpoint), weights_only=True)
    assert extras["checkpoint_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert checkpoint.read_bytes() == b"weights"


def test_values_that_were_not_fitted_stay_unset(checkpoint: Path) -> None:
    save_extras(tiny_classifier(), checkpoint)
    restored = tiny_classifier()
    restore_extras(restored, checkpoint)
    assert (restored.ood_detector, restored.augmented_decision) == (None, None)


CHANGES = {
    "temperature 0": ("augmented_decision", {"temperature": 0.0}),
    "threshold NaN": ("augmented_decision", {"threshold": float("nan")}),
    "another shape": ("ood_detector", {"mean": torch.zeros(2, dtype=torch.float64)}),
    "NaN": ("ood_detector", {"threshold": float("nan")}),
}
"""A damage → the value that it changes."""


@pytest.mark.parametrize("case", ["another checkpoint", "damaged", "not a dictionary", "missing", *CHANGES])
def test_extras_that_do_not_belong_are_ignored_with_a_warning(
    case: str, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extras = extras_file(checkpoint)
    if case == "another checkpoint":
        checkpoint.write_bytes(b"other weights")
    elif case == "damaged":
        extras.write_bytes(extras.read_bytes()[:-200])
    elif case == "not a dictionary":
        torch.save([1], extras)
    elif case in CHANGES:
        key, change = CHANGES[case]
        values = torch.load(extras, weights_only=True)
        values[key].update(change)
        torch.save(values, extras)
    else:
        extras.unlink()
    restored = tiny_classifier()
    restore_extras(restored, checkpoint)
    assert (restored.ood_detector, restored.augmented_decision) == (None, None)
    assert ("best.inference.pt" in caplog.text) == (case != "missing")
