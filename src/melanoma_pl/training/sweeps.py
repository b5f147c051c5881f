"""A sweep's jobs, side by side: one row a job in `summary.csv`, one row a setting on screen."""

import csv
import logging
import math
import shlex
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.config.schema import direction
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import SYNTHETIC
from melanoma_pl.runs import RECORD, Run

logger = logging.getLogger(__name__)

SUMMARY_FILE = "summary.csv"
FOLD = "data.fold"
FOLD_NOTE = "n folds; the interval allows for the training images that they share (Nadeau and Bengio, 2003)"


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        folder: Its run folder.
        overrides: Key → value, as typed.
        figures: Validation figures by tag; empty where it failed or was stopped.
        status: `finished`, `stopped`, or what went wrong.
        metric: What the sweep ranks by.
        synthetic: Whether its images were drawn.
    """

    folder: Path
    overrides: dict[str, str]
    figures: dict[str, float]
    status: str
    metric: str
    synthetic: bool = False

    @property
    def fold(self) -> str | None:
        """The fold it validated on, as typed; None where the validation split was cut by a share."""
        fold = self.overrides.get(FOLD, "null")
        return None if fold == "null" else fold

    @property
    def setting(self) -> tuple[tuple[str, str], ...]:
        """The overrides without what only repeats a training: the seed and the fold."""
        repeating = ("seed", FOLD) if self.fold is not None else ("seed",)
        return tuple((key, value) for key, value in self.overrides.items() if key not in repeating)


def read_jobs(folder: Path) -> list[Job]:
    """Return a sweep's jobs in the order of their numbers."""
    folders = [entry for entry in folder.iterdir() if (entry / RECORD).is_file()] if folder.is_dir() else []
    return [_read_job(entry) for entry in sorted(folders, key=lambda entry: (len(entry.name), entry.name))]


def _read_job(folder: Path) -> Job:
    record: dict[str, Any] = Run(folder).read()
    overrides = dict(override.lstrip("+").split("=", 1) for override in record["overrides"] if "=" in override)
    figures = {tag: value for tag, value in record.get("figures", {}).items() if tag.startswith("val/")}
    status = "finished" if record["finished"] else record.get("error", "stopped")
    config = record["config"]
    return Job(folder, overrides, figures, status, config["optimized_metric"], bool(config["data"]["synthetic"]))


def summarize(folder: Path) -> None:
    """Write a sweep's `summary.csv` and print its settings, the best first."""
    jobs = read_jobs(folder)
    if not jobs:
        return
    write_summary(folder / SUMMARY_FILE, jobs)
    ranked = rank(jobs)
    if ranked:
        print(f"\n{format_ranking(jobs)}")
    for job in jobs:
        if job.status != "finished":
            print(f"job {job.folder.name} did not finish: {job.status}")
    if any(job.synthetic for job in jobs):
        print(f"\n{SYNTHETIC}")
    print(f"\neach job: {folder / SUMMARY_FILE}")
    if ranked:
        print(next_step(ranked[0][1]))


def finished(folder: Path) -> bool:
    """Tell whether any job of a sweep came to its end."""
    return any(job.status == "finished" for job in read_jobs(folder))


def remove_if_empty(folder: Path | None) -> None:
    """Remove the folder of a sweep that never had a job."""
    if folder is not None and folder.is_dir() and {entry.name for entry in folder.iterdir()} <= {"multirun.yaml"}:
        (folder / "multirun.yaml").unlink(missing_ok=True)
        folder.rmdir()


def write_summary(path: Path, jobs: list[Job]) -> None:
    """Write one row a job."""
    keys = list(dict.fromkeys(key for job in jobs for key in job.overrides))
    tags = list(dict.fromkeys(tag for job in jobs for tag in job.figures))
    with write_atomically(path) as file:
        writer = csv.writer(file)
        writer.writerow(["job", "status", *keys, *tags])
        for job in jobs:
            chosen = [job.overrides.get(key, "") for key in keys]
            writer.writerow([job.folder.name, job.status, *chosen, *(job.figures.get(tag, "") for tag in tags)])


