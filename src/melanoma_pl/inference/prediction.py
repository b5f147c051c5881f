"""Prediction: from a checkpoint and images to logits, features, probabilities and decisions. Without Lightning."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Union

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from melanoma_pl.data.decoding import Decoded, decode_file, stack
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.evaluation.out_of_distribution import OutOfDistributionDetector, fit_detector
from melanoma_pl.image_files import read_all
from melanoma_pl.inference.extras import restore_extras
from melanoma_pl.inference.hardware import full_precision
from melanoma_pl.messages import Progress, timed
from melanoma_pl.models.checkpoint import CheckpointEntry, load_network
from melanoma_pl.models.features import tapped
from melanoma_pl.preprocessing import Preprocessing

if TYPE_CHECKING:  # Lightning and torchvision take longer to import than PyTorch
    from melanoma_pl.data.datamodule import MoleDataModule
    from melanoma_pl.data.loader import ImageBatches
    from melanoma_pl.models.classifier import MelanomaClassifier

BATCH = 64  # images; bounds the memory of prediction
MOST_FITTED = 20_000  # images of a split that the detector is fitted to

Views = Literal["none", "dihedral"]
Change = Callable[[Tensor, Tensor], Tensor]
"""Function of pixels, uint8 `(B, 3, S, S)`, and their images' indices in the split, int64 `(B,)` → changed pixels."""
Classifier = Union["MelanomaClassifier", "Predictor"]
ImageSource = Path | Image.Image | NDArray[np.uint8] | Tensor
"""An image file, or an image in memory; arrays and tensors are uint8 `(H, W, 3)`."""


@dataclass(frozen=True)
class Prediction:
    """A checkpoint's prediction for one image.

    Attributes:
        index: Position among the images that were given, from 0.
        path: The image's file; None for an image in memory.
        probability: Calibrated probability of malignant, in [0, 1]; None if the image is broken.
        threshold: Probability from which on the decision is malignant.
        decision: Name of the predicted class; None if the image is broken.
        is_ood: Whether the image is out of distribution, so that its probability is unreliable; None if the checkpoint
            has no detector or the image is broken.
        reason: Reason why the image is broken; empty if it is not.
        pixels: The network's input before scaling, uint8 `(3, S, S)`; None if the image is broken.
    """

    index: int
    path: Path | None
    probability: float | None
    threshold: float
    decision: str | None
    is_ood: bool | None = None
    reason: str = ""
    pixels: Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def is_malignant(self) -> bool:
        """True if the probability reaches the threshold; False also if the image is broken."""
        return self.probability is not None and self.probability >= self.threshold


