"""melanoma-train trains a network on images of moles, and evaluates its best checkpoint.

Research software, not a medical device.

Usage: melanoma-train [group=option] [key=value] …

Examples:
  melanoma-train                                            on synthetic images, drawn at the first run
  melanoma-train data=folder data.root=images               on your own: images/{train,test}/{benign,malignant}
  melanoma-train data=table data.table=images.csv           wherever a table says that your images are
  melanoma-train data=folder data.root=images experiment=baseline
  melanoma-train data=folder data.root=images experiment=tipe      the original, faithfully
  melanoma-train optimizer.lr=3e-4 data.batch_size=64 trainer=gpu trainer.precision=bf16-mixed
  melanoma-train data=folder 'data.root="/my images (1)"'   a path with spaces or parentheses
  melanoma-train -m optimizer.lr=1e-4,1e-3 seed=1,2         a sweep of four
  melanoma-train -m data=folder data.root=images data.fold=0,1,2,3,4   cross-validation; melanoma-data split cuts folds
  melanoma-train resume=outputs/default/<run>               go on with a run; resume=auto: the newest unfinished
  melanoma-train hydra.run.dir=outputs/a resume=if_possible for batch scripts: start, go on, or do nothing if finished
  melanoma-train --cfg job                                  every key with its value
  tensorboard --logdir outputs                              watch
"""

import logging
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from melanoma_pl.config import app
from melanoma_pl.config.composition import (
    conf_dir,
    count_jobs,
    flatten,
    is_search,
    jobs_beforehand,
    list_groups,
    quoted_condition,
    split_arguments,
)
from melanoma_pl.config.processes import check_processes, is_main_process, meeting, rank_arguments
from melanoma_pl.config.resume import (
    PATH_KEYS,
    OtherRunError,
    Resumption,
    check_record,
    check_same_run,
    comparable,
    config_dirs,
    resume_arguments,
)
from melanoma_pl.config.schema import TrainSettings, with_texts
from melanoma_pl.config.search import Outcome, pruning
from melanoma_pl.config.sweep_folder import ARGUMENTS, SweepError, continued_arguments, recorded_overrides
from melanoma_pl.data.options import check_image_paths
from melanoma_pl.errors import RunStopped, UserError, find_stop
from melanoma_pl.files import NO_SPACE
from melanoma_pl.messages import IN_FILE, ON_SCREEN, spent
from melanoma_pl.runs import run_folder
from melanoma_pl.runs.predictions import OUT_OF_FOLD
from melanoma_pl.runs.run_folder import Run
from melanoma_pl.specs import validated
from melanoma_pl.training import sweeps
from melanoma_pl.training.cross_validation import read_cross_validation

logger = logging.getLogger(__name__)

