"""What an audit leaves behind for training to find: its verdict, by the fingerprint of the photos. Light."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.findings import Audit
from melanoma_pl.files import write_atomically

AUDITS = Path("outputs/audits")


def fingerprint(paths: Sequence[str], sha256: Sequence[str]) -> str:
    """Return a hash of photos' paths and contents, whatever their order."""
    lines = sorted(f"{path}\t{content}" for path, content in zip(paths, sha256, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def leave_record(
    audit: Audit,
    splits: Sequence[str],
    paths: Sequence[str],
    sha256: Sequence[str],
    report: Path,
    audits: Path = AUDITS,
) -> Path:
    """Write an audit's verdict where training looks for it.

    Args:
        audit: What was found.
        splits: Of each photo.
        paths: Of each photo.
        sha256: Of each photo's file.
        report: The audit's folder.
        audits: Where verdicts lie.
    """
    photos = list(zip(splits, paths, sha256, strict=True))
    clean = [photo for photo in photos if photo[1] not in audit.quarantine]
    record = {
        "root": audit.root,
        "report": str(report),
        "leaking_test_photos": len(audit.leaking_test_photos),
        "conflicts": len(audit.conflicts) + len(audit.label_conflicts),
        "group_column": audit.group_column,
        "splits": _by_split(photos),
        "without_quarantine": _by_split(clean),
    }
    audits.mkdir(parents=True, exist_ok=True)
    path = audits / f"{audit.fingerprint}.json"
    with write_atomically(path) as file:
        json.dump(record, file, indent=2, ensure_ascii=False)
        file.write("\n")
    return path


def _by_split(photos: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    found = {}
    for split in sorted({name for name, _, _ in photos}):
        chosen = [(path, sha256) for name, path, sha256 in photos if name == split]
        found[split] = fingerprint([path for path, _ in chosen], [sha256 for _, sha256 in chosen])
    return found


def audit_warning(root: Path, loaded: Mapping[str, tuple[Sequence[str], Sequence[str]]], audits: Path = AUDITS) -> str:
    """Return what training should say of the audit of its photos, in one line; empty where all is well.

    Args:
        root: The photos' folder.
        loaded: `train`, and `test` where it was opened → paths and hashes of the photos.
        audits: Where verdicts lie.
    """
    wanted = {split: fingerprint(paths, sha256) for split, (paths, sha256) in loaded.items()}
    records = [record for record in _read(audits) if _is_of(record, wanted, "splits")]
    if any(_is_of(record, wanted, "without_quarantine") and not _same(record) for record in _read(audits)):
        return ""
    if not records:
        return f"no audit of these photos was made here: melanoma-data audit {root} says whether test photos leak"
    leaks = max(int(record["leaking_test_photos"]) for record in records)
    if not leaks:
        return ""
    report = next(record["report"] for record in records if record["leaking_test_photos"] == leaks)
    return (
        f"the audit found {leaks} test photos that are also in train ({report}/audit.html): leave them out with "
        f"melanoma-data audit {root} --fix quarantine.csv, then data.exclude=quarantine.csv"
    )


def _is_of(record: Mapping[str, Any], wanted: Mapping[str, str], key: str) -> bool:
    return all(record[key].get(split) == value for split, value in wanted.items())


def _same(record: Mapping[str, Any]) -> bool:
    """Tell whether the audit had nothing to leave out, so that its two fingerprints say the same."""
    return bool(record["splits"] == record["without_quarantine"])


def _read(audits: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(audits.glob("*.json")):
        try:
            found.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue  # half an audit is none
    return found
