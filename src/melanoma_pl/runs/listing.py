"""The runs below a folder, those of the same validation photos side by side, the best first. Light."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.errors import UserError, did_you_mean
from melanoma_pl.runs.folder import all_runs
from melanoma_pl.runs.overview import FINISHED, Broken, Overview, ValidationPhotos, read_overview
from melanoma_pl.settings import direction

BY = "val/auroc"
TEST = "test/"
COUNTS = ("n", "positives", "threshold")  # no run is better for having more of them
OUTCOMES = ("true_", "false_")


@dataclass(frozen=True)
class Group:
    """Runs whose validation figures are of the same photos.

    Attributes:
        validation: Those photos.
        photos: Name of the photo set.
        ranked: The best first; none of them where the test photos served as validation.
        unranked: Those that cannot be ranked, the newest first.
    """

    validation: ValidationPhotos
    photos: str
    ranked: tuple[Overview, ...]
    unranked: tuple[Overview, ...]

    @property
    def runs(self) -> tuple[Overview, ...]:
        """All of them, in the order of the table."""
        return (*self.ranked, *self.unranked)


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        folder: Where was looked.
        by: The figure that ranks.
        groups: Finished runs; those that validated on test come last.
        unfinished: Runs that failed or were stopped, the newest first.
        broken: Records that cannot be read.
    """

    folder: Path
    by: str
    groups: tuple[Group, ...]
    unfinished: tuple[Overview, ...]
    broken: tuple[Broken, ...]

    @property
    def is_synthetic(self) -> bool:
        """Whether any of the ranked photos were drawn."""
        return any(run.is_synthetic for group in self.groups for run in group.runs)


def list_runs(folder: Path, by: str = BY) -> Listing:
    """Return the runs below a folder, ranked by a validation figure.

    Raises:
        UserError: If there is no run, or nothing can be ranked by this figure.
    """
    if by.startswith(TEST):
        raise UserError(f"--by {by} would choose on the test photos", f"take a figure of validation, such as --by {BY}")
    if not folder.is_dir():
        wrong = "is no folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {wrong}", "name the folder that the runs lie in: melanoma-runs list FOLDER")
    found = [read_overview(run) for run in all_runs(folder)]
    if not found:
        raise UserError(f"there is no run below {folder}", "train one with melanoma-train, or name another folder")
    runs = [run for run in found if isinstance(run, Overview)]
    finished = [run for run in runs if run.status == FINISHED]
    _check_figure(by, finished)
    return Listing(
        folder,
        by,
        _group(finished, by),
        tuple(run for run in runs if run.status != FINISHED),
        tuple(run for run in found if isinstance(run, Broken)),
    )


def _check_figure(by: str, finished: list[Overview]) -> None:
    """Refuse a figure that no run has, or that makes none better.

    Raises:
        UserError: If it is one.
    """
    tags = {tag for run in finished for tag in run.figures if tag.startswith("val/")}
    rankable = {tag for tag in tags if tag[4:] not in COUNTS and not tag[4:].startswith(OUTCOMES)}
    if finished and by not in rankable:
        raise UserError(f"--by {by}: no run can be ranked by that", did_you_mean(by, rankable or {BY}))


def _group(finished: Iterable[Overview], by: str) -> tuple[Group, ...]:
    """Return the groups, that of the newest run first."""
    together: dict[ValidationPhotos, list[Overview]] = defaultdict(list)
    for run in sorted(finished, key=lambda run: run.started, reverse=True):
        together[run.validation].append(run)
    groups = [_ranked(validation, runs, by) for validation, runs in together.items()]
    return tuple(sorted(groups, key=lambda group: group.validation.on_test))


def _ranked(validation: ValidationPhotos, runs: list[Overview], by: str) -> Group:
    sign = 1 if direction(by) == "min" else -1
    can_be_ranked = [run for run in runs if by in run.figures and not validation.on_test]
    ranked = sorted(can_be_ranked, key=lambda run: sign * run.figures[by])
    return Group(validation, runs[0].photos, tuple(ranked), tuple(run for run in runs if run not in can_be_ranked))
