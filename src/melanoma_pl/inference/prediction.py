"""Checkpoint + images → logits, features and probabilities: for evaluation and prediction alike."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from melanoma_pl.data.decoding import Decoded, decode_all, stack
from melanoma_pl.data.loader import ImageBatches
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.evaluation.out_of_distribution import OutOfDistributionDetector, fit_detector
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.features import tapped

BATCH = 64  # images: bounds the memory that prediction takes

Views = Literal["none", "dihedral"]
Change = Callable[[Tensor, Tensor], Tensor]
"""Pixels uint8 `(B, 3, S, S)` and the places int64 `(B,)` of their images in the split → changed pixels."""


@dataclass(frozen=True)
class Prediction:
    """What a checkpoint says of one image.

    Attributes:
        path: The image.
        probability: Of malignant, in [0, 1]; None where the image is broken.
        is_malignant: Whether the probability reaches the checkpoint's threshold.
        reason: Why the image is broken; empty where it is not.
        is_ood: Whether the image is unlike the training images, so that the probability should not be relied on;
            None where the checkpoint cannot tell.
        pixels: What the network saw, uint8 `(3, S, S)`; None where the image is broken.
    """

    path: Path
    probability: float | None
    is_malignant: bool
    reason: str = ""
    is_ood: bool | None = None
    pixels: Tensor | None = field(default=None, repr=False, compare=False)


def load_classifier(path: Path, accelerator: str = "cpu") -> MelanomaClassifier:
    """Return a checkpoint's classifier, in 32 bits, ready to predict.

    Raises:
        UserError: If the checkpoint cannot be read.
    """
    classifier = MelanomaClassifier.load(path)
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    return classifier.to(device, memory_format=torch.channels_last)


def predict_logits(
    classifier: MelanomaClassifier, batches: Iterable[Tensor], views: Views = "none"
) -> NDArray[np.float32]:
    """Return a logit an image.

    Args:
        classifier: In evaluation mode.
        batches: uint8 `(B, 3, S, S)` each.
        views: `dihedral`: the mean logit of an image's eight flips and quarter turns; a lesion has no upright.

    Returns:
        float32 `(N,)`.

    Raises:
        UserError: If the network's answers are no numbers.
    """
    with torch.inference_mode():
        parts = [_mean_logits(classifier, pixels.to(classifier.device), views).cpu() for pixels in batches]
    logits = torch.cat(parts).numpy() if parts else np.empty(0, dtype=np.float32)
    if lost := int((~np.isfinite(logits)).sum()):
        raise UserError(
            f"for {lost} of {len(logits)} images the network's answers are no numbers",
            "its weights are broken: take the run's other checkpoint, or train with a smaller optimizer.lr",
        )
    return logits


def _mean_logits(classifier: MelanomaClassifier, pixels: Tensor, views: Views) -> Tensor:
    if views == "none":
        logits: Tensor = classifier(pixels).float()
        return logits
    return torch.stack([classifier(view).float() for view in dihedral_views(pixels)]).mean(dim=0)


def dihedral_views(pixels: Tensor) -> Iterator[Tensor]:
    """Return the eight flips and quarter turns of square images `(N, 3, S, S)`, the images themselves first."""
    for turns in range(4):
        turned = torch.rot90(pixels, turns, (2, 3))
        yield turned
        yield turned.flip(3)


def split_batches(split: ImageBatches, title: str, change: Change | None = None) -> Iterator[Tensor]:
    """Return a split's pixels batch by batch, in the order of its images, with a progress bar."""
    with tqdm(total=len(split), desc=title, unit=" images", leave=False, disable=None) as bar:
        for indices in torch.split(torch.arange(len(split)), BATCH):
            pixels = split[0, indices].pixels
            yield pixels if change is None else change(pixels, indices)
            bar.update(len(indices))


def split_features(classifier: MelanomaClassifier, split: ImageBatches, title: str) -> NDArray[np.float32]:
    """Return what the network makes of each image before it decides: float32 `(N, D)`; D is 0 for want of features."""
    with tapped(classifier.network) as collected:
        predict_logits(classifier, split_batches(split, title))
    return torch.cat(collected).cpu().numpy() if collected else np.empty((len(split), 0), dtype=np.float32)


def fit_ood_detector(
    classifier: MelanomaClassifier, training: ImageBatches, validation: ImageBatches
) -> OutOfDistributionDetector | None:
    """Let a classifier know what its training images look like, so that it can tell what is unlike them.

    Args:
        classifier: In evaluation mode; it keeps what was learnt.
        training: What it was trained on.
        validation: Images that it was not trained on, which set the limit.

    Returns:
        What was learnt; None where the network has no features to tap.
    """
    known = split_features(classifier, training, "what training images look like")
    held = split_features(classifier, validation, "what validation images look like")
    classifier.ood_detector = fit_detector(known, held)
    return classifier.ood_detector


def predict_files(classifier: MelanomaClassifier, paths: list[Path], views: Views = "none") -> Iterator[Prediction]:
    """Predict any number of images in constant memory, in their order; broken ones are reported, the rest go on.

    Args:
        classifier: In evaluation mode.
        paths: The images.
        views: As of `predict_logits`; the decision is the one that was fitted for them, else that of single images.
    """
    waiting: list[tuple[Path, Decoded]] = []
    for path, decoded in zip(paths, decode_all(paths, classifier.preprocessing, "predicting"), strict=True):
        waiting.append((path, decoded))
        if len(waiting) == BATCH:
            yield from _predict_batch(classifier, waiting, views)
            waiting.clear()
    yield from _predict_batch(classifier, waiting, views)


def decision_of(classifier: MelanomaClassifier, views: Views = "none") -> Decision:
    """Return the temperature and threshold that a classifier decides with."""
    if views == "dihedral" and classifier.augmented_decision is not None:
        return classifier.augmented_decision
    return Decision(classifier.temperature, classifier.threshold)


def _predict_batch(
    classifier: MelanomaClassifier, batch: list[tuple[Path, Decoded]], views: Views
) -> Iterator[Prediction]:
    readable = [decoded.pixels for _, decoded in batch if decoded.pixels is not None]
    with tapped(classifier.network) as collected:
        logits = predict_logits(classifier, [stack(readable)] if readable else [], views)
    unlike: Iterator[bool | None] = iter([None] * len(readable))
    if classifier.ood_detector is not None and readable:
        unlike = iter(classifier.ood_detector.is_ood(collected[0].cpu().numpy()).tolist())
    decision = decision_of(classifier, views)
    malignant = iter(decision.probabilities(logits).tolist())
    for path, decoded in batch:
        if decoded.pixels is None:
            yield Prediction(path, None, False, decoded.reason)
        else:
            probability = next(malignant)
            yield Prediction(
                path,
                probability,
                probability >= decision.threshold,
                is_ood=next(unlike),
                pixels=decoded.pixels,
            )
