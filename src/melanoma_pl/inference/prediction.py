"""Prediction: from a checkpoint and images to logits, features, probabilities and decisions. Without Lightning."""

import math
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
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
from melanoma_pl.image_files import in_order, pillow_warnings, read_all
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
FEWEST_ON_EACH_CORE = BATCH + 1  # images; fewer are one batch for all cores
BATCH_OF_CORE = 32  # images; of fewer, each batch would read the dense layers' weights anew
MOST_FITTED = 20_000  # images of a split that the detector is fitted to

Views = Literal["none", "dihedral"]
Precision = Literal["32-true", "bf16-mixed"]
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
        precision: `32-true`, or `bf16-mixed` to compute convolutions and products in bf16.
    """

    def __init__(self, network: nn.Module, entry: CheckpointEntry, precision: Precision = "32-true") -> None:
        super().__init__()
        self.network, self.precision = network, precision
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
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed"):
            logits: Tensor = self.network(self.preprocessing.to_input(pixels))
        return logits.float().reshape(pixels.shape[0]) - self.logit_shift

    def decide(self, decision: Decision) -> None:
        """Take a temperature and a threshold that were fitted with the present weights."""
        self.temperature, self.threshold, self.is_decided = decision.temperature, decision.threshold, True
        self.decided_on = ""


def load_predictor(
    path: Path, accelerator: str = "cpu", trust: Collection[str] = (), precision: Precision = "32-true"
) -> Predictor:
    """Load what `load_classifier` does, for prediction alone, in a `Predictor`'s precision; the rest as there."""
    predictor = Predictor(*load_network(path, trust), precision).eval()
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


@dataclass(frozen=True)
class _Computed:
    """Decoded images, and float32 `(N,)` logits and `(N, D)` features of those that are not broken."""

    decoded: Sequence[Decoded]
    logits: NDArray[np.float32]
    features: NDArray[np.float32] | None


class _OfThread(threading.local):
    """The features of the batches that this thread predicted."""

    def __init__(self) -> None:
        self.features: list[Tensor] = []


def iterate_predictions(
    classifier: Classifier, images: Sequence[ImageSource], views: Views = "none", *, on_each_core: bool = False
) -> Iterator[Prediction]:
    """Predict any number of images in their order and in constant memory; broken images do not stop the others.

    Args:
        classifier: In evaluation mode.
        images: Files, or images in memory.
        views: As of `predict_logits`; `dihedral` uses the decision that an evaluation fitted for it, if there is one.
        on_each_core: Whether each core of a CPU may read and predict batches of its own, which is faster for many
            images. Nothing else, such as heat maps, may then use the network until the last prediction.
    """
    decode, of_thread = partial(_decode, preprocessing=classifier.preprocessing), _OfThread()
    compute = partial(_compute, classifier, views=views, of_thread=of_thread)
    threads = torch.get_num_threads()
    with _tapped(classifier, of_thread):  # for all batches: finding the layer runs the network once more
        if on_each_core and threads > 1 and len(images) >= FEWEST_ON_EACH_CORE and classifier.device.type == "cpu":
            batches = _on_each_core(lambda batch: compute(list(map(decode, batch))), images, threads)
        else:
            batches = map(compute, _read_batches(decode, images))
        predictions = (prediction for batch in batches for prediction in _predictions(classifier, batch, views))
        for index, (image, prediction) in enumerate(zip(images, predictions, strict=True)):
            yield replace(prediction, index=index, path=image if isinstance(image, Path) else None)


def _on_each_core(
    compute: Callable[[Sequence[ImageSource]], _Computed], images: Sequence[ImageSource], threads: int
) -> Iterator[_Computed]:
    """Let each thread read and predict small batches by itself, so that no core waits for another one."""
    ends = [*range(0, len(images) - BATCH_OF_CORE + 1, BATCH_OF_CORE), len(images)]  # the last batch is the largest
    batches = (images[start:end] for start, end in pairwise(ends))
    pool = ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1))
    try:
        with pillow_warnings.ignored(), full_precision(), Progress(len(images), "predicting") as progress:
            for computed in in_order(compute, batches, pool, 2 * threads):
                progress.advance(len(computed.decoded))
                yield computed
    finally:
        torch.set_num_threads(threads)  # new threads have the number that was set last, in whichever thread


def _read_batches(
    decode: Callable[[ImageSource], Decoded], images: Sequence[ImageSource]
) -> Iterator[Sequence[Decoded]]:
    waiting: list[Decoded] = []
    for count, decoded in enumerate(read_all(decode, images, "predicting"), 1):
        waiting.append(decoded)
        if len(waiting) == BATCH or count == len(images):
            yield waiting
            waiting = []


def _tapped(classifier: Classifier, of_thread: _OfThread) -> AbstractContextManager[object]:
    """Collect features while the network runs, if a detector wants them."""
    if classifier.ood_detector is None:
        return nullcontext()
    return tapped(classifier.network, lambda features: of_thread.features.append(features))


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
    of_thread = _OfThread()
    with _tapped(classifier, of_thread):
        computed = _compute(classifier, batch, views, of_thread)
    yield from _predictions(classifier, computed, views)


def _compute(classifier: Classifier, batch: Sequence[Decoded], views: Views, of_thread: _OfThread) -> _Computed:
    readable = [decoded.pixels for decoded in batch if decoded.pixels is not None]
    of_thread.features.clear()  # of what else ran in the meantime
    logits = predict_logits(classifier, [stack(readable)] if readable else [], views)
    return _Computed(batch, logits, of_thread.features[0].cpu().numpy() if of_thread.features else None)


def _predictions(classifier: Classifier, computed: _Computed, views: Views) -> Iterator[Prediction]:
    """Return the predictions of a batch, numbered from 0."""
    is_ood: list[bool | None] = [None] * len(computed.logits)
    if classifier.ood_detector is not None and computed.features is not None:
        is_ood = classifier.ood_detector.is_ood(computed.features).tolist()
    stored = classifier.augmented_decision if views == "dihedral" else None
    decision = stored or Decision(classifier.temperature, classifier.threshold)
    predicted = iter(zip(decision.probabilities(computed.logits).tolist(), is_ood, strict=True))
    for index, decoded in enumerate(computed.decoded):
        if decoded.pixels is None:
            yield Prediction(index, None, None, decision.threshold, None, reason=decoded.reason)
            continue
        probability, is_outside = next(predicted)
        name = classifier.class_names[probability >= decision.threshold]
        yield Prediction(index, None, probability, decision.threshold, name, is_outside, pixels=decoded.pixels)
