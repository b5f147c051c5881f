"""The summary of a sweep, in `summary.csv` and on the terminal."""

import logging
import math
import shlex
import shutil
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.config.schema import direction
from melanoma_pl.files import TableWriter, write_atomically
from melanoma_pl.messages import DISCLAIMER, SYNTHETIC, format_table, hydra_word, readable, shown_path
from melanoma_pl.runs import RECORD, Run

logger = logging.getLogger(__name__)

SUMMARY_FILE = "summary.csv"
FINISHED = "finished"
BEFORE_THE_FIRST_JOB = {"multirun.yaml", "sweep.json", "optuna.db", ".lock"}  # files of a sweep that has no job yet
FOLD = "data.fold"
FOLD_NOTE = "n folds; the interval allows for the training images that they share (Nadeau and Bengio, 2003)"

Setting = tuple[tuple[str, str], ...]
"""The overrides, key and value, that the repetitions of a training have in common."""


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        folder: Its run folder.
        overrides: Key → value, as typed.
        figures: Validation figures by tag; empty if the job failed or was stopped.
        status: `finished`, `stopped`, such as `pruned after epoch 3`, or the error.
        metric: Tag of the figure that the sweep ranks by.
        synthetic: Whether its images were drawn by a program.
    """

    folder: Path
    overrides: dict[str, str]
    figures: dict[str, float]
    status: str
    metric: str
    synthetic: bool = False

    @property
    def fold(self) -> str | None:
        """The fold that it validated on, as typed; None if a fraction of the training images validated."""
        fold = self.overrides.get(FOLD, "null")
        return None if fold == "null" else fold

    @property
    def setting(self) -> Setting:
        """The overrides without the seed and the fold, which only repeat a training."""
        repeating = ("seed",) if self.fold is None else ("seed", FOLD)
        return tuple((key, value) for key, value in self.overrides.items() if key not in repeating)


def read_jobs(folder: Path) -> list[Job]:
    """Return the jobs of a sweep in the order of their numbers."""
    folders = [entry for entry in folder.iterdir() if (entry / RECORD).is_file()] if folder.is_dir() else []
    return [_read_job(entry) for entry in sorted(folders, key=lambda entry: (len(entry.name), entry.name))]


def _read_job(folder: Path) -> Job:
    record = Run(folder).read()
    overrides = dict(override.lstrip("+").split("=", 1) for override in record["overrides"] if "=" in override)
    figures = {tag: value for tag, value in record.get("figures", {}).items() if tag.startswith("val/")}
    status = FINISHED if record["finished"] else record.get("error") or record.get("pruned") or "stopped"
    config = record["config"]
    return Job(folder, overrides, figures, status, config["optimized_metric"], bool(config["data"]["synthetic"]))


def summarize(folder: Path) -> None:
    """Write the `summary.csv` of a sweep and print its settings, the best first; without any job, remove the folder."""
    jobs = read_jobs(folder)
    if not jobs:
        if folder.is_dir() and {entry.name for entry in folder.iterdir()} <= BEFORE_THE_FIRST_JOB:
            shutil.rmtree(folder)
        return
    write_summary(folder / SUMMARY_FILE, jobs)
    ranked = rank(jobs)
    if ranked:
        print(f"\n{format_ranking(jobs)}")
    for job in jobs:
        if job.status != FINISHED:
            print(f"{shown_path(job.folder)} did not finish: {readable(job.status)}")
    if any(job.synthetic for job in jobs):
        print(f"\n{SYNTHETIC}")
    print(f"\n{DISCLAIMER}\neach job: {shown_path(folder / SUMMARY_FILE)}")
    if ranked:
        print(next_step(ranked[0][1]))


def write_summary(path: Path, jobs: Sequence[Job]) -> None:
    """Write one row for each job: status, overrides and validation figures."""
    keys = list(dict.fromkeys(key for job in jobs for key in job.overrides))
    tags = list(dict.fromkeys(tag for job in jobs for tag in job.figures))
    with write_atomically(path) as file:
        writer = TableWriter(file, ["job", "status", *keys, *tags])
        writer.writeheader()
        for job in jobs:
            writer.writerow({"job": job.folder.name, "status": job.status, **job.overrides, **job.figures})


def rank(jobs: Sequence[Job]) -> list[tuple[Setting, list[Job]]]:
    """Return each setting with its jobs, the best mean first; failed jobs are left out."""
    settings = defaultdict(list)
    for job in jobs:
        if job.metric in job.figures:
            settings[job.setting].append(job)
    sign = 1 if direction(jobs[0].metric) == "min" else -1
    return sorted(settings.items(), key=lambda entry: sign * statistics.mean(figures_of(entry[1])))


def is_cross_validation(jobs: Sequence[Job]) -> bool:
    """Tell whether the jobs of one setting validated on different folds."""
    return len({job.fold for job in jobs} - {None}) > 1


def figures_of(jobs: Sequence[Job]) -> list[float]:
    """Return the ranking figure of each job of one setting; in a cross-validation of each fold, averaged over seeds."""
    repetitions = defaultdict(list)
    for index, job in enumerate(jobs):
        repetitions[job.fold if is_cross_validation(jobs) else index].append(job.figures[job.metric])
    return [statistics.mean(values) for values in repetitions.values()]


def format_ranking(jobs: Sequence[Job]) -> str:
    """Return the table of the settings: mean and SD over seeds or folds, their number, and the interval over folds."""
    ranked = rank(jobs)
    with_folds = any(is_cross_validation(members) for _, members in ranked)
    rows = [[f"{jobs[0].metric}: mean", "SD", "n", *(["95 % CI"] if with_folds else []), "setting"]]
    varying = {key for key in jobs[0].overrides if len({job.overrides.get(key) for job in jobs}) > 1}
    for setting, members in ranked:
        values = figures_of(members)
        deviation = f"{statistics.stdev(values):.4f}" if len(values) > 1 else "–"
        title = readable(" ".join(f"{key}={value}" for key, value in setting if key in varying)) or "(as configured)"
        interval = [format_interval(members)] if with_folds else []
        rows.append([f"{statistics.mean(values):.4f}", deviation, str(len(values)), *interval, title])
    lines = format_table(rows, ">>>><" if with_folds else ">>><")
    return "\n".join([*lines, FOLD_NOTE] if with_folds else lines)


def format_interval(jobs: Sequence[Job]) -> str:
    """Return the confidence interval of a cross-validated mean, within the range of the metric."""
    from melanoma_pl.evaluation.intervals import corrected_resampled_t  # SciPy takes a while to import

    values = figures_of(jobs)
    # if folds are missing, their fraction of the images is overestimated: the interval is too wide, not too narrow
    interval = corrected_resampled_t(values, 1 / (len(values) - 1)) if is_cross_validation(jobs) else None
    if interval is None:
        return "–"
    largest = math.inf if direction(jobs[0].metric) == "min" else 1.0
    return f"{max(interval[0], 0.0):.4f}–{min(interval[1], largest):.4f}"


def next_step(jobs: Sequence[Job]) -> str:
    """Return the lines that propose the best setting and, among its jobs, the best; after a cross-validation no job."""
    choose = min if direction(jobs[0].metric) == "min" else max
    best = choose(jobs, key=lambda job: job.figures[job.metric])
    record = Run(best.folder).read()
    has_test = _has_test_split(record["config"]["data"])
    test = "the test split is still unopened" if has_test else "there is no test split"
    dropped = ("seed", "sweep", FOLD, *([] if has_test else ["test"]))
    kept = [word for folder in record.get("config_dirs", ()) for word in ("--config-dir", folder)]
    kept += [text for text in record["overrides"] if text.lstrip("+").split("=", 1)[0] not in dropped]
    setting = f"melanoma-train {shlex.join(kept if has_test else [*kept, 'test=false'])}".strip()
    if is_cross_validation(jobs):
        return (
            f"best setting, to train once more on all folds (less a validation split cut from them): {setting}\n"
            f"{_all_images(jobs, record['config'])}({test}, and no fold's network is the result)"
        )
    job = f"{shown_path(best.folder)} ({jobs[0].metric} {best.figures[best.metric]:.4f}; {test})"
    evaluation = (
        f"\nto open the test split once: melanoma-evaluate run={shown_path(best.folder)} split=test" if has_test else ""
    )
    return f"best setting: {setting}\nbest job: {job}{evaluation}"


def _all_images(jobs: Sequence[Job], config: Mapping[str, Any]) -> str:
    """Return the line that proposes a training on all images, whose decision the jobs can give; else nothing."""
    if len({job.fold for job in jobs}) < len(jobs):  # with several seeds, each image is predicted more than once
        return ""
    monitors = {name: str((spec or {}).get("monitor", "")) for name, spec in config["callbacks"].items()}
    validating = [f"callbacks.{name}=null" for name, monitor in monitors.items() if monitor.startswith("val/")]
    source = hydra_word("threshold.from", str(jobs[0].folder.parent))
    added = " ".join(["data.validation_fraction=0 checkpoint.evaluate=last", *validating, source])
    return (
        f"to train on all images instead, with the decision of these folds, add: {added} trainer.max_epochs=<epochs>\n"
    )


def _has_test_split(data: Mapping[str, Any]) -> bool:
    if data["root"] is None or data["table"] is not None or data["synthetic"]:
        return True
    return (Path(data["root"]) / "test").is_dir()  # `melanoma-data split --test 0` makes none