def rank(jobs: list[Job]) -> list[tuple[tuple[tuple[str, str], ...], list[Job]]]:
    """Group the jobs that differ in the seed and the fold only, the best mean first; failed jobs are left out."""
    settings = defaultdict(list)
    for job in jobs:
        if job.metric in job.figures:
            settings[job.setting].append(job)
    sign = 1 if direction(jobs[0].metric) == "min" else -1
    return sorted(settings.items(), key=lambda entry: sign * statistics.mean(figures_of(entry[1])))


def is_cross_validation(jobs: list[Job]) -> bool:
    """Tell whether jobs of one setting validated on different folds."""
    return len({job.fold for job in jobs} - {None}) > 1


def figures_of(jobs: list[Job]) -> list[float]:
    """Return the ranking metric of each job of one setting, or of each fold, averaged over its seeds."""
    if not is_cross_validation(jobs):
        return [job.figures[job.metric] for job in jobs]
    folds = defaultdict(list)
    for job in jobs:
        folds[job.fold].append(job.figures[job.metric])
    return [statistics.mean(values) for values in folds.values()]


def next_step(jobs: list[Job]) -> str:
    """Say what to do with the best setting's jobs; none of a cross-validation is better than the others."""
    best = best_job(jobs)
    record = Run(best.folder).read()
    has_test = _has_test_split(record["config"]["data"])
    if not is_cross_validation(jobs):
        if not has_test:
            return f"there is no test split; the best: {best.folder}"
        return f"the test split is still unopened; for the best: melanoma-evaluate run={best.folder} split=test"
    opening = "the test split is still unopened, and" if has_test else "there is no test split, and"
    return (
        f"{opening} no fold's network is the result; for the best setting train once more, on all folds "
        f"(less a validation split cut from them): melanoma-train {shlex.join(_final(record['overrides'], has_test))}"
    )


def _has_test_split(data: Mapping[str, Any]) -> bool:
    """Tell whether a final training could be tested; `melanoma-data split --test 0` makes no test folder."""
    if data["root"] is None or data.get("table") is not None or data["synthetic"]:
        return True
    return (Path(data["root"]) / "test").is_dir()


def _final(overrides: Sequence[str], has_test: bool) -> list[str]:
    """Return the overrides of the training that follows a cross-validation."""
    dropped = (FOLD,) if has_test else (FOLD, "test")
    kept = [text for text in overrides if text.lstrip("+").split("=", 1)[0] not in dropped]
    return kept if has_test else [*kept, "test=false"]


def best_job(jobs: list[Job]) -> Job:
    """Return the job with the best ranking metric."""
    choose = min if direction(jobs[0].metric) == "min" else max
    return choose(jobs, key=lambda job: job.figures[job.metric])


def format_ranking(jobs: list[Job]) -> str:
    """Return the settings as a table: mean and standard deviation over seeds or folds, their number, the folds' CI."""
    with_folds = any(is_cross_validation(members) for _, members in rank(jobs))
    header = [f"{jobs[0].metric}: mean", "SD", "n", "95 % CI", "setting"]
    rows = [header if with_folds else [*header[:3], header[4]]]
    varying = {key for key in jobs[0].overrides if len({job.overrides.get(key) for job in jobs}) > 1}
    for setting, members in rank(jobs):
        values = figures_of(members)
        spread = f"{statistics.stdev(values):.4f}" if len(values) > 1 else "–"
        title = " ".join(f"{key}={value}" for key, value in setting if key in varying) or "(as configured)"
        interval = [format_interval(members)] if with_folds else []
        rows.append([f"{statistics.mean(values):.4f}", spread, str(len(values)), *interval, title])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([*map(str.rjust, cells, widths), title]) for *cells, title in rows]
    return "\n".join([*lines, FOLD_NOTE] if with_folds else lines)


def format_interval(jobs: list[Job]) -> str:
    """Return the interval of a cross-validated mean, within the metric's range."""
    from melanoma_pl.evaluation.intervals import corrected_resampled_t  # SciPy takes a while to import

    values = figures_of(jobs)
    # where folds are missing, their share is taken for larger than it is: rather too wide than too narrow
    interval = corrected_resampled_t(values, 1 / (len(values) - 1)) if is_cross_validation(jobs) else None
    if interval is None:
        return "–"
    largest = math.inf if direction(jobs[0].metric) == "min" else 1.0
    return f"{max(interval[0], 0.0):.4f}–{min(interval[1], largest):.4f}"
