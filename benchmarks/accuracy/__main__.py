"""Compare recipes by cross-validation on the training images, and list the results of finished runs.

melanoma-data split IMAGES FOLDS --folds 3 --group-column group
python -m benchmarks.accuracy screen FOLDS RUNS --results benchmarks/accuracy/screening.csv [--only centred] [key=value]
python -m benchmarks.accuracy elsewhere RUNS FOLDER [FOLDER …] --results benchmarks/accuracy/elsewhere.csv
python -m benchmarks.accuracy table benchmarks/accuracy/screening.csv [--elsewhere benchmarks/accuracy/elsewhere.csv]
python -m benchmarks.accuracy results RUN [RUN …] --external FOLDER [FOLDER …] [--folder-name other=benign]
python -m benchmarks.accuracy rebuild KAGGLE IMAGES

`screen` trains each recipe (`recipes.py`) once on each fold, evaluates its last epoch on the held-out fold, and adds a
row a fold to the results; recipes that are there already are left out. RUNS receives the runs, of which some recipes
use others' networks as teachers. Further arguments are overrides of every run. The test images stay closed.
`elsewhere` evaluates these runs on image sets of other sources, for the record and not for choosing. `table` compares
each recipe with a reference, paired by fold.

`results` evaluates finished runs, which are one recipe if they have the same `name=`, on their test images, on unseen
lesions, on those of one source, and on external sets: each network, each with eight views, and all of them together. It
writes results.csv beside this file and prints the table. The reports of the runs stay as they are.

`rebuild` makes the folder `isic_moles` of the README's results from the download of Kaggle's dataset.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.accuracy.rebuild import rebuild
from benchmarks.accuracy.recipes import COMMON, RECIPES
from benchmarks.accuracy.results import list_results, screened_elsewhere
from benchmarks.machine import describe
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import auroc, corrected_resampled_t

ELSEWHERE = ("recipe", "fold", "set", "auroc", "images")
COLUMNS = ("recipe", "fold", "auroc", "auroc_one_source", "images", "images_one_source", "epochs", "seconds", "machine")
SOURCE = ("in_ham10000", "1")  # column and value of the metadata that mean the source of both classes


def screen(folds: Path, runs: Path, results: Path, only: list[str], overrides: list[str]) -> None:
    """Train recipes that the results lack, and add their figures."""
    done = {row["recipe"] for row in _read(results)}
    with (folds / "metadata.csv").open(encoding="utf-8") as file:
        one_source = {row["image"] for row in csv.DictReader(file) if row[SOURCE[0]] == SOURCE[1]}
    for name in only or RECIPES:
        if name not in done:
            rows = _train(name, folds, runs.resolve(), one_source, overrides)
            _append(results, COLUMNS, rows)
            figures = (f"{row['auroc']:.4f} ({row['auroc_one_source']:.4f})" for row in rows)
            print(name, *figures, flush=True)


def elsewhere(runs: Path, sets: list[Path], names: dict[str, str], results: Path) -> None:
    """Evaluate the screened runs on other image sets, unless the results hold them already."""
    done = {(row["recipe"], row["set"]) for row in _read(results)}
    for name in RECIPES:
        folders = sorted(folder for folder in _folder_of(runs, name).glob("[0-9]*"))
        for folder in sets if folders else []:
            if (name, folder.name) not in done:
                found = [screened_elsewhere(run, folder, names) for run in folders]
                rows = [dict(zip(ELSEWHERE, (name, run.name, folder.name, *each), strict=True))
                        for run, each in zip(folders, found, strict=True)]  # fmt: skip
                _append(results, ELSEWHERE, rows)
                print(name, folder.name, *(f"{auroc:.4f}" for auroc, _ in found), flush=True)


def _train(name: str, folds: Path, runs: Path, one_source: set[str], overrides: list[str]) -> list[dict[str, object]]:
    """Train one recipe on each fold, and return the rows of the results."""
    with (folds / "split.csv").open(encoding="utf-8") as file:
        count = len({row["fold"] for row in csv.DictReader(file) if row["fold"]})
    sweep = _folder_of(runs, name)
    words = [
        *("-m", "data=folder", f"data.root={folds.resolve()}", "data.group_column=group"),
        *(f"data.fold={','.join(map(str, range(count)))}", *COMMON),
        *(word.replace("{runs}", str(runs)) for word in RECIPES[name]),
        *(*overrides, f"hydra.sweep.dir={sweep}"),
    ]
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "melanoma_pl.train", *words], check=True, stdout=subprocess.DEVNULL)
    seconds = (time.monotonic() - begun) / count
    return [_figures(name, fold, sweep / str(fold), one_source, seconds) for fold in range(count)]


def _folder_of(runs: Path, name: str) -> Path:
    return runs / re.sub(r"\W+", "_", name).strip("_")


def _figures(name: str, fold: int, run: Path, one_source: set[str], seconds: float) -> dict[str, object]:
    with (run / "report/validation/predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    logits = np.array([float(row["logit"]) for row in rows])
    targets = np.array([int(row["label"] == record["config"]["data"]["class_names"][1]) for row in rows])
    own = np.array([row["path"] in one_source for row in rows])
    figures = (auroc(logits, targets), auroc(logits[own], targets[own]), len(rows), int(own.sum()))
    more = (record["config"]["trainer"]["max_epochs"], round(seconds), describe())
    return dict(zip(COLUMNS, (name, fold, *figures, *more), strict=True))


def _read(results: Path) -> list[dict[str, str]]:
    if not results.is_file():
        return []
    with results.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _append(results: Path, columns: tuple[str, ...], rows: list[dict[str, object]]) -> None:
    is_new = not results.is_file()
    with results.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


def table(results: Path, reference: str, other: Path) -> None:
    """Print each recipe's mean AUROCs and its paired differences from the reference."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _read(results):
        found[row["recipe"]].append(row)
    away: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in _read(other):
        away[row["set"]][row["recipe"]].append(float(row["auroc"]))
    titles = ["recipe", *(f"{each} | minus {reference} [95 % CI]" for each in ("AUROC", "one source")), *away]
    print(f"| {' | '.join(titles)} |")
    print("|---" * (len(titles) + 2) + "|")
    for name, rows in found.items():
        cells = [name]
        for column in ("auroc", "auroc_one_source"):
            own, base = (np.array([float(row[column]) for row in each]) for each in (rows, found[reference]))
            cells.append(f"{own.mean():.4f}")
            interval = corrected_resampled_t(own - base, 1 / (len(own) - 1)) if name != reference else None
            ends = f" [{interval[0]:+.4f}, {interval[1]:+.4f}]" if interval else ""
            cells.append(f"{(own - base).mean():+.4f}{ends}" if name != reference else "")
        cells += [f"{np.mean(own[name]):.3f}" if name in own else "" for own in away.values()]
        print(f"| {' | '.join(cells)} |")


