"""What is to be judged by whom, before anything heavy is imported. Light."""

from collections.abc import Mapping, Sequence
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
        judges_own: Whether those are the photos of the run.
    """

    run: runs.Run
    checkpoint: Path
    own: TrainSettings
    judged: TrainSettings
    judges_own: bool = True


def make_request(folder: str, settings: EvaluateSettings) -> Request:
    """Return what one run is asked for.

    Raises:
        UserError: If there is no such run or checkpoint, or another photo set has no such split.
    """
    run = runs.open_run(folder)
    record = run.read()
    own = _settings(record, {})
    judged = _settings(record, _changes(settings, record["config"]["data"]))
    checkpoint = run.checkpoint(settings.checkpoint or own.checkpoint.evaluate)
    return Request(run, checkpoint, own, judged, judges_own=settings.data.root is None)


def refuse_twice(requests: Sequence[Request]) -> None:
    """Refuse a run that is named twice, however it is spelt.

    Raises:
        UserError: If one is.
    """
    folders = [request.run.folder.resolve() for request in requests]
    if len(set(folders)) < len(folders):
        raise UserError(f"run={[str(request.run.folder) for request in requests]} names a run twice", "name each once")


def check_output(output: str | None) -> None:
    """Refuse a folder for the report that cannot be one, or that is a run's own.

    Raises:
        UserError: If it has no name, is a file, cannot be made, or is or lies in a run's folder.
    """
    if output is None:
        return
    folder = Path(output).resolve()
    own = next((place for place in (folder, *folder.parents) if (place / runs.RECORD).is_file()), None)
    if not output or own is not None:
        message = f"output={output} lies in the run {own}" if output else "output names no folder"
        raise UserError(message, "name a folder of its own, or leave output out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output={output} cannot be made ({error.strerror})", "name another folder") from error


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
    root = settings.data.root
    if root is None:
        return changes
    if settings.split == "validation":
        raise UserError(f"data.root={root} has no validation split of this run", "evaluate it with split=test")
    # another set: its own lesions, if it tells them, and none shared with the run's
    other = {"synthetic": None, "table": None, "exclude": None, "fold": None, "root": root, "limit": None}
    other |= {"metadata": settings.data.metadata or "auto", "group_column": settings.data.group_column}
    return {**changes, **other}
