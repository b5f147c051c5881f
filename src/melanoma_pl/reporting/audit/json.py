"""What an audit found, as a JSON file: for programs, and for the data card."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.findings import Audit
from melanoma_pl.files import write_atomically
from melanoma_pl.notices import DISCLAIMER

FILE_NAME = "audit.json"
SORTED = ("broken", "shared_groups", "quarantine")


def audit_to_dict(audit: Audit) -> dict[str, Any]:
    """Return all of an audit as values that JSON knows, under `summary` the counts first."""
    findings = _plain(asdict(audit))
    for name in SORTED:
        findings[name] = dict(sorted(findings[name].items()))
    for pair, written in zip(audit.pairs, findings["pairs"], strict=True):
        written |= {"is_leak": pair.is_leak, "is_conflict": pair.is_conflict}
    return {"disclaimer": DISCLAIMER, "summary": summarise(audit), **findings}


def summarise(audit: Audit) -> dict[str, Any]:
    """Return the verdict and the counts behind it."""
    return {
        "is_clean": audit.is_clean,
        "leaks": len(audit.leaks),
        "shared_groups": len(audit.shared_groups),
        "leaking_test_photos": len(audit.leaking_test_photos),
        "conflicts": len(audit.conflicts),
        "label_conflicts": len(audit.label_conflicts),
        "pairs": len(audit.pairs),
        "clusters": len(audit.clusters),
        "broken": len(audit.broken),
        "quarantine": len(audit.quarantine),
    }


def write_json(audit: Audit, folder: Path) -> Path:
    """Write `audit.json`, whole or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(audit_to_dict(audit), indent=2, ensure_ascii=False)
    with write_atomically(folder / FILE_NAME) as file:
        # bytes of a file's name that are no UTF-8 become \udcXX, which JSON reads back as what Python had
        file.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        file.write("\n")
    return folder / FILE_NAME


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(content) for content in value]
    return value
