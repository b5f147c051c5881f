"""Checkpoint + photos → logits and probabilities: for evaluation and prediction alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from melanoma_pl.data.decoding import Decoded, decode_all, stack
from melanoma_pl.data.loader import PhotoBatches
from melanoma_pl.evaluation.calibration import probabilities
from melanoma_pl.models.classifier import MelanomaClassifier

BATCH = 64  # photos: bounds the memory that prediction takes


@dataclass(frozen=True)
class Prediction:
    """What a checkpoint says of one photo.

    Attributes:
        path: The photo.
        probability: Of malignant, in [0, 1]; None where the photo is broken.
        is_malignant: Whether the probability reaches the checkpoint's threshold.
        reason: Why the photo is broken; empty where it is not.
    """

    path: Path
    probability: float | None
    is_malignant: bool
    reason: str = ""


def load_classifier(path: Path, accelerator: str = "cpu") -> MelanomaClassifier:
    """Return a checkpoint's classifier, in 32 bits, ready to predict.

    Raises:
        UserError: If the checkpoint cannot be read.
    """
    classifier = MelanomaClassifier.load(path)
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    return classifier.to(device, memory_format=torch.channels_last)


def predict_logits(classifier: MelanomaClassifier, batches: Iterable[Tensor]) -> NDArray[np.float32]:
    """Return a logit a photo.

    Args:
        classifier: In evaluation mode.
        batches: uint8 `(B, 3, S, S)` each.

    Returns:
        float32 `(N,)`.
    """
    with torch.inference_mode():
        parts = [classifier(pixels.to(classifier.device)).float().cpu() for pixels in batches]
    return torch.cat(parts).numpy() if parts else np.empty(0, dtype=np.float32)


def split_batches(split: PhotoBatches, title: str) -> Iterator[Tensor]:
    """Return a split's pixels batch by batch, in the order of its photos, with a progress bar."""
    with tqdm(total=len(split), desc=title, unit=" photos", leave=False, disable=None) as bar:
        for indices in torch.split(torch.arange(len(split)), BATCH):
            yield split[0, indices].pixels
            bar.update(len(indices))


def predict_files(classifier: MelanomaClassifier, paths: list[Path]) -> Iterator[Prediction]:
    """Predict any number of photos in constant memory, in their order; broken ones are reported, the rest go on."""
    waiting: list[tuple[Path, Decoded]] = []
    for path, decoded in zip(paths, decode_all(paths, classifier.preprocessing, "predicting"), strict=True):
        waiting.append((path, decoded))
        if len(waiting) == BATCH:
            yield from _predict_batch(classifier, waiting)
            waiting.clear()
    yield from _predict_batch(classifier, waiting)


def _predict_batch(classifier: MelanomaClassifier, batch: list[tuple[Path, Decoded]]) -> Iterator[Prediction]:
    readable = [decoded.pixels for _, decoded in batch if decoded.pixels is not None]
    logits = predict_logits(classifier, [stack(readable)] if readable else [])
    malignant = iter(probabilities(logits, classifier.temperature).tolist())
    for path, decoded in batch:
        if decoded.pixels is None:
            yield Prediction(path, None, False, decoded.reason)
        else:
            probability = next(malignant)
            yield Prediction(path, probability, probability >= classifier.threshold)
