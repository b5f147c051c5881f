"""The runs below a folder, ranked among those with the same validation images, as text and as JSON values. Light."""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.config.schema import direction
from melanoma_pl.errors import UserError, did_you_mean
from melanoma_pl.messages import DISCLAIMER, SYNTHETIC, amount, format_table, readable
from melanoma_pl.runs.overview import FINISHED, Overview, ValidationImages, read_overview
from melanoma_pl.runs.run_folder import all_runs

BY = "val/auroc"
TEST_AUROC = "test/auroc"
COUNTS = ("n", "positives", "threshold")  # more of them does not make a run better
OUTCOMES = ("true_", "false_")
NOT_RANKED = "* not used for ranking: the test images evaluate the run that validation chose."
SHORT = 8  # digits of a hash: enough to tell datasets apart
NONE = "–"


@dataclass(frozen=True)
class Group:
    """Runs with the same validation images.

    Attributes:
        images: Name of the dataset in the newest run.
        validation: The choices that decide on the validation images.
        ranked: The best first; none of them if the test images served as validation.
        unranked: Those that cannot be ranked, the newest first.
    """

    images: str
    validation: ValidationImages
    ranked: tuple[Overview, ...]
    unranked: tuple[Overview, ...]

    @property
    def runs(self) -> tuple[Overview, ...]:
        """All runs, in the order of the table."""
        return (*self.ranked, *self.unranked)


@dataclass(frozen=True)
class RunRanking:
    """The runs below a folder.

    Attributes:
        folder: The folder.
        by: Tag of the figure that ranks.
        groups: Finished runs; those that validated on test come last.
        unfinished: Runs that failed or were stopped, the newest first.
        broken: Reasons why further runs cannot be read.
    """

    folder: Path
    by: str
    groups: tuple[Group, ...]
    unfinished: tuple[Overview, ...]
    broken: tuple[str, ...]


def rank_runs(folder: Path, by: str = BY) -> RunRanking:
    """Return the runs below a folder, ranked by a validation figure.

    Raises:
        UserError: If there is no run, or the figure cannot rank any.
    """
    if by.startswith("test/"):
        raise UserError(f"--by {by} would choose on the test images", f"take a figure of validation, such as --by {BY}")
    if not folder.is_dir():
        wrong = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {wrong}", "name the folder that the runs lie in: melanoma-runs list FOLDER")
    found = [read_overview(run) for run in all_runs(folder)]
    if not found:
        raise UserError(f"there is no run below {folder}", "train one with melanoma-train, or name another folder")
    runs = [run for run in found if isinstance(run, Overview)]
    finished = [run for run in runs if run.status == FINISHED]
    tags = {tag.removeprefix("val/") for run in finished for tag in run.figures if tag.startswith("val/")}
    rankable = {f"val/{name}" for name in tags if name not in COUNTS and not name.startswith(OUTCOMES)}
    if finished and by not in rankable:
        raise UserError(f"--by {by}: no run can be ranked by that", did_you_mean(by, rankable or {BY}))
    unfinished = tuple(run for run in runs if run.status != FINISHED)
    broken = tuple(each for each in found if isinstance(each, str))
    return RunRanking(folder, by, _groups(finished, by), unfinished, broken)


def _groups(finished: Iterable[Overview], by: str) -> tuple[Group, ...]:
    """Return the groups, that of the newest run first."""
    together: dict[ValidationImages, list[Overview]] = defaultdict(list)
    for run in sorted(finished, key=lambda run: run.started, reverse=True):
        together[run.validation].append(run)
    sign = 1 if direction(by) == "min" else -1
    groups = []
    for validation, runs in together.items():
        can_be_ranked = [run for run in runs if by in run.figures and not validation.on_test]
        ranked = tuple(sorted(can_be_ranked, key=lambda run: sign * run.figures[by]))
        unranked = tuple(run for run in runs if run not in can_be_ranked)
        groups.append(Group(runs[0].images, validation, ranked, unranked))
    return tuple(sorted(groups, key=lambda group: group.validation.on_test))


