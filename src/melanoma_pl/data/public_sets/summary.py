"""What `melanoma-data prepare` prints: how many photos, what was left out and why, whose they are, what to do next."""

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.data.layout import CLASS_NAMES, FOLDER_NAMES
from melanoma_pl.data.public_sets.record import Download, LeftOut
from melanoma_pl.data.public_sets.tasks import Task
from melanoma_pl.notices import DISCLAIMER
from melanoma_pl.overrides import hydra_word

SHOWN = 20  # kinds of photos left out; the file lists every photo


@dataclass(frozen=True)
class Prepared:
    """A set that has been prepared.

    Attributes:
        name: Of the set.
        target: The folder that was made.
        task: What its classes tell apart.
        download: What it was made from.
        rows: Of `metadata.csv`.
        left_out: Photos that are not in it.
        made: What was done with photos (linked, copied, written) → how many.
        table_only: Whether the photos stayed where they were.
    """

    name: str
    target: Path
    task: Task
    download: Download
    rows: tuple[Mapping[str, Any], ...]
    left_out: tuple[LeftOut, ...]
    made: Mapping[str, int]
    table_only: bool

    def text(self) -> str:
        """Return the summary."""
        parts = [self._title(), *self._counts(), *self._left_out(), *self._rights(), *self._next(), DISCLAIMER]
        return "\n".join(parts)

    def _title(self) -> str:
        done = ", ".join(f"{count} {what}" for what, count in self.made.items()) or "none copied or linked"
        return f"{self.name}, {self.task.name}: {len(self.rows)} photos ({done}) → {self.target}\n"

    def _counts(self) -> list[str]:
        counts = Counter((row["split"], row["label"]) for row in self.rows)
        lines = [["", *self.task.classes]]
        lines += [[split, *(str(counts[split, label]) for label in self.task.classes)] for split in ("train", "test")]
        return ["".join(f"{cell:>11}" for cell in line) for line in lines] + [""]

    def _left_out(self) -> list[str]:
        if not self.left_out:
            return ["left out: none", ""]
        kinds = Counter(": ".join(filter(None, (photo.reason, photo.diagnosis))) for photo in self.left_out)
        lines = [f"{count:7d}  {kind}" for kind, count in kinds.most_common(SHOWN)]
        if len(kinds) > SHOWN:
            lines.append(f"{'':7}  and {len(kinds) - SHOWN} rarer ones")
        return [f"left out: {len(self.left_out)}, each listed in {self.target / 'left_out.csv'}", *lines, ""]

    def _rights(self) -> list[str]:
        licences = Counter(row["licence"] or "none stated" for row in self.rows).most_common()
        listed = ", ".join(f"{licence} ({count})" if len(licences) > 1 else licence for licence, count in licences)
        about = self.download.about
        notes = [f"note: {note}" for note in self.download.notes] + [f"warning: {fault}" for fault in about.warnings]
        return [f"licence: {listed}", f"cite: {about.citation}", *notes, ""]

    def _next(self) -> list[str]:
        table = self.target / "metadata.csv"
        audited, data = self.target, f"data=folder {hydra_word('data.root', str(self.target))}"
        if self.table_only:
            audited, data = table, f"data=table {hydra_word('data.table', str(table))}"
        audit, train = ["melanoma-data audit", shlex.quote(str(audited))], ["melanoma-train", data]
        if any(row["group"] for row in self.rows):
            audit.append("--group-column group")
            train.append("data.group_column=group")
        return [f"next: {' '.join(audit)}", f"      {' '.join([*train, *self._class_names()])}"]

    def _class_names(self) -> list[str]:
        known = {*CLASS_NAMES, *FOLDER_NAMES}
        return [] if known.issuperset(self.task.classes) else [f"'data.class_names=[{','.join(self.task.classes)}]'"]