def main(arguments: list[str] | None = None) -> None:
    """Screen, print the table, list results, or rebuild the images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    screening = commands.add_parser("screen")
    screening.add_argument("folds", type=Path)
    screening.add_argument("runs", type=Path)
    screening.add_argument("--results", type=Path, required=True)
    screening.add_argument("--only", action="append", default=[], choices=RECIPES)
    comparing = commands.add_parser("table")
    comparing.add_argument("results", type=Path)
    comparing.add_argument("--reference", default="centred, batch norm, averaged")
    comparing.add_argument("--elsewhere", type=Path, default=Path(__file__).with_name("elsewhere.csv"))
    away = commands.add_parser("elsewhere")
    away.add_argument("runs", type=Path)
    away.add_argument("sets", type=Path, nargs="+", metavar="FOLDER")
    away.add_argument("--folder-name", action="append", default=[], metavar="NAME=CLASS")
    away.add_argument("--results", type=Path, required=True)
    listing = commands.add_parser("results")
    listing.add_argument("runs", nargs="+", metavar="RUN")
    listing.add_argument("--external", nargs="+", default=[], metavar="FOLDER")
    listing.add_argument("--folder-name", action="append", default=[], metavar="NAME=CLASS")
    listing.add_argument("--source", default="=".join(SOURCE), metavar="COLUMN=VALUE")
    listing.add_argument("--results", type=Path, default=Path(__file__).with_name("results.csv"))
    rebuilding = commands.add_parser("rebuild")
    rebuilding.add_argument("kaggle", type=Path)
    rebuilding.add_argument("images", type=Path)
    chosen, overrides = parser.parse_known_args(arguments)
    if chosen.command != "screen" and overrides:
        parser.error(f"unrecognized arguments: {' '.join(overrides)}")
    try:
        if chosen.command == "results":
            names = dict(each.split("=", 1) for each in chosen.folder_name)
            options = {"external": chosen.external, "source": chosen.source, "data": {"folder_names": names}}
            list_results(chosen.runs, options, chosen.results)
        elif chosen.command == "elsewhere":
            names = dict(each.split("=", 1) for each in chosen.folder_name)
            elsewhere(chosen.runs, chosen.sets, names, chosen.results)
        elif chosen.command == "rebuild":
            print(rebuild(chosen.kaggle, chosen.images))
        elif chosen.command == "screen":
            screen(chosen.folds, chosen.runs, chosen.results, chosen.only, overrides)
        else:
            table(chosen.results, chosen.reference, chosen.elsewhere)
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
