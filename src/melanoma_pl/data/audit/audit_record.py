"""Traces of an audit for training to find: which images it saw, which of them leak, which to leave out. Light."""

import hashlib
import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from melanoma_pl.data.audit.findings import Audit
from melanoma_pl.data.metadata import read_table
from melanoma_pl.errors import UserError, first_of
from melanoma_pl.files import TableWriter, write_atomically

if TYPE_CHECKING:
    from melanoma_pl.data.audit.scanning import Scan

AUDITS = Path("outputs/audits")
RECORDS = "records"  # below AUDITS, apart from reports
SHORT = 16  # hexadecimal digits of an image's hash: enough to recognise it
COLUMNS = ("image", "reason", "sha256")  # of a quarantine list

Listed = tuple[Sequence[str], Sequence[str]]  # paths, and hashes of the files


def fingerprint(paths: Sequence[str], sha256: Sequence[str]) -> str:
    """Return a hash of the paths and contents of images that does not depend on their order."""
    lines = sorted(f"{path}\t{content}" for path, content in zip(paths, sha256, strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def leave_record(audit: Audit, scanned: "Scan", report: Path, audits: Path = AUDITS) -> Path:
    """Write the record of an audit, one for each column of the metadata that lesions were told by.

    Args:
        audit: The findings.
        scanned: The images.
        report: Folder of the audit's report.
        audits: Folder of all audits.

    Returns:
        The path of the record.
    """
    images = [
        (split, path, image.sha256[:SHORT])
        for split, path, image in zip(scanned.listing.splits, scanned.listing.paths, scanned.images, strict=True)
    ]
    record = {
        "root": audit.root,
        "report": str(report),
        "group_column": audit.group_column,
        "leaking": list(audit.leaking_train_images),
        "test": {path: content for split, path, content in images if split == "test"},
        "train": {path: content for split, path, content in images if split != "test"},
    }
    suffix = hashlib.sha256(f"{audit.group_column}".encode()).hexdigest()[:6]
    path = audits / RECORDS / f"{audit.fingerprint}-{suffix}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as file:
        json.dump(record, file)
    return path


def audit_warning(source: Path, train: Listed, test: Listed | None, audits: Path = AUDITS) -> str:
    """Return the warning about leakage found by the audit, or about a missing audit; empty where all is well.

    Args:
        source: Folder or table of the images.
        train: Paths and hashes of the training images, including those that validate.
        test: Paths and hashes of the test images; None where the test split was not opened.
        audits: Folder of all audits.
    """
    ours, theirs = _contents(train), {} if test is None else _contents(test)
    found: list[tuple[int, str]] = []  # number of leaking training images, and the report that names them
    for path in sorted((audits / RECORDS).glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if ours.items() <= record["train"].items() and theirs.items() <= record["test"].items():
                found.append((len(ours.keys() & set(record["leaking"])), record["report"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # half a record, or one of another version, does not count
    where = shlex.quote(str(source))
    if not found:
        return f"no audit of these images was found; melanoma-data audit {where} tells whether test images leak"
    leaking, report = max(found, key=lambda audit: audit[0])
    if not leaking:
        return ""
    return (
        f"the audit found {leaking} training images that show the same as test images ({report}/audit.html): "
        f"list them with melanoma-data audit {where} --fix quarantine.csv, and add data.exclude=quarantine.csv"
    )


def _contents(images: Listed) -> dict[str, str]:
    return {path: content[:SHORT] for path, content in zip(*images, strict=True)}


def write_quarantine(table: Path, quarantine: Mapping[str, Mapping[str, str]]) -> None:
    """Write the list of images to leave out.

    Args:
        table: CSV file to write.
        quarantine: Path → `reason` and `sha256` of the image.
    """
    with write_atomically(table) as file:
        writer = TableWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "image": path} for path, row in sorted(quarantine.items()))


def read_quarantine(table: Path, paths: Collection[str]) -> dict[str, Mapping[str, str]]:
    """Return the rows of a list of images to leave out, by path.

    Args:
        table: CSV file with a column `image`.
        paths: Paths of all images.

    Raises:
        UserError: If the list does not exist, or names images that do not.
    """
    if not table.is_file():
        raise UserError(f"--exclude {table} does not exist", "name a list that --fix wrote")
    rows = read_table(table, COLUMNS[0], "--exclude", set(paths))
    unknown = sorted(rows.keys() - set(paths))
    if unknown:
        raise UserError(
            f"--exclude {table} names {len(unknown)} images that do not exist ({first_of(unknown)})",
            "write the list again with --fix",
        )
    return rows
