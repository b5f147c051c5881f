"""From runs to a panel of networks that judge, and what is known of the photos they judge."""

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
from melanoma_pl.runs import PHOTOS, Run
from melanoma_pl.runs.image_list import compare_photos


def open_members(
    requests: Sequence[EvaluationRequest], accelerator: Accelerator, split: str, *, own_photos: bool
) -> list[Member]:
    """Load each run's network, and list the photos that it judges.

    Raises:
        UserError: If a checkpoint cannot be read, or a run's photos are no longer those that it began with.
    """
    members = []
    for request in requests:
        judged = make_data(request.judged, every_class=own_photos)  # another set may hold melanomas alone
        own = judged if request.own == request.judged else make_data(request.own)
        if own_photos:
            compare_photos(request.run, judged, [split])
        fits = request.own.data.validate_on == "validation"
        classifier = load_classifier(request.checkpoint, accelerator)
        members.append(Member(name_of(request.run), classifier, own, judged, fits, held_photos(request.run)))
    return members


def make_panel(members: Sequence[Member], views: Views, combine: Combine) -> Ensemble:
    """Return who judges: one network as its checkpoint decides, or views or several with a decision of their own."""
    return Ensemble.of_one(members[0]) if len(members) == 1 and views == "none" else assemble(members, views, combine)


def held_photos(run: Run) -> frozenset[str]:
    """Return the hashes of the photos that a run validated on and did not train on, as its list tells."""
    noted = noted_contents(run)
    contents = {name: {content for _, content in noted.get(name, [])} for name in ("train", "validation")}
    return frozenset(contents["validation"] - contents["train"])


def name_of(run: Run) -> str:
    """Return a run's name: the last two folders of its path."""
    return "/".join(run.folder.resolve().parts[-2:])


@dataclass(frozen=True)
class Known:
    """Which of the judged photos the networks know.

    Attributes:
        mask: bool `(N,)`, photos that a network trained or chose on, or whose lesion is in its train folder.
        notes: What is worth knowing of them.
        warnings: What must be said beside every figure.
    """

    mask: NDArray[np.bool_]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def known_photos(
    requests: Sequence[EvaluationRequest], members: Sequence[Member], split: str, *, own_photos: bool
) -> Known:
    """Tell which of the judged photos a network has trained on, or whose lesion it has.

    Raises:
        UserError: If several networks judge, and one has trained on photos that it is to judge.
    """
    contents = members[0].judged.split(split).contents
    trained, shared = (np.zeros(len(contents), dtype=bool) for _ in range(2))
    warnings = []
    for request, member in zip(requests, members, strict=True):
        seen = trained_on(request.run, split, member.fits)
        if not noted_contents(request.run):
            warnings.append(f"{member.name} has no list of its photos: whether it trained on these cannot be checked.")
        is_seen = np.array([content in seen for content in contents], dtype=bool)
        if is_seen.any() and len(members) > 1:
            raise UserError(
                f"{member.name} trained on {is_seen.sum()} of the {len(contents)} {split} photos that it is to judge",
                "take runs of one split: one data.root, and for split=validation one data.split_seed",
            )
        trained |= is_seen
        if own_photos and split == "test":
            shared |= _shared_lesions(member.judged)
    if trained.any():
        warnings.append(f"The network trained or chose on {trained.sum()} of these {len(trained)} photos.")
    count = int((shared | trained).sum()) if own_photos else 0
    lesions = f"{count} of {len(shared)} test photos show a lesion that is also in train."
    return Known(trained | shared, (lesions,) if shared.any() else (), tuple(warnings))


def _shared_lesions(data: MoleDataModule) -> NDArray[np.bool_]:
    batches = data.split("test")
    return data.shared_with_train(batches.loaded.photos.take(batches.positions.numpy()))


def trained_on(run: Run, split: str, fits: bool) -> set[str]:
    """Return the hashes of the photos that a run has trained or chosen on, as its list of photos tells."""
    splits = ("train", "validation") if split == "test" and fits else ("train",)
    noted = noted_contents(run)
    return {content for name in splits for _, content in noted.get(name, [])}


def noted_contents(run: Run) -> dict[str, list[tuple[str, str]]]:
    """Return the photos of each split, path and hash of the file, that a run has listed; of an old run none."""
    table = run.folder / PHOTOS
    noted: dict[str, list[tuple[str, str]]] = {}
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                noted.setdefault(row["split"], []).append((row["path"], row["sha256"]))
    return noted


def photo_set_name(data: MoleDataModule) -> str:
    """Return the name of the photos' folder or table."""
    place: Path = data.table or data.root
    return place.resolve().name


def set_folder(reports: Path, judged: MoleDataModule, name: str) -> str:
    """Return the folder below a run's reports for another photo set: its name, and more where that is another set's.

    Args:
        reports: The run's `report/`.
        judged: The photos.
        name: Of the report's own folder, such as `test`.
    """
    place, own = (judged.table or judged.root).resolve(), photo_set_name(judged)
    told = reports / own / name / "metrics.json"
    is_others = told.is_file() and json.loads(told.read_text(encoding="utf-8")).get("photos") != str(place)
    if is_others or own.startswith(("test", "validation")):  # those are the run's own
        return f"{own}-{hashlib.sha256(str(place).encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"
    return own
