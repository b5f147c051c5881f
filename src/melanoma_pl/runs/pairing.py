"""Two models' predictions of the same photos, side by side, or why they cannot be compared. Light."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.errors import UserError, first_of
from melanoma_pl.overrides import hydra_word
from melanoma_pl.reporting.words import amount
from melanoma_pl.runs.folder import PHOTOS, REPORT
from melanoma_pl.runs.predictions import Predictions
from melanoma_pl.runs.seen import Seen, check_training, read_seen, warnings_about

UNCHECKED = "The photos are matched by their paths: that A's and B's are the same files cannot be checked."


@dataclass(frozen=True)
class Pair:
    """Two models' predictions of the same photos.

    Attributes:
        first: Of A.
        second: Of B.
        groups: Each photo's lesion, one of unknown lesion being a lesion by itself; None where none is known.
        warnings: What must be said beside every figure.
    """

    first: Predictions
    second: Predictions
    groups: tuple[str, ...] | None
    warnings: tuple[str, ...]


def pair(first: Predictions, second: Predictions) -> Pair:
    """Return two models' predictions side by side.

    Raises:
        UserError: If they are of other photos, labels or files, or a model was trained on these photos.
    """
    if first.table.samefile(second.table):
        raise UserError(f"A and B are the same predictions, {first.table}", "name two runs")
    _check_paths(first, second)
    _check_labels(first, second)
    models = (("A", first, read_seen(first)), ("B", second, read_seen(second)))
    files = [(seen if side.own_photos else Seen()).files(side.split) for _, side, seen in models]
    _check_files(first, *files)
    contents = {content for known in files for path in first.photos for content in known.get(path, ())}
    warnings = [] if _are_the_same_files(first, second, *files) else [UNCHECKED]
    for model in models:
        check_training(*model, contents)
        warnings += warnings_about(*model, contents)
    return Pair(first, second, _groups(first, second), tuple(warnings))


def _check_paths(first: Predictions, second: Predictions) -> None:
    only_first, only_second = first.photos.keys() - second.photos.keys(), second.photos.keys() - first.photos.keys()
    if only_first or only_second:
        both = len(first.photos) - len(only_first)
        raise UserError(
            f"A and B were evaluated on different photos: {len(only_first)} only in A ({first.source.place}), "
            f"{len(only_second)} only in B ({second.source.place}), {both} in both",
            f"evaluate both on the same photos, {_evaluating_on_the_same(first, second)}",
        )


def _evaluating_on_the_same(first: Predictions, second: Predictions) -> str:
    """Return the command that evaluates B on A's photos, as far as it is known."""
    root = first.record["config"]["data"]["root"] if first.record and first.own_photos else None
    run = second.source.run
    if first.split != "test" or root is None or run is None:
        return "with melanoma-evaluate run=<B> split=test data.root=<photos>, and compare the reports on them"
    report = run.folder / REPORT / Path(root).resolve().name / first.split
    words = [hydra_word("run", str(run.folder)), "split=test", hydra_word("data.root", root)]
    return f"melanoma-evaluate {' '.join(words)}, and then compare A with {report}"


def _check_labels(first: Predictions, second: Predictions) -> None:
    different = [path for path, photo in first.photos.items() if photo.is_malignant != second.photos[path].is_malignant]
    if different:
        commands = " and ".join(side.source.evaluating(side.split) for side in (first, second))
        raise UserError(
            f"{len(different)} of {amount(len(first.photos), 'photo')} have one label in A and the other in B "
            f"({first_of(different)})",
            f"evaluate both on the labels that are right, {commands}",
        )


def _check_files(first: Predictions, here: Mapping[str, Set[str]], there: Mapping[str, Set[str]]) -> None:
    changed = [path for path in first.photos if path in here and path in there and here[path] != there[path]]
    if changed:
        raise UserError(
            f"{len(changed)} of {amount(len(first.photos), 'photo')} are other files in A's {PHOTOS} than in B's "
            f"({first_of(changed)})",
            "evaluate both on the same photos, with melanoma-evaluate run=<run folder> data.root=<photos>",
        )


def _are_the_same_files(
    first: Predictions, second: Predictions, here: Mapping[str, Set[str]], there: Mapping[str, Set[str]]
) -> bool:
    """Tell whether that is known: each file's hash, or at least that both runs had the same training folder."""
    if all(path in here and path in there for path in first.photos):
        return True
    if not (first.own_photos and second.own_photos and first.record and second.record):
        return False
    fingerprint = first.record.get("fingerprint")
    return fingerprint is not None and fingerprint == second.record.get("fingerprint")


def _groups(first: Predictions, second: Predictions) -> tuple[str, ...] | None:
    known = {path: photo.group or second.photos[path].group for path, photo in first.photos.items()}
    if not any(known.values()):
        return None
    # with a word before each, no photo's path can be taken for a lesion
    return tuple(f"lesion {group}" if group else f"photo {path}" for path, group in known.items())
