"""A run's folder: what it holds, whether it is finished, and the newest that is not."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically

RECORD = "run.json"
IMAGES = "images.csv"  # which image is in which split, and the hash of its file
BEST, LAST = "best.ckpt", "last.ckpt"
REPORT = "report"  # folder of the evaluations of its own images
OUTPUTS = Path("outputs")
PATH_KEYS = ("root", "table", "metadata", "exclude")  # keys of the group data that name folders and files
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError)  # what reading a damaged record can raise
PACKAGES = ("melanoma-pl", "torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "scikit-learn", "numpy")


@dataclass(frozen=True)
class Run:
    """A run's folder, wherever it lies now."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of `best.ckpt` and `last.ckpt`."""
        return self.folder / "checkpoints"

    def checkpoint(self, name: str) -> Path:
        """Return the checkpoint `best` or `last`.

        Raises:
            UserError: If the run has none yet.
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

    def read(self) -> dict[str, Any]:
        """Return what `run.json` says.

        Raises:
            ValueError: If it holds no JSON object.
        """
        record: Any = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("it holds no JSON object")
        return record

    def write(self, record: Mapping[str, Any]) -> None:
        """Replace `run.json`."""
        with write_atomically(self.folder / RECORD) as file:
            json.dump(record, file, indent=2, ensure_ascii=False)
            file.write("\n")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second process out of the folder; the lock falls with the process that holds it.

        Raises:
            UserError: If another process trains there now.
        """
        if not is_main_process():
            yield
            return
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(
                f"another process is training in {self.folder} now", "wait for it, or start a new run"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def update(self, **changes: Any) -> None:
        """Change some of what `run.json` says."""
        self.write({**self.read(), **changes})


def is_main_process() -> bool:
    """Tell whether this process keeps the run's books; with several devices the others only compute."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def open_run(folder: str | Path) -> Run:
    """Return the run in a folder.

    Raises:
        UserError: If it is no run's folder.
    """
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"the run folder {path} does not exist", _newest_hint())
    if not (path / RECORD).is_file():
        raise UserError(f"{path} is no run's folder (it holds no {RECORD})", _newest_hint())
    try:
        Run(path).read()
    except ValueError as error:
        raise UserError(f"{path / RECORD} cannot be read ({error})") from error
    return Run(path)


def all_runs(outputs: Path = OUTPUTS) -> Iterator[Run]:
    """Return the runs below a folder, the newest first."""
    records = sorted(outputs.glob(f"**/{RECORD}"), key=lambda record: record.stat().st_mtime, reverse=True)
    for record in records:
        yield Run(record.parent)


def newest_unfinished(outputs: Path = OUTPUTS) -> Run:
    """Return the newest run that was interrupted; a record that cannot be read is left to `melanoma-runs list`.

    Raises:
        UserError: If there is none.
    """
    for run in all_runs(outputs):
        if _was_interrupted(run):
            return run
    raise UserError(f"there is no unfinished run under {outputs}/", "name one with resume=<run folder>")


def _was_interrupted(run: Run) -> bool:
    try:
        record = run.read()
        return not record["finished"] and "error" not in record
    except BROKEN:
        return False


def _newest_hint() -> str:
    newest = next(all_runs(), None)
    return f"the newest run here is {newest.folder}" if newest else "there is no run under outputs/ yet"


def describe(arguments: list[str], overrides: list[str]) -> dict[str, Any]:
    """Return a new run's record: how it was started, where, with what."""
    return {
        "command": " ".join(["melanoma-train", *arguments]),
        "folder": str(Path.cwd()),
        "overrides": overrides,
        "started": now(),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {package: version(package) for package in PACKAGES},
        "git_commit": git_commit(),
        "finished": False,
    }


def started_in(record: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Path]:
    """Return the places of images and tables that were typed relative to where the run was started, in full.

    Args:
        record: What `run.json` says.
        data: Its configuration's group `data`.

    Returns:
        Key → place, of those that are there.
    """
    places = {key: Path(record["folder"]) / data[key] for key in PATH_KEYS if data.get(key) is not None}
    return {key: place for key, place in places.items() if place.exists()}


def now() -> str:
    """Return the time, as ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def git_commit() -> str | None:
    """Return the commit of the code that runs, or None outside a git checkout."""
    folder = Path(sys.modules["melanoma_pl"].__file__ or "").parent
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
