"""The folder of a run: its files, its record `run.json`, and the search for runs. Light."""

import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from melanoma_pl.config.processes import is_main_process
from melanoma_pl.config.resume import RECORD as RECORD  # for all that works with runs
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import readable
from melanoma_pl.specs import validated

FORMAT = 2  # of run.json; records without it were written before version 0.2
METRICS = "metrics.csv"  # a row for each epoch
IMAGES = "images.csv"  # the split of each image and the hash of its file
BEST, LAST = "best.ckpt", "last.ckpt"
REPORT = "report"  # folder of the evaluations
OUTPUTS = Path("outputs")
LATEST = "latest"  # instead of a run's folder: the newest finished run
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error)  # raised by damaged files of a run


class Part(BaseModel):
    """A part of a record, whose values have the named types; it may hold further keys."""

    model_config = ConfigDict(extra="allow", strict=True)


class RecordedData(Part):
    """Keys of `config.data` that are read without PyTorch; those with a default are younger than the first records."""

    root: str | None
    synthetic: dict[str, Any] | None
    class_names: list[str]
    folder_names: dict[str, str]
    validate_on: str
    table: str | None = None


class RecordedTrainer(Part):
    """Keys of `config.trainer`."""

    max_epochs: int


class RecordedCheckpoint(Part):
    """Keys of `config.checkpoint`."""

    evaluate: Literal["best", "last"]


class RecordedConfig(Part):
    """Keys of `config`, the resolved configuration."""

    name: str
    optimized_metric: str
    data: RecordedData
    trainer: RecordedTrainer
    checkpoint: RecordedCheckpoint
    augmentation: dict[str, Any]
    callbacks: dict[str, Any]


class Record(Part):
    """Keys of `run.json`."""

    command: str
    folder: str
    overrides: list[str]
    started: str
    versions: dict[str, str]
    git_commit: str | None
    finished: bool
    config_dirs: list[str]
    config: dict[str, Any]
    composed: dict[str, Any]
    in_sweep: bool
    threads: Annotated[int, Field(ge=1)] = 1
    arithmetic: dict[str, str | bool] = {}
    fingerprint: str | None = None
    figures: dict[str, float | None] = {}
    seconds: dict[str, float] = {}
    error: str = ""
    pruned: str = ""


@dataclass(frozen=True)
class Run:
    """A run, wherever its folder lies now."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of `best.ckpt` and `last.ckpt`."""
        return self.folder / "checkpoints"

    def checkpoint(self, name: str) -> Path:
        """Return the path of the checkpoint `best` or `last`.

        Raises:
            UserError: If the run does not have it yet.
        """
        path = self.checkpoints / f"{name}.ckpt"
        if path.is_file():
            return path
        others = sorted(other.stem for other in self.checkpoints.glob("*.ckpt"))
        instead = f", or take the one that is there: checkpoint={others[0]}" if others else ""
        raise UserError(
            f"{self.folder} has no checkpoints/{name}.ckpt",
            f"train it first, or let it train on: melanoma-train resume={self.folder}{instead}",
        )

    @property
    def evaluated_checkpoint(self) -> Path:
        """The checkpoint that the run evaluates at its end.

        Raises:
            UserError: If the run does not have it yet, or its record cannot be read.
        """
        return self.checkpoint(self.read()["config"]["checkpoint"]["evaluate"])

    @property
    def way_on(self) -> str:
        """The way out of a full disk."""
        has_saved = any(self.checkpoints.glob("*.ckpt"))
        go_on = f"go on with melanoma-train resume={shlex.quote(str(self.folder))}: its checkpoints are whole"
        return f"make space, then {go_on if has_saved else 'start again: nothing was saved yet'}"

    def read(self) -> dict[str, Any]:
        """Return the record in `run.json`.

        Raises:
            UserError: If it cannot be read, has another format, or lacks a key or holds a value of another kind.
        """
        path = self.folder / RECORD
        try:
            record: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error})") from error
        if not isinstance(record, dict):
            raise UserError(f"{path} cannot be read (it is not a JSON object)")
        if record.get("format") != FORMAT:
            raise UserError(f"{path} was written by melanoma_pl before 0.2", "train anew, or use that version")
        try:
            validated(Record, record)
            if "error" not in record:  # the settings of a failed job may be what failed
                validated(RecordedConfig, record["config"], "config.")
        except UserError as error:
            raise UserError(f"{path} cannot be read ({error})", "it is damaged: train anew") from error
        return record

    def write(self, record: Mapping[str, Any]) -> None:
        """Replace the record in `run.json`."""
        with write_atomically(self.folder / RECORD) as file:
            json.dump(record, file, indent=2, ensure_ascii=False)
            file.write("\n")

    def update(self, **changes: Any) -> None:
        """Change some keys of the record in `run.json`."""
        self.write({**self.read(), **changes})

    def epochs(self) -> int:
        """Return the number of epochs that the run has recorded."""
        try:
            with (self.folder / METRICS).open(encoding="utf-8") as file:
                return sum(1 for _ in csv.DictReader(file))
        except UNREADABLE:
            return 0

    def figures_by_epoch(self) -> list[dict[str, float]]:
        """Return the figures of each recorded epoch by their tags, with `epoch` and `step`; empty if there are none."""
        try:
            with (self.folder / METRICS).open(newline="", encoding="utf-8") as file:
                rows = [{tag: float(cell) for tag, cell in row.items() if cell} for row in csv.DictReader(file)]
        except UNREADABLE:
            return []
        return [row for row in rows if {"epoch", "step"} <= row.keys()]

    def lock(self) -> AbstractContextManager[object]:
        """Lock the folder against other processes; the lock ends with the process that holds it.

        Raises:
            UserError: If another process trains there now.
        """
        if not is_main_process():
            return nullcontext()
        try:
            return FileLock(self.folder / ".lock").acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"another process is training in {self.folder} now", "wait for it, or start a new run"
            ) from error


