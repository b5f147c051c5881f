"""The weights that a run begins with (`model.weights`), and the images that they have learnt from."""

import logging
from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.config.instantiate import check_weights
from melanoma_pl.config.processes import is_main_process
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.files import sha256_of
from melanoma_pl.runs import Run
from melanoma_pl.runs.image_list import ListedImage, images_of_weights, listed_images, seen_by_weights
from melanoma_pl.runs.run_folder import LAST

logger = logging.getLogger(__name__)

CONSEQUENCES = {
    "validation": "epoch, temperature and threshold will be chosen on images that the network has seen",
    "test": "figures on them will be too good",
}


@dataclass(frozen=True)
class StartingWeights:
    """A file of weights, and the images that they have learnt from.

    Attributes:
        path: A checkpoint, or a `.npz` file of Keras.
        images: The images of its run, with the splits of `runs.image_list.OF_WEIGHTS`.
        is_listed: Whether these are all images that the weights have learnt from.
    """

    path: Path
    images: tuple[ListedImage, ...]
    is_listed: bool

    def record(self, run: Run) -> None:
        """Write into a run's record what is known about the weights, and log what reduces the worth of its figures.

        Args:
            run: A new run, with the list of its images.
        """
        if not is_main_process():
            return
        listed, seen = listed_images(run), {}
        for split, consequence in CONSEQUENCES.items():
            contents, known = [image.sha256 for image in listed.get(split, ())], seen_by_weights(listed, split)
            seen[split] = sum(content in known for content in contents)
            if seen[split]:
                text = "weights     learnt from %d of %d %s images: %s"
                logger.warning(text, seen[split], len(contents), split, consequence)
        if not self.is_listed:
            text = "weights     of %s: it is not known which images they learnt from, perhaps from those evaluated here"
            logger.warning(text, self.path)
        run.update(weights={"sha256": sha256_of(self.path), "is_listed": self.is_listed, "seen": seen})


def starting_weights(settings: TrainSettings, run: Run) -> StartingWeights | None:
    """Return the weights that a run begins with; None for initial weights, and for a run that goes on.

    Raises:
        UserError: If they cannot be read, or were trained with another preprocessing or other class names.
    """
    if not settings.model.get("weights") or (run.checkpoints / LAST).is_file():
        return None
    check_weights(settings)
    path = Path(settings.model["weights"])
    images, is_listed = images_of_weights(path)
    return StartingWeights(path, tuple(images), is_listed)
