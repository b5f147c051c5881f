"""Answers: what the page and the JSON interface say of an image, and what its probability meant on the test images."""

import base64
import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melanoma_pl.app.batching import Predicted
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.reliability import SimilarImages, similar_images
from melanoma_pl.inference.heat_maps import overlay
from melanoma_pl.inference.prediction import Prediction
from melanoma_pl.runs.predictions import find_source, read_predictions, recorded_decisions


@dataclass(frozen=True)
class RecordedImages:
    """The images of a run's report, which tell what a probability meant.

    Attributes:
        split: `test` or `validation`.
        probabilities: float64 `(N,)`.
        targets: int64 `(N,)`, 1 is malignant.
    """

    split: str
    probabilities: NDArray[np.float64]
    targets: NDArray[np.int64]

    def similar(self, probability: float) -> SimilarImages | None:
        """Return the images with the nearest probabilities; None if there are none, see `similar_images`."""
        return similar_images(probability, self.probabilities, self.targets)


def recorded_images(checkpoint: Path, threshold: float) -> RecordedImages | None:
    """Return the images that a checkpoint's run was evaluated on, except those of lesions that are also in train.

    Args:
        checkpoint: The checkpoint that the run evaluates.
        threshold: Its threshold.

    Returns:
        The test images, or else those of validation; None if the run has no report at this threshold.
    """
    recorded = recorded_decisions(checkpoint, threshold)
    if recorded is None:
        return None
    with suppress(UserError, KeyError):
        found = read_predictions(find_source(checkpoint.absolute().parents[1]), recorded[0])
        images = [image for image in found.images.values() if not image.is_seen]
        if images:
            probabilities = np.array([image.probability for image in images])
            return RecordedImages(found.split, probabilities, np.array([int(image.is_malignant) for image in images]))
    return None


@dataclass(frozen=True)
class Answer:
    """The answer for one image.

    Attributes:
        name: Name of the file, as the client gave it.
        prediction: The prediction.
        image: The network's input as a data URI; empty if the image is broken.
        heat_map: The image with its heat map as a data URI; empty without one.
        is_map_empty: Whether no region supports the decision.
        similar: The report's images with similar probabilities.
    """

    name: str
    prediction: Prediction
    image: str = ""
    heat_map: str = ""
    is_map_empty: bool = False
    similar: SimilarImages | None = None


def answer(name: str, predicted: Predicted, recorded: RecordedImages | None, *, with_image: bool) -> Answer:
    """Return the answer for an image; the JSON interface needs no `image`."""
    prediction = predicted.prediction
    if prediction.pixels is None or prediction.probability is None:
        return Answer(name, prediction)
    pixels = prediction.pixels.permute(1, 2, 0).numpy()
    heat = predicted.heat
    return Answer(
        name,
        prediction,
        png_uri(pixels) if with_image else "",
        "" if heat is None else png_uri(overlay(pixels, heat)),
        heat is not None and not heat.any(),
        None if recorded is None else recorded.similar(prediction.probability),
    )


def row(given: Answer) -> dict[str, Any]:
    """Return an answer with the keys and the numbers of `melanoma-predict --json`."""
    prediction = given.prediction
    return {
        "path": given.name,
        "probability": prediction.probability,
        "decision": prediction.decision,
        "threshold": prediction.threshold,
        "out_of_distribution": prediction.is_ood,
        "heat_map": given.heat_map or None,
        "error": prediction.reason or None,
    }


def png_uri(pixels: NDArray[np.uint8]) -> str:
    """Return an image, uint8 `(S, S, 3)`, as a PNG in a data URI: exactly these pixels."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
