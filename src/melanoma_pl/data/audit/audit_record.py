"""What an audit leaves behind for training to find: which images it saw, and which of them leak. Light.

The list of images that training should do without, as a CSV table. Light.
"""

import csv
import hashlib
import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.data.audit.findings import Audit
from melanoma_pl.data.metadata import read_table
from melanoma_pl.errors import UserError, first_of
from melanoma_pl.files import write_atomically

AUDITS = Path("outputs/audits")
RECORDS = "records"  # below AUDITS, apart from reports
SHORT = 16  # hexadecimal digits of an image's hash: enough to know it again

Contents = Mapping[str, str]  # path → hash of the file
Listed = tuple[Sequence[str], Sequence[str]]  # paths, and hashes of the files


@dataclass(frozen=True)
class AuditRecord:
    """One audit.

    Attributes:
        report: Its folder.
        test: Path → short hash of each image of the test split.
        train: The same of every other image.
        leaking: Paths of images outside the test split that show what the test split shows.
    """

    report: str
    test: Contents
    train: Contents
    leaking: tuple[str, ...]

    def covers(self, train: Contents, test: Contents | None) -> bool:
        """Tell whether these very images were audited; `test` is None where it was not opened."""
        return train.items() <= self.train.items() and (test is None or test.items() <= self.test.items())


def fingerprint(paths: Sequence[str], sha256: Sequence[str]) -> str:
    """Return a hash of images' paths and contents, whatever their order."""
    lines = sorted(f"{path}\t{content}" for path, content in zip(paths, sha256, strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def leave_record(
    audit: Audit,
    splits: Sequence[str],
    paths: Sequence[str],
    sha256: Sequence[str],
    report: Path,
    audits: Path = AUDITS,
) -> Path:
    """Write what training should know of an audit; audits by another column of the metadata stand beside it.

    Args:
        audit: What was found.
        splits: Of each image.
        paths: Of each image.
        sha256: Of each image's file.
        report: The audit's folder.
        audits: Where audits lie.
    """
    images = list(zip(splits, paths, sha256, strict=True))
    record = {
        "root": audit.root,
        "report": str(report),
        "group_column": audit.group_column,
        "leaking": list(audit.leaking_train_images),
        "test": {path: content[:SHORT] for split, path, content in images if split == "test"},
        "train": {path: content[:SHORT] for split, path, content in images if split != "test"},
    }
    known_by = hashlib.sha256(f"{audit.group_column}".encode()).hexdigest()[:6]
    path = audits / RECORDS / f"{audit.fingerprint}-{known_by}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        json.dump(record, file)
    return path


def audit_warning(source: Path, train: Listed, test: Listed | None, audits: Path = AUDITS) -> str:
    """Return what training should say of the audit of its images, in one line; empty where all is well.

    Args:
        source: The images' folder or table.
        train: Paths and hashes of the images of the train folder, those that validate among them.
        test: Those of the test folder; None where it was not opened.
        audits: Where audits lie.
    """
    ours, theirs = _contents(train), None if test is None else _contents(test)
    records = [record for record in _read(audits / RECORDS) if record.covers(ours, theirs)]
    where = shlex.quote(str(source))
    if not records:
        return f"no audit of these images was made here: melanoma-data audit {where} says whether test images leak"
    worst = max(records, key=lambda record: len(ours.keys() & set(record.leaking)))
    leaking = len(ours.keys() & set(worst.leaking))
    if not leaking:
        return ""
    return (
        f"the audit found {leaking} training images that show what test images show ({worst.report}/audit.html): list "
        f"them with melanoma-data audit {where} --fix quarantine.csv, and add data.exclude=quarantine.csv"
    )


def _contents(images: Listed) -> dict[str, str]:
    return {path: content[:SHORT] for path, content in zip(*images, strict=True)}


def _read(folder: Path) -> list[AuditRecord]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found.append(AuditRecord(record["report"], record["test"], record["train"], tuple(record["leaking"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half an audit, or one of another version, is none
    return found


COLUMNS = ("image", "reason", "sha256")


@dataclass(frozen=True)
class Reason:
    """Why an image should be left out, and the hash of its file."""

    text: str
    sha256: str


def write_quarantine(table: Path, quarantine: Mapping[str, Reason]) -> None:
    """Write the list: path → why."""
    with write_atomically(table) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([path, reason.text, reason.sha256] for path, reason in sorted(quarantine.items()))


def read_quarantine(table: Path, paths: Collection[str]) -> dict[str, Reason]:
    """Return the images that a list names, with the reasons, if it has some.

    Raises:
        UserError: If there is no such list, or it names images that are not there.
    """
    if not table.is_file():
        raise UserError(f"--exclude {table} does not exist", "name a list that --fix wrote")
    named = read_table(table, COLUMNS[0], "--exclude", set(paths))
    unknown = sorted(named.keys() - set(paths))
    if unknown:
        raise UserError(
            f"--exclude {table} names {len(unknown)} images that are not there ({first_of(unknown)})",
            "make the list anew with --fix",
        )
    return {path: Reason(row.get("reason", ""), row.get("sha256", "")) for path, row in named.items()}
