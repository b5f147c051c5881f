"""The trained networks whose answers a training learns as well (`model.teacher`)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.config.processes import is_main_process
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.errors import UserError
from melanoma_pl.files import sha256_of
from melanoma_pl.inference.hardware import Accelerator
from melanoma_pl.inference.prediction import load_classifier
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.runs import Run, open_run
from melanoma_pl.runs.image_list import OF_WEIGHTS, images_of_weights, listed_images
from melanoma_pl.runs.run_folder import LAST
from melanoma_pl.specs import targets_of

logger = logging.getLogger(__name__)

ANOTHER = "take a teacher of the same split, or leave model.teacher out"


@dataclass(frozen=True)
class Teacher:
    """A network that teaches, and the file it is from.

    Attributes:
        checkpoint: The file.
        sha256: Its hash: a resumed run must learn from the same network.
        classifier: The network, in evaluation mode.
    """

    checkpoint: Path
    sha256: str
    classifier: MelanomaClassifier


def load_teachers(settings: TrainSettings, run: Run, accelerator: Accelerator) -> tuple[Teacher, ...]:
    """Return the teachers of a run; a resumed run has those that it began with.

    Raises:
        UserError: If one cannot be read, has changed, or sees images of another size or other classes.
    """
    if not (named := settings.model.get("teacher")):
        return ()
    own = [name.rpartition(".")[0] for name in targets_of(settings.model)]
    recorded = run.read().get("teachers") if (run.checkpoints / LAST).is_file() else None
    paths = [Path(each["checkpoint"]) for each in recorded] if recorded else list(map(find_checkpoint, _listed(named)))
    teachers = tuple(_load(path, settings, accelerator, own) for path in paths)
    for teacher, before in zip(teachers, recorded or (), strict=False):
        if teacher.sha256 != before["sha256"]:
            raise UserError(
                f"the teacher {teacher.checkpoint} has changed since the run began", "put it back, or start a new run"
            )
    return teachers


def find_checkpoint(name: str) -> Path:
    """Return a file of weights as it is, and of a run the checkpoint that it evaluated at its end.

    Raises:
        UserError: If there is no such run, or it has no such checkpoint.
    """
    if Path(name).is_file():
        return Path(name)
    return open_run(name).evaluated_checkpoint


def record_teachers(teachers: Sequence[Teacher], run: Run) -> None:
    """Write the teachers into the record of a run, and look at the images that they learnt from.

    Args:
        teachers: The teachers.
        run: The run, with the list of its images.

    Raises:
        UserError: If a teacher has learnt from images that this run is evaluated on: it would pass on their labels.
    """
    listed = listed_images(run)
    for teacher in teachers:
        images, is_complete = images_of_weights(teacher.checkpoint)
        for split, own in (("train", "validation"), ("train", "test"), ("validation", "test")):
            known = {image.sha256 for image in images if image.split == OF_WEIGHTS[split]}
            contents = [image.sha256 for image in listed.get(own, ())]
            if seen := sum(content in known for content in contents):
                verb = "trained on" if split == "train" else "chose its epoch on"
                raise UserError(
                    f"model.teacher: {teacher.checkpoint} {verb} {seen} of the {len(contents)} {own} images", ANOTHER
                )
        if not is_complete and is_main_process():
            logger.warning("teacher     it is not known which images %s learnt from", teacher.checkpoint)
    if teachers and is_main_process():
        run.update(teachers=[_record(teacher) for teacher in teachers])


def _listed(named: Any) -> list[str]:
    return [str(each) for each in named] if isinstance(named, list | tuple) else [str(named)]


def _record(teacher: Teacher) -> Mapping[str, str]:
    return {"checkpoint": str(teacher.checkpoint.resolve()), "sha256": teacher.sha256}


def _load(path: Path, settings: TrainSettings, accelerator: Accelerator, trust: Sequence[str]) -> Teacher:
    classifier = load_classifier(path, accelerator, trust)
    for key, found, wanted in (
        ("class_names", list(classifier.class_names), list(settings.data.class_names)),
        ("image_size", classifier.preprocessing.image_size, settings.data.image_size),
    ):
        if found != wanted:
            raise UserError(f"model.teacher: {path} has data.{key}={found}, and this run {wanted}", ANOTHER)
    return Teacher(path, sha256_of(path), classifier)
