"""`melanoma-train`: the main job as a Hydra app."""

import logging
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from melanoma_pl import runs
from melanoma_pl.config.app import (
    FAILED,
    MISUSED,
    NO_SPACE,
    OK,
    SweepFolder,
    conf_dir,
    list_groups,
    run_command,
    run_hydra,
    wants_help,
)
from melanoma_pl.config.resume import resume_arguments
from melanoma_pl.config.schema import TrainSettings, check_image_paths, check_settings
from melanoma_pl.errors import UserError
from melanoma_pl.training import sweeps

logger = logging.getLogger(__name__)

HELP = """\
melanoma-train trains a network on images of moles, and evaluates its best checkpoint.
Research software, not a medical device.

Usage: melanoma-train [group=option] [key=value] …

Groups:
{groups}

Examples:
  melanoma-train                                            on synthetic images, drawn at the first run
  melanoma-train data=folder data.root=images               on your own: images/{{train,test}}/{{benign,malignant}}
  melanoma-train data=table data.table=images.csv           wherever a table says that your images are
  melanoma-train data=folder data.root=images experiment=baseline
  melanoma-train data=folder data.root=images experiment=tipe      the original, faithfully
  melanoma-train optimizer.lr=3e-4 data.batch_size=64 trainer=gpu trainer.precision=bf16-mixed
  melanoma-train data=folder 'data.root="/my images (1)"'   a path with spaces or parentheses
  melanoma-train -m optimizer.lr=1e-4,1e-3 seed=1,2         a sweep of four
  melanoma-train -m data=folder data.root=images data.fold=0,1,2,3,4   cross-validation; melanoma-data split cuts folds
  melanoma-train resume=outputs/default/<run>               go on with a run; resume=auto: the newest unfinished
  melanoma-train --cfg job                                  every key with its value
  tensorboard --logdir outputs                              watch

Every key with its unit and allowed values: {conf}/train.yaml and the folders beside it.
"""
RESUME = "resume="
MULTIRUN = ("-m", "--multirun")


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Train, resume or sweep.

    Returns:
        The exit code: 0, 1 if a sweep's job failed, 130 or 143 if a signal stopped it.
    """
    if wants_help(arguments):
        print(HELP.format(groups=list_groups(), conf=conf_dir()))
        return OK
    is_sweep = any(flag in arguments for flag in MULTIRUN)
    try:
        if resumed := [argument for argument in arguments if argument.startswith(RESUME)]:
            rest = [argument for argument in arguments if argument not in resumed]
            arguments = resume_arguments(resumed[-1].removeprefix(RESUME), rest, is_sweep)
        run_hydra("train", job, arguments)
    except Exception:
        if not is_sweep or SweepFolder.folder is None or not sweeps.read_jobs(SweepFolder.folder):
            sweeps.remove_if_empty(SweepFolder.folder)
            raise
        # each job's error was printed when it came
        return FAILED if sweeps.finished(SweepFolder.folder) else MISUSED
    except BaseException as error:
        if not hasattr(error, "exit_code"):  # RunStopped; its module is too heavy to import here
            raise
        return int(error.exit_code)
    finally:
        if is_sweep and SweepFolder.folder is not None:
            sweeps.summarize(SweepFolder.folder)
    return OK


def job(config: DictConfig) -> float | None:
    """Run one training; Hydra calls it, in a sweep once for each job.

    Returns:
        The final value of `optimized_metric`.
    """
    hydra = HydraConfig.get()
    run = runs.Run(Path(hydra.runtime.output_dir))
    with run.lock():
        figures, metric = run_training(config, run, is_sweep=hydra.mode == RunMode.MULTIRUN)
    return figures.get(metric)


def run_training(config: DictConfig, run: runs.Run, is_sweep: bool) -> tuple[dict[str, float], str]:
    """Train in a run's folder, and leave it whole whatever happens.

    Returns:
        The final figures, and the name of the one that a sweep ranks by.
    """
    before = run.read() if (run.folder / runs.RECORD).is_file() else None
    record = new_record(config, is_sweep, before)
    began = time.time()
    try:
        settings: TrainSettings = check_settings(TrainSettings, record["config"])
        check_place(settings, record["in_sweep"])
        if runs.is_main_process():
            run.write(record)
        from melanoma_pl.training.fit import train  # PyTorch and Lightning take seconds: only once all else is right

        return train(settings, run, open_test=not record["in_sweep"]), settings.optimized_metric
    except UserError as error:
        leave(run, record, before, error, began)
        raise
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno in NO_SPACE):
            logger.exception("the run failed")
        leave(run, record, before, error, began)
        raise
    except BaseException as error:
        if hasattr(error, "exit_code") or any(run.checkpoints.glob("*.ckpt")):
            logger.warning("stopped; go on with: melanoma-train resume=%s", shlex.quote(str(run.folder)))
        raise


def new_record(config: DictConfig, is_sweep: bool, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return what `run.json` says of a run that begins, or goes on after `before`."""
    hydra = HydraConfig.get()
    record = runs.describe(sys.argv[1:], list(hydra.overrides.task)) | {
        "config_dirs": [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"],
        "config": OmegaConf.to_container(config, resolve=True),
        "composed": OmegaConf.to_container(config, resolve=False),  # what a resumed run is compared with
        "in_sweep": is_sweep,
    }
    if before is None:
        return record
    # a sweep's job stays one, also when it is resumed on its own: it must not open the test split
    return record | {"started": before["started"], "resumed": runs.now(), "in_sweep": before["in_sweep"]}


def leave(run: runs.Run, record: dict[str, Any], before: dict[str, Any] | None, error: Exception, began: float) -> None:
    """Leave a failed run as it was before, or not at all; a sweep's job with the reason, for the summary."""
    if not runs.is_main_process():
        return
    went_on = any(checkpoint.stat().st_mtime > began for checkpoint in run.checkpoints.glob("*.ckpt"))
    if before is not None and not went_on:
        run.write(before)
    elif record["in_sweep"]:
        logger.error("error: %s", error)
        run.write({**record, "error": " ".join(str(error).split())})
    elif isinstance(error, UserError) and not went_on:
        forget(run)


def check_place(settings: TrainSettings, is_sweep: bool) -> None:
    """Refuse what the settings alone do not show, as far as it costs no time.

    Raises:
        UserError: If the images are not there, or a sweep would start a second one.
    """
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
    check_image_paths(settings.data, ("train", "test") if with_test else ("train",))


def forget(run: runs.Run) -> None:
    """Remove what a run that never began had written, and its folder if nothing else lies there."""
    logging.shutdown()
    shutil.rmtree(run.folder / ".hydra", ignore_errors=True)
    for name in (runs.RECORD, ".lock", "train.log", "images.csv"):
        (run.folder / name).unlink(missing_ok=True)
    for folder in (run.folder, run.folder.parent, runs.OUTPUTS):
        if folder.is_dir() and not any(folder.iterdir()) and folder.resolve() != Path.cwd():
            folder.rmdir()


if __name__ == "__main__":
    main()
