"""A sweep: its summary in `summary.csv` and on the terminal, and the out-of-fold predictions of a cross-validation."""

import logging
import math
import shlex
import shutil
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.config.composition import flatten
from melanoma_pl.config.schema import TrainSettings, direction
from melanoma_pl.errors import UserError
from melanoma_pl.files import TableWriter, write_atomically
from melanoma_pl.messages import DISCLAIMER, SYNTHETIC, amount, format_table, hydra_word, readable, shown_path
from melanoma_pl.runs import RECORD, REPORT, Run
from melanoma_pl.runs.image_list import OF_WEIGHTS, listed_images
from melanoma_pl.runs.predictions import PREDICTIONS, OutOfFold, read_out_of_fold
from melanoma_pl.specs import validated

logger = logging.getLogger(__name__)

SUMMARY_FILE = "summary.csv"
FINISHED = "finished"
FOLD = "data.fold"
ANEW = "sweep anew: melanoma-train -m … data.fold=0,1,…"
FOLD_NOTE = "n folds; the interval allows for the training images that they share (Nadeau and Bengio, 2003)"

MUST_MATCH = ("data.class_names", "data.normalisation", "data.image_size", "data.colour_constancy", "model", "loss")
SHOULD_MATCH = (
    "augmentation", "optimizer", "scheduler", "parameter_groups", "data.batch_size", "data.balance",
    "trainer.max_epochs", "checkpoint.evaluate",
)  # fmt: skip

Setting = tuple[tuple[str, str], ...]
"""The overrides, key and value, that the repetitions of a training have in common."""


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        folder: Its run folder.
        overrides: Key → value, as typed.
        figures: Validation figures by tag; empty if the job failed or was stopped.
        status: `finished`, `stopped`, or the error.
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
    status = FINISHED if record["finished"] else record.get("error", "stopped")
    config = record["config"]
    return Job(folder, overrides, figures, status, config["optimized_metric"], bool(config["data"]["synthetic"]))


def summarize(folder: Path) -> None:
    """Write the `summary.csv` of a sweep and print its settings, the best first; without any job, remove the folder."""
    jobs = read_jobs(folder)
    if not jobs:
        if folder.is_dir() and {entry.name for entry in folder.iterdir()} <= {"multirun.yaml"}:
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


def read_cross_validation(settings: TrainSettings, *, warns: bool = False) -> list[OutOfFold]:
    """Return the out-of-fold predictions of the cross-validation `threshold.from`, sorted by path.

    Of a sweep over folds and settings, the jobs with the setting of this run are taken.

    Args:
        settings: The settings of the run that the cross-validation decides for.
        warns: Whether a difference that matters less, such as the learning rate, is logged.

    Raises:
        UserError: If the folder does not hold a finished cross-validation of the same recipe, or it predicts an image
            twice.
    """
    folder = settings.threshold.sweep
    assert folder is not None
    named = f"threshold.from={folder}"
    jobs = read_jobs(folder)
    configs = {job.folder: Run(job.folder).read()["config"] for job in jobs}
    if not jobs or any(config["data"].get("fold") is None for config in configs.values()):
        kind = "does not exist" if not folder.exists() else "is a run" if (folder / RECORD).is_file() else "is no sweep"
        told = "holds jobs without data.fold" if jobs else kind
        raise UserError(f"{named} {told}", f"name the folder of a cross-validation, or {ANEW}")
    for job in jobs:
        if job.status != FINISHED:
            way_out = f"finish it: melanoma-train resume={shown_path(job.folder)}, or {ANEW}"
            raise UserError(f"{named}: job {job.folder.name} did not finish ({readable(job.status)})", way_out)
    trained = {job.folder: validated(TrainSettings, configs[job.folder]) for job in jobs}
    chosen, unlike = _closest(trained, settings, MUST_MATCH)
    if unlike:
        raise UserError(
            f"{named} was trained with {unlike}", "name a cross-validation of this run's recipe, or take its settings"
        )
    chosen, unlike = _closest(chosen, settings, SHOULD_MATCH)
    if unlike and warns:
        logger.warning("decision    of a cross-validation with %s: it may fit this network less well", unlike)
    predictions = [prediction for job in chosen for prediction in _held_out_predictions(Run(job), named)]
    if twice := [path for path, count in Counter(each.path for each in predictions).items() if count > 1]:
        raise UserError(
            f"{named} predicts {amount(len(twice), 'image')} more than once ({twice[0]})",
            f"name a sweep with one job for each fold, without further seeds or settings, or {ANEW}",
        )
    return sorted(predictions)


def _closest(
    jobs: Mapping[Path, TrainSettings], settings: TrainSettings, keys: Sequence[str]
) -> tuple[dict[Path, TrainSettings], str]:
    """Return the jobs whose settings differ from those of a run in the fewest keys, and these keys in words."""

    def chosen(each: TrainSettings) -> dict[str, Any]:
        starts = tuple(f"{key}." for key in keys)
        values = flatten(each.model_dump(mode="json", by_alias=True))
        return {key: value for key, value in values if f"{key}.".startswith(starts) and not isinstance(value, dict)}

    own, differences = chosen(settings), {}
    for job, trained in jobs.items():
        other = chosen(trained)
        differences[job] = [
            f"{key}={other.get(key)} instead of {own.get(key)}"
            for key in sorted(own.keys() | other.keys())
            if own.get(key) != other.get(key)
        ]
    fewest = min(differences.values(), key=len)
    return {job: trained for job, trained in jobs.items() if differences[job] == fewest}, ", ".join(fewest)


def _held_out_predictions(job: Run, named: str) -> list[OutOfFold]:
    """Return a job's predictions of its fold.

    Raises:
        UserError: If there are none, or the weights that it began with have learnt from the images.
    """
    table = job.folder / REPORT / "validation" / PREDICTIONS
    if not table.is_file():
        way_out = f"make them: melanoma-evaluate run={shown_path(job.folder)} split=validation"
        raise UserError(f"{named}: job {job.folder.name} has no predictions of its fold", way_out)
    listed = listed_images(job)
    hashes = {image.path: image.sha256 for image in listed.get("validation", ())}
    found = read_out_of_fold(table, hashes, str(job.folder))
    learnt = ({image.sha256 for image in listed.get(split, ())} for split in ("train", OF_WEIGHTS["train"]))
    copied, known = (sum(each.sha256 in hashes for each in found) for hashes in learnt)
    if known:
        raise UserError(
            f"{named}: the weights that job {job.folder.name} began with have learnt from {known} of the "
            f"{len(found)} images of its fold",
            f"begin with weights that do not know them, and {ANEW}",
        )
    if copied:
        text = "decision    job %s has trained on copies of %d of the %d images of its fold: it may be too confident"
        logger.warning(text, job.folder.name, copied, len(found))
    return found


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