def open_run(folder: str | Path) -> Run:
    """Return the run in a folder, or for `latest`, which a folder of that name precedes, the newest finished run.

    Raises:
        UserError: If the folder does not hold a run, or its record cannot be read, or no run is finished.
    """
    path = Path(folder)
    if not (path / RECORD).is_file():
        if str(folder) == LATEST and not path.exists():
            run = newest_finished()
            print(f"{LATEST}: {readable(run.folder)}", file=sys.stderr, flush=True)
            return run
        newest = next(all_runs(), None)
        hint = f"the newest run here is {newest.folder}" if newest else f"there is no run under {OUTPUTS}/ yet"
        if not path.is_dir():
            raise UserError(f"the run folder {path} does not exist", hint)
        raise UserError(f"{path} is not a run's folder (it does not hold {RECORD})", hint)
    run = Run(path)
    run.read()
    return run


def all_runs(outputs: Path = OUTPUTS) -> Iterator[Run]:
    """Return the runs below a folder, the newest first."""
    records = sorted(outputs.glob(f"**/{RECORD}"), key=lambda record: record.stat().st_mtime, reverse=True)
    return (Run(record.parent) for record in records)


def newest_unfinished(outputs: Path = OUTPUTS) -> Run:
    """Return the newest interrupted run, ignoring records that cannot be read.

    Raises:
        UserError: If there is none.
    """
    for run in all_runs(outputs):
        with suppress(UserError, *UNREADABLE):
            record = run.read()
            if not record["finished"] and record.keys().isdisjoint(("error", "pruned")):
                return run
    raise UserError(f"there is no unfinished run under {outputs}/", "name one with resume=<run folder>")


def newest_finished(outputs: Path = OUTPUTS) -> Run:
    """Return the run that finished last and has the checkpoint that it evaluates; jobs of sweeps do not count.

    The record gives the time: copying a folder changes that of its files.

    Raises:
        UserError: If there is none.
    """
    found: list[tuple[str, Run]] = []
    for run in all_runs(outputs):
        with suppress(UserError, *UNREADABLE):
            record = run.read()
            if record["finished"] and not record["in_sweep"] and "error" not in record:
                run.checkpoint(record["config"]["checkpoint"]["evaluate"])
                found.append((str(record.get("ended", record["started"])), run))
    if not found:
        raise UserError(
            f"there is no finished run under {outputs}/ ({LATEST}; jobs of sweeps do not count)",
            "train one with melanoma-train, or name a run's folder",
        )
    return max(found, key=lambda each: each[0])[1]  # of equal times the one that was written last


def report_name(split: str, views: str = "none", checkpoint: str = "") -> str:
    """Return the name of a report's folder, such as `test` or `validation_dihedral_last`.

    Args:
        split: `validation` or `test`.
        views: `none` or `dihedral`.
        checkpoint: `best` or `last`; empty for the one that the run evaluates.
    """
    return "_".join(filter(None, (split, "" if views == "none" else views, checkpoint)))


def reason_of(error: Exception) -> str:
    """Return in one line why a file of a run cannot be read."""
    return f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())


def now() -> str:
    """Return the current time in UTC as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit() -> str | None:
    """Return the commit of this package's code, or None outside a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