def listing_json(listing: RunRanking) -> dict[str, Any]:
    """Return the listing as plain values, unfinished runs included."""
    return {
        "folder": str(listing.folder),
        "by": listing.by,
        "best": "smallest" if direction(listing.by) == "min" else "largest",
        "groups": [
            {
                "images": group.images,
                "validation": asdict(group.validation),
                "runs": [
                    {"rank": rank, listing.by: run.figures.get(listing.by), **_values(run)}
                    for rank, run in _with_ranks(group, None)
                ],
            }
            for group in listing.groups
        ],
        "unfinished": [_values(run) for run in listing.unfinished],
        "broken": list(listing.broken),
        "notes": _notes(listing),
    }


def _values(run: Overview) -> dict[str, Any]:
    keys = ("name", "status", "started", "epochs", "images", "is_synthetic", "figures")
    return {"folder": str(run.folder), **{key: getattr(run, key) for key in keys}}


def _with_ranks(group: Group, unranked: str | None) -> list[tuple[int | str | None, Overview]]:
    return [*enumerate(group.ranked, start=1), *((unranked, run) for run in group.unranked)]


def format_listing(listing: RunRanking, with_unfinished: bool) -> str:
    """Return one table for each group of runs, and the notes on them.

    Args:
        listing: The runs.
        with_unfinished: Whether to name the runs that did not finish instead of counting them.
    """
    blocks = [[_header(group), *_table(group, listing.by)] for group in listing.groups]
    nothing = [f"no run below {readable(str(listing.folder))} has finished"]
    blocks.append(_notes(listing) if listing.groups else nothing)
    blocks.append([*_unfinished(listing.unfinished, with_unfinished), *map(readable, listing.broken)])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _header(group: Group) -> str:
    validation = group.validation
    counts = {run.figures.get("val/n") for run in group.runs} - {None}
    number = amount(int(counts.pop() or 0), "image") if len(counts) == 1 else ""
    if validation.listed:
        number = f"{number or 'images'} ({validation.listed[:SHORT]})"
    chosen = ", ".join(filter(None, (number, validation.cut)))
    ending = ", as the original did: not ranked" if validation.on_test else ""
    return f"{readable(group.images)} ({validation.fingerprint[:SHORT]}), validation: {chosen}{ending}"


def _table(group: Group, by: str) -> list[str]:
    tags = list(dict.fromkeys([by, BY, "val/sensitivity", "val/specificity", TEST_AUROC]))
    heads = [f"{tag}*" if tag == TEST_AUROC else tag for tag in tags]
    rows: list[list[object]] = [["rank", *heads, "epochs", "started", "name", "folder"]]
    for rank, run in _with_ranks(group, NONE):
        figures = [f"{run.figures[tag]:.3f}" if tag in run.figures else NONE for tag in tags]
        words = [run.started[:16].replace("T", " "), readable(run.name), readable(str(run.folder))]
        rows.append([rank, *figures, run.epochs, *words])
    return format_table(rows, ">" * (len(tags) + 2) + "<")


def _notes(listing: RunRanking) -> list[str]:
    largest = max((group.ranked for group in listing.groups), key=len, default=())
    finished = [run for group in listing.groups for run in group.runs]
    notes = [NOT_RANKED] if any(TEST_AUROC in run.figures for run in finished) else []
    if len(listing.groups) > 1:
        notes.append("Different tables have different validation images: their figures cannot be compared.")
    if len(largest) > 1:
        pair = shlex.join([str(largest[1].folder), str(largest[0].folder)])
        notes.append(f"more than chance between second and first?  melanoma-runs compare {pair} --split validation")
    if any(run.is_synthetic for run in finished):
        notes.append(SYNTHETIC)
    return [*notes, DISCLAIMER]


def _unfinished(runs: Sequence[Overview], named: bool) -> list[str]:
    if named or not runs:
        return [f"did not finish: {readable(str(run.folder))}: {readable(run.status)}" for run in runs]
    return [f"{amount(len(runs), 'run')} did not finish: --all names {'it' if len(runs) == 1 else 'them'}"]