RESUME, TRUST, RETRY = "resume=", "trust=", "retry=true"
IF_POSSIBLE = "if_possible"
RUN_FOLDER, SWEEP_FOLDER = "hydra.run.dir=", "hydra.sweep.dir="
PACKAGES = ("melanoma-pl", "torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "scikit-learn", "numpy")
BEGUN = (  # files of a run that has not saved anything
    run_folder.RECORD, run_folder.IMAGES, run_folder.METRICS, OUT_OF_FOLD, "train.log", ".lock", "hparams.yaml",
    "events.out.tfevents.*", ".*.part", "checkpoints/.*.part",
)  # fmt: skip
MULTIRUN = {"-m", "--multirun"}


def main() -> None:
    """Run the command."""
    app.end_process(app.run_command(command))


def command(arguments: list[str]) -> int:
    """Train, resume or sweep.

    Returns:
        The exit code: 0, 1 if a job of a sweep failed, 130 or 143 if a signal stopped the run.
    """
    if app.wants_help(arguments):
        print(f"{__doc__}\nGroups:\n{list_groups()}\n")
        print(f"Every key with its unit and allowed values: {conf_dir()}/train.yaml and the folders beside it.")
        return app.OK
    retries = RETRY in arguments
    arguments, resumption = with_resume([quoted_condition(each) for each in arguments if each != RETRY])
    typed: SweepArguments | None = None
    if not MULTIRUN.isdisjoint(arguments):
        check_sweep(arguments)
        typed = SweepArguments(tuple(arguments), count_jobs(arguments), retries)
        if retries and is_search(arguments):
            arguments.append("hydra.sweeper.retry=true")
    sweep_folders: list[Path] = []
    try:
        with rank_arguments(arguments) as own:
            app.run_hydra_with_argv("train", partial(job, resumption=resumption, sweep=typed), own, sweep_folders)
    except Exception as error:
        jobs = [job for folder in sweep_folders for job in sweeps.read_jobs(folder)]
        if not jobs or isinstance(error, SweepError):
            raise
        # each job's error was printed when it occurred
        is_finished = any(job.status == sweeps.FINISHED for job in jobs) and not isinstance(error, OtherRunError)
        return app.FAILED if is_finished else app.MISUSED
    finally:
        for folder in sweep_folders:
            sweeps.summarize(folder)
    return app.OK


def check_sweep(arguments: list[str]) -> None:
    """Refuse before the first job what would fail in any of them.

    Raises:
        UserError: If an override is refused, or if the settings of a job do not go together or with this machine.
    """
    if not {"--cfg", "-c", "--info", "-i"}.isdisjoint(argument.partition("=")[0] for argument in arguments):
        return
    check_sweep_folder(arguments)
    jobs = [validated(TrainSettings, config) for config in jobs_beforehand("train", arguments)]
    for settings in jobs:
        check_beforehand(settings, is_sweep=True)
        if settings.threshold.sweep is not None:
            read_cross_validation(settings)
    with app.heavy_imports():  # PyTorch and Lightning take seconds: only once all else is right
        from melanoma_pl.training.fit import check_jobs

    elsewhere = any("submitit" in argument or argument == "sweep=slurm" for argument in arguments)
    check_jobs(jobs, is_local=not elsewhere)


def check_sweep_folder(arguments: list[str]) -> None:
    """Refuse to sweep into the folder of a run, or to mix a grid and a search in one folder.

    Raises:
        UserError: Naming the folder.
    """
    typed = [text.removeprefix(SWEEP_FOLDER).strip("'\"") for text in arguments if text.startswith(SWEEP_FOLDER)]
    if not typed:
        return
    folder = Path(typed[-1])
    if (folder / run_folder.RECORD).is_file():
        raise UserError(f"{folder} is the folder of a run", "name another folder for the sweep")
    if (folder / ARGUMENTS).is_file() and is_search(recorded_overrides(folder)) != is_search(arguments):
        kinds = ("a grid", "a search") if is_search(arguments) else ("a search", "a grid")
        raise UserError(f"{folder} holds {kinds[0]}, not {kinds[1]}", "name another folder")


def with_resume(arguments: list[str]) -> tuple[list[str], Resumption | None]:
    """Return the arguments without `resume=` and `trust=`, but with those of the run that `resume=` names.

    Returns:
        The arguments, and what was typed if `resume=` is among it.

    Raises:
        UserError: If there is no such run, or it cannot go on with these arguments.
    """
    values = [argument.removeprefix(RESUME).strip("'\"") for argument in arguments if argument.startswith(RESUME)]
    own = [argument for argument in arguments if not argument.startswith((RESUME, TRUST))]
    if not values:
        return own, None
    if not MULTIRUN.isdisjoint(arguments):
        if values[-1] in ("auto", IF_POSSIBLE):
            raise UserError(
                f"-m and resume={values[-1]} do not go together", "name the sweep's folder: resume=<folder>"
            )
        return continued_arguments(Path(values[-1]), own), None
    lists = [argument.removeprefix(TRUST).strip("[]") for argument in arguments if argument.startswith(TRUST)]
    trust = tuple(module.strip() for modules in lists for module in modules.split(","))
    resumption = Resumption(tuple(split_arguments(own)[0]), trust, from_record=values[-1] != IF_POSSIBLE)
    if not resumption.from_record:
        folders = [text for text in resumption.typed if text.lstrip("+").startswith(RUN_FOLDER)]
        if not folders or "${now:" in folders[-1]:
            raise UserError(
                f"resume={IF_POSSIBLE} needs a folder that is the same each time",
                f"add {RUN_FOLDER}outputs/<a name of your own>",
            )
        return own, resumption
    if (Path(values[-1]) / ARGUMENTS).is_file():
        go_on = shlex.join(["melanoma-train", "-m", f"resume={values[-1]}"])
        raise UserError(f"{values[-1]} is the folder of a sweep", f"go on with all its jobs: {go_on}")
    run = run_folder.newest_unfinished() if values[-1] == "auto" else run_folder.open_run(values[-1])
    resumed = resume_arguments(run.read(), own, run.folder)
    if not (run.checkpoints / run_folder.LAST).is_file():
        print(f"{run.folder} was stopped before its first checkpoint: it starts afresh")
    print(f"resuming {run.folder}")
    return resumed, resumption


class SweepArguments(NamedTuple):
    """Arguments of a sweep.

    Attributes:
        arguments: All arguments.
        jobs: Number of jobs; None if the sweeper decides.
        retries: Whether jobs that failed before are tried again.
    """

    arguments: tuple[str, ...]
    jobs: int | None
    retries: bool = False


def job(
    config: DictConfig, resumption: Resumption | None = None, sweep: SweepArguments | None = None
) -> float | Outcome | None:
    """Run one training; Hydra calls it, in a sweep once for each job.

    Args:
        config: The composed configuration.
        resumption: What was typed with `resume=…`, if it was.
        sweep: What was typed for the sweep, if it is one.

    Returns:
        The final value of `optimized_metric`; in a search, with what Optuna must know besides.
    """
    hydra = HydraConfig.get()
    run = Run(Path(hydra.runtime.output_dir))
    with run.lock():
        if sweep is None:
            return run_training(config, run, False, resumption)
        value = run_job(config, run, sweep)
        if hydra.sweeper.get("trial") is None:
            return value
        metric = config.optimized_metric
        by_epoch = {int(row["epoch"]): row[metric] for row in run.figures_by_epoch() if metric in row}
        return Outcome(value, by_epoch, is_pruned="pruned" in run.read())


def run_job(config: DictConfig, run: Run, sweep: SweepArguments) -> float | None:
    """Run one job of a sweep, show a line instead of all that its log tells, and return `optimized_metric`."""
    hydra, began = HydraConfig.get(), time.monotonic()
    own = [override for override in hydra.overrides.task if override not in sweep.arguments]
    jobs = hydra.sweeper.get("n_trials") or sweep.jobs  # the first of a search
    number = f"job {hydra.job.num + 1}" + (f"/{jobs}" if jobs else "")
    title = " ".join(own) or "as configured"
    before = run.read() if (run.folder / run_folder.RECORD).is_file() else {}
    with app.job_of_sweep(number, is_alone=hydra.launcher._target_.endswith("BasicLauncher")):
        try:
            if "error" in before and not sweep.retries:
                raise UserError(f"it failed before: {before['error']}", "retry=true tries it again")
            value = run_training(config, run, True, None)
        except Exception as error:
            logger.error("%s  failed: %s", title, " ".join(str(error).split()), extra=ON_SCREEN)
            raise
        figure = f"{config.optimized_metric} {'–' if value is None else f'{value:.4f}'}"
        taken = "kept" if is_settled(before) else f"{time.monotonic() - began:.0f} s"
        logger.info("%s  %s  %s", title, run.read().get("pruned", figure), taken, extra=ON_SCREEN)
    return value


def run_training(config: DictConfig, run: Run, is_sweep: bool, resumption: Resumption | None) -> float | None:
    """Train in a run's folder, leave the folder consistent whatever happens, and return `optimized_metric`."""
    before = run.read() if (run.folder / run_folder.RECORD).is_file() else None
    saved_before = saved_files(run)
    spent.clear()  # of an earlier job
    record = new_record(config, is_sweep, before)
    try:
        settings = check_folder(run, record, before, resumption)
        if settings is None:
            logger.info("the run %s is finished", run.folder)
            recorded: dict[str, float] = (before or {}).get("figures", {})
            return recorded.get(config.optimized_metric)
        check_beforehand(settings, record["in_sweep"])
        if settings.threshold.sweep is not None and not (run.checkpoints / run_folder.LAST).is_file():
            read_cross_validation(settings)
        compare_settings(record)
        if is_main_process():
            run.write(record)
            write_hydra_files(config, run)
        opens_test = settings.test or settings.data.validate_on == "test"
        # PyTorch and Lightning take seconds: only once all else is right
        with app.heavy_imports(None if is_sweep else settings, opens_test):
            from melanoma_pl.training.fit import train

        is_hopeless = pruning(HydraConfig.get()) if is_sweep else None
        figures = train(settings, run, open_test=not record["in_sweep"], is_hopeless=is_hopeless)
        return figures.get(settings.optimized_metric)
    except Exception as error:
        if stop := find_stop(error):
            tell_stop(stop, run)
            raise stop from None
        reason = as_mistake(error, run)
        if not isinstance(reason, UserError):
            logger.exception("the run failed")
        if is_main_process():
            if is_sweep:
                logger.error("error: %s", reason, extra=IN_FILE)
            with suppress(OSError):  # the disk is full, or the folder is gone
                clean_up(run, record, before, reason, has_saved=saved_files(run) != saved_before)
        if reason is not error:
            raise reason from error
        raise
    except RunStopped as stop:
        tell_stop(stop, run)
        raise


def compare_settings(record: Mapping[str, Any]) -> None:
    """Refuse to train in several processes that have different settings, as an override that names a variable can do.

    Each process may find the same images in a folder of its own.
    """
    settings = {name: value for name, value in flatten(comparable(record)) if not isinstance(value, dict)}
    own = ("data.cache_folder", "data.synthetic.folder", *(f"data.{key}" for key in PATH_KEYS))
    shared = {name: value for name, value in settings.items() if name not in own}
    meeting.compare("settings", shared, "start all of them with the same command and variables")


def tell_stop(stop: RunStopped, run: Run) -> None:
    """Log how a stopped run goes on, if it has begun."""
    if (run.folder / run_folder.RECORD).is_file():
        go_on = f"melanoma-train resume={shlex.quote(str(run.folder))}"
        logger.warning("stopped; go on with: %s", go_on, extra=ON_SCREEN)
        stop.is_told = True


def as_mistake(error: Exception, run: Run) -> Exception:
    """Return an error of the disk as one that the user can correct, and any other error as it is."""
    if isinstance(error, OSError | UserError) and not run.folder.is_dir():
        return UserError(
            f"the run folder {run.folder} was moved or deleted during its training",
            "go on with melanoma-train resume=<where it is now>",
        )
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return UserError(f"no space is left to write {error.filename or run.folder}", run.way_on)
    return error


def check_folder(
    run: Run, record: dict[str, Any], before: dict[str, Any] | None, resumption: Resumption | None
) -> TrainSettings | None:
    """Return the settings if they may be trained in this folder; None if the run is finished and may stay as it is.

    Args:
        run: The run's folder.
        record: The record of the command that is running now.
        before: The record in the folder, if there is one.
        resumption: What was typed with `resume=…`, if it was.

    Raises:
        UserError: If a setting is not allowed, the folder belongs to another configuration, or its run is finished.
    """
    changed: list[str] = []
    if before is not None:
        changed = check_same_run(before, record, run.folder, resumption)
    elif (run.folder / ARGUMENTS).is_file():
        raise OtherRunError(f"{run.folder} is the folder of a sweep", "name another folder")
    elif saved_files(run):
        raise OtherRunError(
            f"{run.checkpoints} holds checkpoints, but {run.folder} lacks the {run_folder.RECORD} that tells their "
            "configuration",
            "name another folder",
        )
    if resumption is not None and resumption.from_record:
        check_record(record["config"], run.folder, resumption)
    settings = validated(TrainSettings, record["config"])
    if before is None or not is_settled(before):
        return settings
    if resumption is None:
        return None if record["in_sweep"] else settings
    if not before["finished"]:  # whoever resumes a pruned job by itself wants to train it on
        return settings
    epochs = before["config"]["trainer"]["max_epochs"]
    stopped_early = run.epochs() < epochs and any(name.startswith("callbacks.") for name in changed)
    if settings.trainer.max_epochs > epochs or stopped_early:
        return settings
    if resumption.from_record:
        raise UserError(f"the run {run.folder} is finished", "for more epochs add trainer.max_epochs=<a larger number>")
    return None


def is_settled(record: Mapping[str, Any]) -> bool:
    """Tell whether the record is that of a run that has finished, or that a search has pruned."""
    return bool(record.get("finished")) or "pruned" in record


def write_hydra_files(config: DictConfig, run: Run) -> None:
    """Write Hydra's `.hydra/`. Hydra itself would write it before a refused command has seen whose folder it is."""
    hydra = HydraConfig.get()
    folder = run.folder / ".hydra"
    folder.mkdir(exist_ok=True)
    for name, content in (("config", config), ("hydra", {"hydra": hydra}), ("overrides", hydra.overrides.task)):
        OmegaConf.save(content, folder / f"{name}.yaml")


def saved_files(run: Run) -> dict[str, tuple[int, int, int]]:
    """Return the identity of each checkpoint's file: a clock that steps back cannot tell which of two is newer."""
    states = {path.name: path.stat() for path in run.checkpoints.glob("*.ckpt")}
    return {name: (state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states.items()}


def new_record(config: DictConfig, is_sweep: bool, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return the record of a run that begins, or that goes on and had the record `before`.

    It holds the command, the folder it was typed in, the configuration, and the versions of the software.
    """
    hydra = HydraConfig.get()
    record = {
        "format": run_folder.FORMAT,
        "command": shlex.join(["melanoma-train", *sys.argv[1:]]),
        "folder": str(Path.cwd()),
        "overrides": list(hydra.overrides.task),
        "started": run_folder.now(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {package: version(package) for package in PACKAGES},
        "git_commit": run_folder.git_commit(),
        "finished": False,
        "config_dirs": config_dirs(hydra),
        "config": with_texts(OmegaConf.to_container(config, resolve=True)),  # type: ignore[arg-type]
        "composed": OmegaConf.to_container(config, resolve=False),  # a resumed run is compared with it
        "in_sweep": is_sweep,
    }
    if before is None:
        return record
    # a job of a sweep must not open the test split, even if it is resumed on its own
    names = ("started", "in_sweep", "threads", "arithmetic", "weights", "teachers")
    kept = {key: before[key] for key in names if key in before}
    return record | kept | {"resumed": run_folder.now()}


def clean_up(
    run: Run, record: dict[str, Any], before: dict[str, Any] | None, error: Exception, has_saved: bool
) -> None:
    """Restore the record of a failed run, note the error of a sweep's job, or remove what a mistake left behind.

    Args:
        run: The run.
        record: Its record.
        before: The record that was in its folder before.
        error: The reason.
        has_saved: Whether a checkpoint was written: then the record in the folder is that of the checkpoint.
    """
    if isinstance(error, OtherRunError):  # nothing in the folder is this command's
        return
    if before is not None:
        if not has_saved:
            run.write(before)
    elif record["in_sweep"]:
        run.write({**record, "error": " ".join(str(error).split())})
    elif isinstance(error, UserError) and not has_saved:
        remove_run(run)


def check_beforehand(settings: TrainSettings, is_sweep: bool) -> None:
    """Refuse what the settings alone do not show and can be checked without reading images.

    Raises:
        UserError: If images are missing, or the settings do not go with a sweep.
    """
    check_processes(settings.trainer.devices, (settings.trainer.model_extra or {}).get("num_nodes", 1))
    if is_sweep and settings.trainer.devices > 1:
        raise UserError(
            f"a sweep (-m) with trainer.devices={settings.trainer.devices} would start itself again in each process",
            "sweep with one device a job, or start the jobs one by one",
        )
    if is_sweep and settings.data.validate_on == "test":
        raise UserError(
            "a sweep (-m) with data.validate_on=test would choose on the test images",
            "leave it, or experiment=tipe, out",
        )
    with_test = settings.data.validate_on == "test" or (settings.test and not is_sweep)
    check_image_paths(settings.data.root, settings.data, ("train", "test") if with_test else ("train",))


def remove_run(run: Run) -> None:
    """Remove the files of a run that never began, and its folders if nothing else is in them."""
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == run.folder.absolute():
            root.removeHandler(handler)
            handler.close()
    shutil.rmtree(run.folder / ".hydra", ignore_errors=True)
    for path in [path for pattern in BEGUN for path in run.folder.glob(pattern)]:
        path.unlink(missing_ok=True)
    outputs = run_folder.OUTPUTS.absolute()
    above = [folder for folder in run.folder.absolute().parents if folder.is_relative_to(outputs)]
    for folder in (run.checkpoints, run.folder, *(above or [run.folder.parent]), outputs):
        if folder.is_dir() and not any(folder.iterdir()) and folder.resolve() != Path.cwd():
            folder.rmdir()


if __name__ == "__main__":
    main()
