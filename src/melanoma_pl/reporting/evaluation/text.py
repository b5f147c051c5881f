"""An evaluation on the terminal: the main table, then what else must be known, in lines of at most 120 letters."""

from textwrap import wrap
from typing import Any

from melanoma_pl.evaluation.assessment import Decisions
from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.evaluation.table import format_table
from melanoma_pl.reporting.evaluation.content import Content, SetFigures, Shortcut
from melanoma_pl.reporting.evaluation.naming import with_class_names
from melanoma_pl.reporting.evaluation.words import is_scaled
from melanoma_pl.reporting.words import readable

WIDTH = 120
NONE = "not computable"


def format_report(content: Content) -> str:
    """Return the figures of each set as a table, then decisions, calibration, shortcuts and what must be said."""
    content = with_class_names(content)
    table = format_table({readable(figures.title): _row(figures) for figures in content.sets})
    blocks = [
        [f"Warning: {warning}" for warning in content.warnings],
        [_decided(decisions) for decisions in content.decisions],
        _calibrated(content),
        [_reached(shortcut) for shortcut in content.shortcuts],
        [*content.notes, content.disclaimer],
    ]
    return "\n\n".join([table, *("\n".join(map(_wrapped, block)) for block in blocks if block)])


def _row(figures: SetFigures) -> dict[str, Any]:
    decisions, counts = figures.decisions, figures.decisions.counts
    estimates = {
        "auroc": figures.ranking.auroc,
        "accuracy": decisions.accuracy,
        "sensitivity": decisions.sensitivity,
        "specificity": decisions.specificity,
    }
    return {
        "n": counts.n,
        "positives": counts.positives,
        "average_precision": figures.ranking.average_precision.value,
        "threshold": decisions.threshold,
        **{name: estimate.value for name, estimate in estimates.items()},
        "intervals": {name: estimate.interval for name, estimate in estimates.items()},
    }


def _decided(decisions: Decisions) -> str:
    threshold = "" if decisions.threshold is None else f" (threshold {decisions.threshold:.3g})"
    name = "threshold 0.5" if decisions.name == "0.5" else f"{decisions.name}{threshold}"
    return (
        f"{name}: sensitivity {_value(decisions.sensitivity)}, specificity {_value(decisions.specificity)}, "
        f"balanced accuracy {_value(decisions.balanced_accuracy)}, accuracy {_value(decisions.accuracy)}"
    )


def _calibrated(content: Content) -> list[str]:
    before, after = content.calibration
    expected = after.ece_if_calibrated
    chance = f" ({expected[0]:.3f}–{expected[1]:.3f} if perfectly calibrated)" if expected else ""
    fitted = "" if is_scaled(content) else ", not fitted"
    was = [f"{_value(own)} → " if is_scaled(content) else "" for own in (before.ece, before.brier, before.log_loss)]
    return [
        f"calibration, temperature {after.temperature:.3g}{fitted}: ECE {was[0]}{after.ece}{chance}",
        f"  Brier score {was[1]}{_value(after.brier)}, log loss {was[2]}{_value(after.log_loss)}",
    ]


def _reached(shortcut: Shortcut) -> str:
    mark = "! " if shortcut.is_problem else ""
    return f"{mark}{shortcut.name}: AUROC {shortcut.auroc}{'. ' if shortcut.verdict else ''}{shortcut.verdict}"


def _value(estimate: Estimate) -> str:
    return NONE if estimate.value is None else f"{estimate.value:.3f}"


def _wrapped(line: str) -> str:
    return "\n".join(wrap(readable(line), WIDTH, subsequent_indent="  "))
