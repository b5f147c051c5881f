"""From runs to a panel of networks that judge, and what is known of the images they judge."""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.config.instantiate import make_data
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.inference.ensemble import Combine, Ensemble, Member, assemble
from melanoma_pl.inference.hardware import Accelerator
from melanoma_pl.inference.prediction import Views, load_classifier
from melanoma_pl.report.request import EvaluationRequest
from melanoma_pl.runs import IMAGES, Run
from melanoma_pl.runs.image_list import compare_images


def open_members(
    requests: Sequence[EvaluationRequest], accelerator: Accelerator, split: str, *, own_images: bool
) -> list[Member]:
    """Load each run's network, and list the images that it judges.

    Raises:
        UserError: If a checkpoint cannot be read, or a run's images are no longer those that it began with.
    """
    members = []
    for request in requests:
        evaluated = make_data(request.evaluated, every_class=own_images)  # another set may hold melanomas alone
        own = evaluated if request.own == request.evaluated else make_data(request.own)
        if own_images:
            compare_images(request.run, evaluated, [split])
        fits = request.own.data.validate_on == "validation"
        classifier = load_classifier(request.checkpoint, accelerator)
        members.append(Member(name_of(request.run), classifier, own, evaluated, fits, held_images(request.run)))
    return members


def make_ensemble(members: Sequence[Member], views: Views, combine: Combine) -> Ensemble:
    """Return who judges: one network as its checkpoint decides, or views or several with a decision of their own."""
    return Ensemble.of_one(members[0]) if len(members) == 1 and views == "none" else assemble(members, views, combine)


def held_images(run: Run) -> frozenset[str]:
    """Return the hashes of the images that a run validated on and did not train on, as its list tells."""
    noted = noted_contents(run)
    contents = {name: {content for _, content in noted.get(name, [])} for name in ("train", "validation")}
    return frozenset(contents["validation"] - contents["train"])


def name_of(run: Run) -> str:
    """Return a run's name: the last two folders of its path."""
    return "/".join(run.folder.resolve().parts[-2:])


@dataclass(frozen=True)
class SeenImages:
    """Which of the judged images the networks know.

    Attributes:
        mask: bool `(N,)`, images that a network trained or chose on, or whose lesion is in its train folder.
        notes: What is worth knowing of them.
        warnings: What must be said beside every figure.
    """

    mask: NDArray[np.bool_]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def seen_images(
    requests: Sequence[EvaluationRequest], members: Sequence[Member], split: str, *, own_images: bool
) -> SeenImages:
    """Tell which of the judged images a network has trained on, or whose lesion it has.

    Raises:
        UserError: If several networks judge, and one has trained on images that it is to judge.
    """
    contents = members[0].evaluated.split(split).contents
    trained, shared = (np.zeros(len(contents), dtype=bool) for _ in range(2))
    warnings = []
    for request, member in zip(requests, members, strict=True):
        seen = trained_on(request.run, split, member.fits)
        if not noted_contents(request.run):
            warnings.append(f"{member.name} has no list of its images: whether it trained on these cannot be checked.")
        is_seen = np.array([content in seen for content in contents], dtype=bool)
        if is_seen.any() and len(members) > 1:
            raise UserError(
                f"{member.name} trained on {is_seen.sum()} of the {len(contents)} {split} images that it is to judge",
                "take runs of one split: one data.root, and for split=validation one data.split_seed",
            )
        trained |= is_seen
        if own_images and split == "test":
            shared |= _shared_lesions(member.evaluated)
    if trained.any():
        warnings.append(f"The network trained or chose on {trained.sum()} of these {len(trained)} images.")
    count = int((shared | trained).sum()) if own_images else 0
    lesions = f"{count} of {len(shared)} test images show a lesion that is also in train."
    return SeenImages(trained | shared, (lesions,) if shared.any() else (), tuple(warnings))


def _shared_lesions(data: MoleDataModule) -> NDArray[np.bool_]:
    batches = data.split("test")
    return data.shared_with_train(batches.loaded.images.take(batches.positions.numpy()))


def trained_on(run: Run, split: str, fits: bool) -> set[str]:
    """Return the hashes of the images that a run has trained or chosen on, as its list of images tells."""
    splits = ("train", "validation") if split == "test" and fits else ("train",)
    noted = noted_contents(run)
    return {content for name in splits for _, content in noted.get(name, [])}


def noted_contents(run: Run) -> dict[str, list[tuple[str, str]]]:
    """Return the images of each split, path and hash of the file, that a run has listed; of an old run none."""
    table = run.folder / IMAGES
    noted: dict[str, list[tuple[str, str]]] = {}
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                noted.setdefault(row["split"], []).append((row["path"], row["sha256"]))
    return noted


def dataset_name(data: MoleDataModule) -> str:
    """Return the name of the images' folder or table."""
    place: Path = data.table or data.root
    return place.resolve().name


def set_folder(reports: Path, evaluated: MoleDataModule, name: str) -> str:
    """Return the folder below a run's reports for another image set: its name, and more where that is another set's.

    Args:
        reports: The run's `report/`.
        evaluated: The images.
        name: Of the report's own folder, such as `test`.
    """
    place, own = (evaluated.table or evaluated.root).resolve(), dataset_name(evaluated)
    told = reports / own / name / "metrics.json"
    is_others = told.is_file() and json.loads(told.read_text(encoding="utf-8")).get("images") != str(place)
    if is_others or own.startswith(("test", "validation")):  # those are the run's own
        return f"{own}-{hashlib.sha256(str(place).encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"
    return own
