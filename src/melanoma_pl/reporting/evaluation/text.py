"""An evaluation on the terminal: the main table, then what else must be known, in lines of at most 120 letters."""

from textwrap import wrap
from typing import Any

from melanoma_pl.evaluation.assessment import Decisions
from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.evaluation.table import format_table
from melanoma_pl.reporting.evaluation.content import Content, Member, SetFigures, Shortcut
from melanoma_pl.reporting.evaluation.naming import with_class_names
from melanoma_pl.reporting.evaluation.statements import is_scaled, named
from melanoma_pl.reporting.evaluation.words import beside, figure, sentence, share, told
from melanoma_pl.reporting.words import readable

WIDTH = 120
NONE = "not computable"
NAMES = {"auroc": "AUROC"}


def format_report(content: Content) -> str:
    """Return the figures of each set as a table, then decisions, calibration, shortcuts and what must be said."""
    content = with_class_names(content)
    table = format_table({readable(figures.title): _row(figures) for figures in content.sets})
    blocks = [
        [line for figures in content.sets for line in _missing(figures)],
        [f"Warning: {warning}" for warning in content.warnings],
        [*map(_decided, content.decisions), *_predictive(content)],
        _calibrated(content),
        [_reached(shortcut) for shortcut in content.shortcuts],
        [_added(member) for member in content.members],
        [*content.notes, content.disclaimer],
    ]
    return "\n\n".join([table, *("\n".join(map(_wrapped, block)) for block in blocks if block)])


def _added(member: Member) -> str:
    """Say what one network of several reaches alone, and what the others would lose without it."""
    return f"{readable(member.name)}: AUROC {told(member.auroc)} alone, {told(member.contribution)} added to the others"


def _estimates(figures: SetFigures) -> dict[str, Estimate]:
    decisions = figures.decisions
    return {
        "auroc": figures.ranking.auroc,
        "accuracy": decisions.accuracy,
        "sensitivity": decisions.sensitivity,
        "specificity": decisions.specificity,
    }


def _missing(figures: SetFigures) -> list[str]:
    """Return why the table has a gap, a line for each reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, estimate in _estimates(figures).items():
        if estimate.reason and estimate.interval is None:
            gap = NONE if estimate.value is None else "no interval"
            found.setdefault((gap, estimate.reason), []).append(NAMES.get(name, name))
    return [f"{figures.title}, {gap}: {', '.join(names)} ({reason})" for (gap, reason), names in found.items()]


def _row(figures: SetFigures) -> dict[str, Any]:
    decisions, counts, estimates = figures.decisions, figures.decisions.counts, _estimates(figures)
    return {
        "n": counts.n,
        "positives": counts.positives,
        "average_precision": figures.ranking.average_precision.value,
        "threshold": decisions.threshold,
        **{name: estimate.value for name, estimate in estimates.items()},
        "intervals": {name: estimate.interval for name, estimate in estimates.items()},
    }


def _decided(decisions: Decisions) -> str:
    shares = {
        "sensitivity": decisions.sensitivity,
        "specificity": decisions.specificity,
        "balanced accuracy": decisions.balanced_accuracy,
        "accuracy": decisions.accuracy,
    }
    return f"{_named(decisions)}: {', '.join(f'{name} {_value(own)}' for name, own in shares.items())}"


def _named(decisions: Decisions) -> str:
    name, threshold = named(decisions)
    return f"{name} ({threshold})" if threshold else name


def _predictive(content: Content) -> list[str]:
    """Return both predictive values of the chosen threshold at the share of malignant photos that the user gave."""
    if content.prevalence is None or not content.decisions:
        return []
    chosen = content.decisions[0]
    values = {
        "positive predictive value": chosen.positive_predictive_value_at,
        "negative": chosen.negative_predictive_value_at,
    }
    shown = [f"{name} {told(own)}" for name, own in values.items() if own is not None]
    return [f"{_named(chosen)}, if {share(content.prevalence)} were {content.class_names[1]}: {', '.join(shown)}"]


def _calibrated(content: Content) -> list[str]:
    before, after = content.calibration
    expected = after.ece_if_calibrated
    chance = f" ({expected[0]:.3f}–{expected[1]:.3f} if perfectly calibrated)" if expected else ""
    fitted = "" if is_scaled(content) else ", not fitted"
    was = [f"{_value(own)} → " if is_scaled(content) else "" for own in (before.ece, before.brier, before.log_loss)]
    return [
        f"calibration, temperature {after.temperature:.3g}{fitted}: ECE {was[0]}{told(after.ece)}{chance}",
        f"  Brier score {was[1]}{_value(after.brier)}, log loss {was[2]}{_value(after.log_loss)}",
    ]


def _reached(shortcut: Shortcut) -> str:
    mark, verdict = "! " if shortcut.is_problem else "", f". {sentence(shortcut.verdict)}" if shortcut.verdict else ""
    return f"{mark}{shortcut.name}: AUROC {told(shortcut.auroc)}{verdict}"


def _value(estimate: Estimate) -> str:
    if estimate.value is not None:
        return f"{estimate.value:.3f}"
    return f"{figure(estimate)} ({beside(estimate)})" if estimate.reason else figure(estimate)


def _wrapped(line: str) -> str:
    return "\n".join(wrap(readable(line), WIDTH, subsequent_indent="  "))
