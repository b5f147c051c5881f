"""`melanoma-evaluate`: what a run's checkpoint is worth, as a Hydra app."""

import logging
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from melanoma_pl import runs
from melanoma_pl.cli import OK, conf_dir, run_command, run_hydra, wants_help
from melanoma_pl.errors import UserError
from melanoma_pl.photo_places import check_photo_places
from melanoma_pl.settings import EvaluateSettings, TrainSettings, check_settings

logger = logging.getLogger(__name__)


OVERRIDABLE = ("metadata", "group_column", "image_column", "without_row", "on_broken")
HELP = """\
melanoma-evaluate says what a run's checkpoint is worth on one split of its photos, or on other photos.
Research software, not a medical device.

Usage: melanoma-evaluate run=<run folder> [split=test|validation] [key=value] …

Examples:
  melanoma-evaluate run=outputs/baseline/<run>                     on the run's test photos
  melanoma-evaluate run=outputs/baseline/<run> split=validation
  melanoma-evaluate run=outputs/baseline/<run> data.root=other     on another set's test photos
  melanoma-evaluate run=outputs/baseline/<run> checkpoint=last

Every key with its allowed values: {conf}/evaluate.yaml
"""


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Evaluate one run on one split."""
    if wants_help(arguments):
        print(HELP.format(conf=conf_dir()))
        return OK
    run_hydra("evaluate", job, arguments)
    return OK


def job(config: DictConfig) -> None:
    """Evaluate; Hydra calls it."""
    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    settings: EvaluateSettings = check_settings(EvaluateSettings, values)
    run = runs.open_run(settings.run)
    trained = trained_settings(run, settings)
    check_photo_places(trained.data, ["test" if settings.split == "test" else "train"])
    checkpoint = run.checkpoint(settings.checkpoint or trained.checkpoint.evaluate)
    from melanoma_pl.building import make_data
    from melanoma_pl.hardware import choose_accelerator, keep_freed_memory
    from melanoma_pl.inference import load_classifier
    from melanoma_pl.photo_list import compare_photos
    from melanoma_pl.reporting.split_report import report_split
    from melanoma_pl.training import REPORT, result_notes

    keep_freed_memory()
    classifier = load_classifier(checkpoint, choose_accelerator(settings.device))
    folder = run.folder / REPORT
    if settings.data.root is not None:  # the run's own report stays what it is
        folder = folder / Path(settings.data.root).resolve().name
    own_photos = settings.data.root is None
    data, notes = make_data(trained), result_notes(trained) if own_photos else other_notes(trained)
    if own_photos:
        compare_photos(run, data, [settings.split])
    report = report_split(classifier, data, settings.split, folder, notes, own_photos=own_photos)
    logger.info("%s\n\nreport  %s", report.text(), folder / settings.split)


def other_notes(trained: TrainSettings) -> tuple[str, ...]:
    """Return what must be said of a run's figures on another set of photos."""
    return (f"The network was trained on {trained.photos_note} photos.",) if trained.photos_note else ()


def trained_settings(run: runs.Run, settings: EvaluateSettings) -> TrainSettings:
    """Return the settings that the run was trained with, with the photos that are asked for.

    Raises:
        UserError: If another photo folder has no such split.
    """
    record = run.read()
    values = record["config"]
    data = values["data"]
    own_photos = settings.data.root is None
    if own_photos:
        data |= {key: str(place) for key, place in runs.started_in(record, data).items()}
    data |= {
        key: value for key, value in settings.data.model_dump().items() if key in OVERRIDABLE and value is not None
    }
    if not own_photos:
        if settings.split == "validation":
            raise UserError(
                f"data.root={settings.data.root} has no validation split of this run", "evaluate it with split=test"
            )
        # another set: its own lesions, if it tells them, and none shared with the run's
        data |= {"synthetic": None, "table": None, "exclude": None, "root": settings.data.root}
        data |= {"metadata": settings.data.metadata or "auto", "group_column": settings.data.group_column}
    trained: TrainSettings = check_settings(TrainSettings, values)
    return trained


if __name__ == "__main__":
    main()