class Predictor(nn.Module):
    """The network of a checkpoint with all that prediction needs: a `MelanomaClassifier` without Lightning.

    Args:
        network: The network, with the weights of the checkpoint.
        entry: What the checkpoint holds beside them.
    """

    def __init__(self, network: nn.Module, entry: CheckpointEntry) -> None:
        super().__init__()
        self.network = network
        self.preprocessing, self.class_names = entry.preprocessing, entry.class_names
        self.temperature, self.threshold, self.is_decided = entry.temperature, entry.threshold, entry.is_decided
        self.decided_on, self.images_note = entry.decided_on, entry.images_note
        self.logit_shift = math.log(entry.pos_weight) + math.log(entry.oversampling)
        self.augmented_decision: Decision | None = None
        self.ood_detector: OutOfDistributionDetector | None = None

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next((each.device for each in self.parameters()), torch.device("cpu"))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return one logit an image, float `(N,)`, from pixels, uint8 `(N, 3, S, S)`."""
        logits: Tensor = self.network(self.preprocessing.to_input(pixels))
        return logits.reshape(pixels.shape[0]) - self.logit_shift

    def decide(self, decision: Decision) -> None:
        """Take a temperature and a threshold that were fitted with the present weights."""
        self.temperature, self.threshold, self.is_decided = decision.temperature, decision.threshold, True
        self.decided_on = ""


def load_predictor(path: Path, accelerator: str = "cpu", trust: Collection[str] = ()) -> Predictor:
    """Load what `load_classifier` does, for prediction alone; arguments and errors as there."""
    predictor = Predictor(*load_network(path, trust)).eval()
    restore_extras(predictor, path)
    predictor = predictor.to(torch.device("cuda" if accelerator == "gpu" else "cpu"))
    return predictor.to(memory_format=torch.channels_last)


def load_classifier(path: Path, accelerator: str = "cpu", trust: Collection[str] = ()) -> "MelanomaClassifier":
    """Load a checkpoint's classifier in 32 bits, in evaluation mode, with the extras stored beside the checkpoint.

    Args:
        path: The checkpoint.
        accelerator: `cpu` or `gpu`.
        trust: Modules that may be imported for the network's class, beside those of this package and its libraries.

    Raises:
        UserError: If the checkpoint cannot be read, or its network is of a module that is not trusted.
    """
    from melanoma_pl.models.classifier import MelanomaClassifier

    classifier = MelanomaClassifier.load_from_checkpoint(path, trust=trust)
    restore_extras(classifier, path)
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    return classifier.to(device, memory_format=torch.channels_last)


def predict_logits(classifier: Classifier, batches: Iterable[Tensor], views: Views = "none") -> NDArray[np.float32]:
    """Compute one logit an image.

    Args:
        classifier: In evaluation mode.
        batches: uint8 `(B, 3, S, S)` each.
        views: `dihedral` averages the logits of each image's eight flips and quarter turns: a lesion has no upright.

    Returns:
        float32 `(N,)`.

    Raises:
        UserError: If a logit is not finite.
    """
    parts = []
    with torch.inference_mode(), full_precision():
        for pixels in batches:
            on_device = pixels.to(classifier.device)
            seen = dihedral_views(on_device) if views == "dihedral" else [on_device]
            parts.append(torch.stack([classifier(view).float() for view in seen]).mean(dim=0).cpu())
    logits = torch.cat(parts).numpy() if parts else np.empty(0, dtype=np.float32)
    if lost := int((~np.isfinite(logits)).sum()):
        raise UserError(
            f"the network returns non-finite logits for {lost} of {len(logits)} images",
            "its weights are broken: take the run's other checkpoint, or train with a smaller optimizer.lr",
        )
    return logits


def dihedral_views(pixels: Tensor) -> Iterator[Tensor]:
    """Return the eight flips and quarter turns of square images `(N, 3, S, S)`, the images themselves first."""
    for turns in range(4):
        turned = torch.rot90(pixels, turns, (2, 3))
        yield turned
        yield turned.flip(3)


def split_batches(split: "ImageBatches", title: str, change: Change | None = None) -> Iterator[Tensor]:
    """Return a split's pixels batch by batch, in the order of its images, with `Progress`."""
    with Progress(len(split), title) as progress:
        for indices in torch.split(torch.arange(len(split)), BATCH):
            pixels = split[0, indices].pixels
            yield pixels if change is None else change(pixels, indices)
            progress.advance(len(indices))


def fit_ood_detector(classifier: "MelanomaClassifier", data: "MoleDataModule") -> bool:
    """Fit a classifier's out-of-distribution detector, and leave it in `classifier.ood_detector`.

    Args:
        classifier: In evaluation mode.
        data: The images that it was trained on; those of the validation split set the detector's threshold.

    Returns:
        False if the network has no features to tap, or there are too few images.
    """
    classifier.ood_detector = fit_detector(
        _features(classifier, data, "train"), _features(classifier, data, "validation")
    )
    return classifier.ood_detector is not None


