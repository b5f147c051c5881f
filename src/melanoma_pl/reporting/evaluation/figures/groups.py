"""Forests of what was found for parts of the photos and for parts of the picture."""

from matplotlib.figure import Figure

from melanoma_pl.reporting.evaluation.content import Content, SubgroupTable
from melanoma_pl.reporting.evaluation.figures.forest import Row, forest

PANELS = ("AUROC", "sensitivity", "specificity")
UNKNOWN = "unknown"


def subgroups(content: Content) -> Figure | None:
    """Draw each group's AUROC, sensitivity and specificity beside those of all photos (dashed)."""
    rows = [row for table in content.subgroups if table.rows for row in _rows(table)]
    if not rows:
        return None
    own = content.sets[0] if content.sets else None
    values = (own.ranking.auroc.value, own.decisions.sensitivity.value, own.decisions.specificity.value) if own else ()
    return forest(rows, PANELS, values or (None, None, None), chance=0.5)


def shortcuts(content: Content) -> Figure | None:
    """Draw the AUROC that is reached without the lesion beside the network's own."""
    if not any(shortcut.auroc.value is not None for shortcut in content.shortcuts):
        return None
    own = content.sets[0].ranking.auroc
    rows = [Row(shortcut.name, (shortcut.auroc,), shortcut.is_problem) for shortcut in content.shortcuts]
    return forest([Row("whole photos", (own,)), *rows], ("AUROC",), (own.value,), chance=0.5)


def _rows(table: SubgroupTable) -> list[Row]:
    heading = f"{table.column} (est.)" if table.is_estimated else table.column
    groups = [Row(row.value or UNKNOWN, (row.auroc, row.sensitivity, row.specificity)) for row in table.rows]
    return [Row(heading), *groups]
