"""The rows of the README's table of results, from finished runs: recipes, views, ensembles, and image sets."""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from melanoma_pl.errors import UserError
from melanoma_pl.evaluate import evaluation_settings
from melanoma_pl.inference.hardware import choose_accelerator, keep_freed_memory
from melanoma_pl.report.content import ImageSet
from melanoma_pl.report.pipeline import evaluate
from melanoma_pl.report.request import make_request
from melanoma_pl.runs import open_run

COLUMNS = (
    *("recipe", "networks", "set", "images", "malignant", "runs", "auroc", "low", "high", "ends"),
    *("accuracy", "sensitivity", "specificity"),
)
HEADER = ("recipe", "networks", "evaluated on", "n (malignant)", "AUROC", "accuracy", "sensitivity", "specificity")
CONFIDENCE, RANGE = "95 % CI", "range"
ALL = "all recipes"


def list_results(runs: Sequence[str], options: Mapping[str, Any], table: Path) -> None:
    """Evaluate the runs one by one, with eight views, and together; write the table, and print it as Markdown.

    Args:
        runs: Folders of finished runs; those of one `name=` are one recipe.
        options: Keys of `melanoma-evaluate`, such as `external` and `source`.
        table: CSV file to write.
    """
    keep_freed_memory()
    recipes: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        recipes[open_run(run).read()["config"]["name"]].append(run)
    rows = [row for name, own in recipes.items() for row in _rows_of_recipe(name, own, options)]
    if len(recipes) > 1:
        rows += _ensemble(ALL, runs, options)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    for row in rows:
        print(f"| {' | '.join(_cells(row))} |")


def screened_elsewhere(run: Path, folder: Path, names: Mapping[str, str]) -> tuple[float, int]:
    """Return a run's AUROC on all images of an external folder, and their number; its test images stay closed."""
    settings = evaluation_settings([str(run)], split="test", data={"root": str(folder), "folder_names": dict(names)})
    with TemporaryDirectory() as temporary:
        request = replace(make_request(settings, "benchmarks.accuracy"), folder=Path(temporary), depth="numbers")
        content = evaluate(request, choose_accelerator(settings.device, "device=cpu")).content
    figures = content.sets[0]
    assert figures.ranking.auroc.value is not None
    return figures.ranking.auroc.value, content.n


def _rows_of_recipe(recipe: str, runs: Sequence[str], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for views, title in (("none", "one network"), ("dihedral", "one network, eight views")):
        found = [_evaluated([run], views, options) for run in runs]
        yield from (_row(recipe, title, len(runs), sets) for sets in zip(*found, strict=True))
    if len(runs) > 1:
        yield from _ensemble(recipe, runs, options)


def _ensemble(recipe: str, runs: Sequence[str], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        sets = _evaluated(runs, "dihedral", options)
    except UserError as error:
        print(f"no ensemble of {recipe}: {error}", file=sys.stderr)
        return []
    return [_row(recipe, f"ensemble of {len(runs)}, eight views", len(runs), [each]) for each in sets]


def _evaluated(runs: Sequence[str], views: str, options: Mapping[str, Any]) -> tuple[ImageSet, ...]:
    """Return the figures of each image set; the reports of the runs stay as they are."""
    settings = evaluation_settings(runs, tta=views, **options)
    with TemporaryDirectory() as folder:
        request = replace(make_request(settings, "benchmarks.accuracy"), folder=Path(folder), depth="numbers")
        return evaluate(request, choose_accelerator(settings.device, "device=cpu")).content.image_sets


def _row(recipe: str, networks: str, runs: int, sets: Sequence[ImageSet]) -> dict[str, Any]:
    """Return the row of one image set: the figures of a network or an ensemble, or the means of several networks."""
    first = sets[0]
    values = [own.auroc.value for own in sets if own.auroc.value is not None]
    ends = first.auroc.interval if len(sets) == 1 else (min(values), max(values)) if values else None
    sensitivity, specificity = (
        np.mean([np.nan if each.value is None else each.value for each in estimates])
        for estimates in zip(*((own.sensitivity, own.specificity) for own in sets), strict=True)
    )
    right = np.nansum([sensitivity * first.positives, specificity * (first.n - first.positives)])
    cells = (
        *(recipe, networks, ", ".join(filter(None, (first.note, first.name))), first.n, first.positives, runs),
        *(np.mean(values) if values else np.nan, *(ends or (np.nan, np.nan)), CONFIDENCE if len(sets) == 1 else RANGE),
        *(right / first.n, sensitivity, specificity),
    )
    return dict(zip(COLUMNS, cells, strict=True))


def _cells(row: Mapping[str, Any]) -> list[str]:
    auroc = f"{row['auroc']:.3f} [{row['low']:.3f}–{row['high']:.3f}]"
    if row["ends"] == RANGE:
        auroc = f"{row['auroc']:.3f} (mean of {row['runs']}, {row['low']:.3f} to {row['high']:.3f})"
    counts = f"{row['images']} ({row['malignant']})"
    figures = [f"{row[name]:.3f}" for name in ("accuracy", "sensitivity", "specificity")]
    return [row["recipe"], row["networks"], row["set"], counts, auroc, *figures]
