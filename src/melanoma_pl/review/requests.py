"""What is to be judged by whom, before anything heavy is imported. Light."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl import runs
from melanoma_pl.errors import UserError
from melanoma_pl.settings import EvaluateSettings, TrainSettings, check_settings

OVERRIDABLE = ("metadata", "group_column", "image_column", "without_row", "on_broken")


@dataclass(frozen=True)
class Request:
    """One run, and the photos that it is to judge.

    Attributes:
        run: The run.
        checkpoint: Its checkpoint.
        own: The settings that it was trained with, with its photos where they lie now.
        judged: The same with the photos that are judged.
    """

    run: runs.Run
    checkpoint: Path
    own: TrainSettings
    judged: TrainSettings


def make_request(folder: str, settings: EvaluateSettings) -> Request:
    """Return what one run is asked for.

    Raises:
        UserError: If there is no such run or checkpoint, or another photo set has no such split.
    """
    run = runs.open_run(folder)
    record = run.read()
    own, judged = _settings(record, {}), _settings(record, _changes(settings, record["config"]["data"]))
    return Request(run, run.checkpoint(settings.checkpoint or own.checkpoint.evaluate), own, judged)


def _settings(record: Mapping[str, Any], changes: Mapping[str, Any]) -> TrainSettings:
    data = record["config"]["data"]
    places = {key: str(place) for key, place in runs.started_in(record, data).items()}
    settings: TrainSettings = check_settings(TrainSettings, {**record["config"], "data": {**data, **places, **changes}})
    return settings


def _changes(settings: EvaluateSettings, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs from the run's own photos."""
    chosen = settings.data.model_dump()
    changes = {key: chosen[key] for key in OVERRIDABLE if chosen[key] is not None}
    changes["folder_names"] = {**data["folder_names"], **settings.data.folder_names}
    if settings.data.root is None:
        return changes
    if settings.split == "validation":
        raise UserError(
            f"data.root={settings.data.root} has no validation split of this run", "evaluate it with split=test"
        )
    # another set: its own lesions, if it tells them, and none shared with the run's
    other = {"synthetic": None, "table": None, "exclude": None, "root": settings.data.root, "limit": None}
    other |= {"metadata": settings.data.metadata or "auto", "group_column": settings.data.group_column}
    return {**changes, **other}
