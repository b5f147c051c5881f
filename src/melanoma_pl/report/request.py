"""What is to be judged by whom, before anything heavy is imported. Light.

What is asked of a review, what is known beforehand, and what comes of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from melanoma_pl import runs
from melanoma_pl.config.schema import EvaluateSettings, TrainSettings, check_settings
from melanoma_pl.data.image_set import LabelledImages
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.inference.ensemble import Logits
from melanoma_pl.report.content import Content

OVERRIDABLE = ("metadata", "group_column", "image_column", "without_row", "on_broken")


@dataclass(frozen=True)
class EvaluationRequest:
    """One run, and the images that it is to judge.

    Attributes:
        run: The run.
        checkpoint: Its checkpoint.
        own: The settings that it was trained with, with its images where they lie now.
        judged: The same with the images that are judged.
        is_own_data: Whether those are the images of the run.
    """

    run: runs.Run
    checkpoint: Path
    own: TrainSettings
    evaluated: TrainSettings
    is_own_data: bool = True


def make_request(folder: str, settings: EvaluateSettings) -> EvaluationRequest:
    """Return what one run is asked for.

    Raises:
        UserError: If there is no such run or checkpoint, or another image set has no such split.
    """
    run = runs.open_run(folder)
    record = run.read()
    own = _settings(record, {})
    evaluated = _settings(record, _changes(settings, record["config"]["data"]))
    checkpoint = run.checkpoint(settings.checkpoint or own.checkpoint.evaluate)
    return EvaluationRequest(run, checkpoint, own, evaluated, is_own_data=settings.data.root is None)


def refuse_twice(requests: Sequence[EvaluationRequest]) -> None:
    """Refuse a run that is named twice, however it is spelt.

    Raises:
        UserError: If one is.
    """
    folders = [request.run.folder.resolve() for request in requests]
    if len(set(folders)) < len(folders):
        raise UserError(f"run={[str(request.run.folder) for request in requests]} names a run twice", "name each once")


def check_output(output: str | None) -> None:
    """Refuse a folder for the report that cannot be one, or that is a run's own.

    Raises:
        UserError: If it has no name, is a file, cannot be made, or is or lies in a run's folder.
    """
    if output is None:
        return
    folder = Path(output).resolve()
    own = next((place for place in (folder, *folder.parents) if (place / runs.RECORD).is_file()), None)
    if not output or own is not None:
        message = f"output={output} lies in the run {own}" if output else "output names no folder"
        raise UserError(message, "name a folder of its own, or leave output out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output={output} cannot be made ({error.strerror})", "name another folder") from error


def _settings(record: Mapping[str, Any], changes: Mapping[str, Any]) -> TrainSettings:
    data = record["config"]["data"]
    places = {key: str(place) for key, place in runs.started_in(record, data).items()}
    settings: TrainSettings = check_settings(TrainSettings, {**record["config"], "data": {**data, **places, **changes}})
    return settings


def _changes(settings: EvaluateSettings, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs from the run's own images."""
    chosen = settings.data.model_dump()
    changes = {key: chosen[key] for key in OVERRIDABLE if chosen[key] is not None}
    changes["folder_names"] = {**data["folder_names"], **settings.data.folder_names}
    root = settings.data.root
    if root is None:
        return changes
    if settings.split == "validation":
        raise UserError(f"data.root={root} has no validation split of this run", "evaluate it with split=test")
    # another set: its own lesions, if it tells them, and none shared with the run's
    other = {"synthetic": None, "table": None, "exclude": None, "fold": None, "root": root, "limit": None}
    other |= {"metadata": settings.data.metadata or "auto", "group_column": settings.data.group_column}
    return {**changes, **other}


Depth = Literal["page", "numbers"]


@dataclass(frozen=True)
class Question:
    """What is asked of a review.

    Attributes:
        split: `validation` or `test`.
        prevalence: Share of malignant images to give predictive values at, or None.
        subgroups: Columns of the metadata, or None for those that are known by their names.
        robustness: Whether to judge perturbed images, too.
        mistakes: How many of the worst false negatives and false positives to show.
        depth: `numbers` leaves out what is slow and only a page shows: shortcuts and mistakes.
    """

    split: str
    prevalence: float | None = None
    subgroups: Sequence[str] | None = None
    robustness: bool = False
    mistakes: int = 6
    depth: Depth = "page"


@dataclass(frozen=True)
class Context:
    """What is known of the images and the networks beside their pixels and weights.

    Attributes:
        title: Of the report: the run's name.
        images: Name of the image set.
        facts: Label → text.
        runs: Folders of the runs that judge.
        warnings: What must be said beside every figure.
        notes: What is worth knowing.
        is_seen: bool `(N,)`, images that the network trained on, or whose lesion it trained on.
        may_learn: Whether the run's own training images are there for what knows no medicine to learn from.
    """

    title: str
    images: str
    facts: dict[str, str] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_seen: NDArray[np.bool_] | None = None
    may_learn: bool = True


@dataclass(frozen=True)
class Review:
    """A review, image by image and in all.

    Attributes:
        content: What the report says.
        judged: The images.
        logits: float `(N,)`, combined.
        malignant: float64 `(N,)`, probabilities.
        is_seen: bool `(N,)`, images whose lesion was trained on.
        is_ood: bool `(N,)`, images unlike the training images; None where the checkpoint cannot tell.
        loss: Of the live curve, before calibration; None for several networks.
        runs: Folders of the runs that judged.
    """

    content: Content
    evaluated: LabelledImages
    logits: Logits
    malignant: Floats
    is_seen: NDArray[np.bool_]
    is_ood: NDArray[np.bool_] | None
    loss: float | None
    runs: tuple[str, ...]
