"""Extras of a checkpoint: values for prediction that an evaluation fits after training, in a file beside it.

A checkpoint is never changed once training has saved it, so `best.ckpt` has its extras in `best.inference.pt`.
"""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.evaluation.out_of_distribution import OutOfDistributionDetector
from melanoma_pl.files import replacement, sha256_of

if TYPE_CHECKING:
    from melanoma_pl.models.classifier import MelanomaClassifier

logger = logging.getLogger(__name__)


def extras_file(checkpoint: Path) -> Path:
    """Return the path of a checkpoint's extras."""
    return checkpoint.with_suffix(".inference.pt")


def save_extras(classifier: "MelanomaClassifier", checkpoint: Path) -> None:
    """Save a classifier's out-of-distribution detector and its decisions, of one and of eight views, if it has them.

    The file holds tensors and plain values only, and names the checkpoint that it belongs to by its hash.

    Args:
        classifier: A classifier loaded from the checkpoint.
        checkpoint: The checkpoint; it is only read.

    Raises:
        OSError: If the file cannot be written; RuntimeError if the disk is full.
    """
    extras: dict[str, Any] = {"checkpoint_sha256": sha256_of(checkpoint)}
    if classifier.ood_detector is not None:
        values = asdict(classifier.ood_detector).items()
        extras["ood_detector"] = {
            name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in values
        }
    if classifier.is_decided:
        extras["decision"] = {"temperature": classifier.temperature, "threshold": classifier.threshold}
    if classifier.augmented_decision is not None:
        extras["augmented_decision"] = asdict(classifier.augmented_decision)
    with replacement(extras_file(checkpoint)) as temporary:
        torch.save(extras, temporary)


def restore_extras(classifier: Any, checkpoint: Path) -> None:
    """Give a `MelanomaClassifier` or `Predictor` its extras; a damaged file or one of another checkpoint is ignored."""
    path = extras_file(checkpoint)
    if not path.is_file():
        return
    try:
        extras = torch.load(path, map_location="cpu", weights_only=True)
        if extras["checkpoint_sha256"] != sha256_of(checkpoint):
            logger.warning("%s belongs to another checkpoint and is ignored; melanoma-evaluate renews it", path)
            return
        values = extras.get("ood_detector")
        arrays = {name: value.numpy() for name, value in (values or {}).items() if isinstance(value, torch.Tensor)}
        detector = OutOfDistributionDetector(**{**values, **arrays}) if values else None
        own, augmented = (
            Decision(**extras[name]) if extras.get(name) else None for name in ("decision", "augmented_decision")
        )
    except Exception as error:  # a damaged file can fail anywhere in the unpickler
        logger.warning("%s cannot be read (%s) and is ignored; melanoma-evaluate renews it", path, type(error).__name__)
        return
    classifier.ood_detector, classifier.augmented_decision = detector, augmented
    if own is not None and not classifier.is_decided:
        classifier.decide(own)