def _features(classifier: "MelanomaClassifier", data: "MoleDataModule", name: str) -> NDArray[np.float32]:
    """Return the features of a split's images, float32 `(N, D)`; D is 0 if the network has none."""
    from melanoma_pl.data.loader import ImageBatches

    split = data.split(name)
    if len(split) > MOST_FITTED:  # a mean and a covariance need no more
        chosen = torch.linspace(0, len(split) - 1, MOST_FITTED).long()
        split = ImageBatches(split.loaded, split.positions[chosen])
    with tapped(classifier.network) as collected, timed("detector"):
        predict_logits(classifier, split_batches(split, f"features of {name} images"))
    return torch.cat(collected).cpu().numpy() if collected else np.empty((len(split), 0), dtype=np.float32)


def iterate_predictions(
    classifier: Classifier, images: Sequence[ImageSource], views: Views = "none"
) -> Iterator[Prediction]:
    """Predict any number of images in their order and in constant memory; broken images do not stop the others.

    Args:
        classifier: In evaluation mode.
        images: Files, or images in memory.
        views: As of `predict_logits`; `dihedral` uses the decision that an evaluation fitted for it, if there is one.
    """
    decode = partial(_decode, preprocessing=classifier.preprocessing)
    waiting: list[Decoded] = []
    with _tapped(classifier) as collected:  # for all batches: finding the layer runs the network once more
        for count, decoded in enumerate(read_all(decode, images, "predicting"), 1):
            waiting.append(decoded)
            if len(waiting) == BATCH or count == len(images):
                first = count - len(waiting)
                for index, prediction in enumerate(_predict_batch(classifier, waiting, views, collected), first):
                    image = images[index]
                    yield replace(prediction, index=index, path=image if isinstance(image, Path) else None)
                waiting.clear()


def _tapped(classifier: Classifier) -> AbstractContextManager[list[Tensor]]:
    """Collect features while the network runs, if a detector wants them."""
    return nullcontext([]) if classifier.ood_detector is None else tapped(classifier.network)


def _decode(source: ImageSource, preprocessing: Preprocessing) -> Decoded:
    if isinstance(source, Path):
        return decode_file(source, preprocessing, is_hashed=False)
    try:
        array = source.numpy(force=True) if isinstance(source, Tensor) else source
        image = array if isinstance(array, Image.Image) else Image.fromarray(array)
        return Decoded(preprocessing.to_pixels(image), "")
    except Exception as error:  # Pillow decodes an opened file only now, and a damaged one can fail anywhere
        return Decoded(None, "", " ".join(str(error).split()) or type(error).__name__)


def predict_decoded(classifier: Classifier, batch: Sequence[Decoded], views: Views = "none") -> Iterator[Prediction]:
    """Predict images that are decoded already, in one batch; arguments as of `iterate_predictions`."""
    with _tapped(classifier) as collected:
        yield from _predict_batch(classifier, batch, views, collected)


def _predict_batch(
    classifier: Classifier, batch: Sequence[Decoded], views: Views, collected: list[Tensor]
) -> Iterator[Prediction]:
    """Predict decoded images; `collected` receives their features, after those of what else ran in the meantime."""
    readable = [decoded.pixels for decoded in batch if decoded.pixels is not None]
    collected.clear()
    logits = predict_logits(classifier, [stack(readable)] if readable else [], views)
    is_ood: list[bool | None] = [None] * len(readable)
    if classifier.ood_detector is not None and readable:
        is_ood = classifier.ood_detector.is_ood(collected[0].cpu().numpy()).tolist()
    stored = classifier.augmented_decision if views == "dihedral" else None
    decision = stored or Decision(classifier.temperature, classifier.threshold)
    predicted = iter(zip(decision.probabilities(logits).tolist(), is_ood, strict=True))
    for index, decoded in enumerate(batch):
        if decoded.pixels is None:
            yield Prediction(index, None, None, decision.threshold, None, reason=decoded.reason)
            continue
        probability, is_outside = next(predicted)
        name = classifier.class_names[probability >= decision.threshold]
        yield Prediction(index, None, probability, decision.threshold, name, is_outside, pixels=decoded.pixels)
