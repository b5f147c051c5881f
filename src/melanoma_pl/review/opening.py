"""From runs to a panel of networks that judge, and what is known of the photos they judge."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.building import make_data
from melanoma_pl.data.loader import PhotoBatches
from melanoma_pl.data.module import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.combination import Combine
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.hardware import Accelerator
from melanoma_pl.inference import Views, load_classifier
from melanoma_pl.photo_list import PHOTOS, compare_photos
from melanoma_pl.review.panel import Member, Panel, assemble, single
from melanoma_pl.review.requests import Request
from melanoma_pl.runs import Run


def open_members(
    requests: Sequence[Request], accelerator: Accelerator, split: str, *, own_photos: bool
) -> list[Member]:
    """Load each run's network, and list the photos that it judges.

    Raises:
        UserError: If a checkpoint cannot be read, or a run's photos are no longer those that it began with.
    """
    members = []
    for request in requests:
        judged = make_data(request.judged, every_class=own_photos)  # another set may hold melanomas alone
        own = judged if own_photos else make_data(request.own)
        if own_photos:
            compare_photos(request.run, judged, [split])
        fits = request.own.data.validate_on == "validation"
        classifier = load_classifier(request.checkpoint, accelerator)
        members.append(Member(name_of(request.run), classifier, own, judged, fits))
    return members


def make_panel(members: Sequence[Member], views: Views, combine: Combine) -> Panel:
    """Return who judges: one network with its checkpoint's decision, or a decision fitted anew."""
    if len(members) == 1 and views == "none":
        return single(members[0])
    return assemble(members, views, combine)


def name_of(run: Run) -> str:
    """Return a run's name: the last two folders of its path."""
    return "/".join(run.folder.resolve().parts[-2:])


def known_photos(
    requests: Sequence[Request], members: Sequence[Member], split: str, *, own_photos: bool
) -> tuple[NDArray[np.bool_], str]:
    """Tell which of the judged photos a network has trained on, or whose lesion it has.

    Returns:
        bool `(N,)`, and what to say of them.

    Raises:
        UserError: If several networks judge, and one has trained on photos that it is to judge.
    """
    batches = members[0].judged.split(split)
    contents = [batches.loaded.sha256[position] for position in batches.positions.tolist()]
    trained = np.zeros(len(contents), dtype=bool)
    for request, member in zip(requests, members, strict=True):
        seen = trained_on(request.run, split, member.fits)
        is_seen = np.array([content in seen for content in contents], dtype=bool)
        if is_seen.any() and len(members) > 1:
            raise UserError(
                f"{member.name} trained on {is_seen.sum()} of the {len(contents)} {split} photos that it is to judge",
                "take runs of one split: one data.root, and for split=validation one data.split_seed",
            )
        trained |= is_seen
    lesions = _shared_lesions(members[0].judged, batches) if own_photos and split == "test" else np.zeros_like(trained)
    known = trained | lesions
    if lesions.any():
        return known, f"{known.sum()} of {len(known)} test photos show a lesion that is also in train."
    return known, f"The network trained on {known.sum()} of these {len(known)} photos." if known.any() else ""


def _shared_lesions(data: MoleDataModule, batches: PhotoBatches) -> NDArray[np.bool_]:
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


def stored_decision(panel: Panel) -> dict[str, float] | None:
    """Return the decision of a network's eight views as plain values, for its checkpoint; None for any other panel."""
    if len(panel.members) > 1 or panel.views == "none":
        return None
    decision: Decision = panel.decision
    return {"temperature": decision.temperature, "threshold": decision.threshold}
