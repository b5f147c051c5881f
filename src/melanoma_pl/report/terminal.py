"""The report's tables as lines of estimates, the same on the page and in the model card.

An evaluation on the terminal: the main table, then what else must be known, in lines of at most 120 letters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from melanoma_pl.evaluation.assessment import format_table
from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.evaluation.results import Calibration, Decisions
from melanoma_pl.messages import readable
from melanoma_pl.report.content import Content, MemberFigures, SetFigures, Shortcut, with_class_names
from melanoma_pl.report.statements import beside, figure, is_scaled, named, sentence, share, told

LONGEST_REASON = 30  # letters that a narrow column holds in two or three lines


@dataclass(frozen=True)
class Line:
    """One measure: its name, what it means, and its estimate in each column; None where a column has none."""

    name: str
    meaning: str
    estimates: tuple[Estimate | None, ...]

    @property
    def long_reason(self) -> str:
        """Return why something is missing, where that is the same in all columns and too long to stand in them."""
        known = [own for own in self.estimates if own is not None]
        reasons = {beside(own) for own in known if own.value is None or own.interval is None}
        return next((why for why in reasons if len(reasons) == 1 and len(why) > LONGEST_REASON), "")


def ranking_lines(content: Content) -> list[Line]:
    """Return how well images of the positive class rank above the others, a column for each of the content's sets."""
    rankings = [figures.ranking for figures in content.sets]
    wanted = dict.fromkeys(sensitivity for ranking in rankings for sensitivity in ranking.specificity_at)
    lines = [
        Line("AUROC", "0.5 is a guess, 1 is perfect", tuple(own.auroc for own in rankings)),
        Line("AUROC, by lesion", "interval for lesions, not images", tuple(own.auroc_by_lesion for own in rankings)),
        Line("Average precision", _guess(content), tuple(own.average_precision for own in rankings)),
        Line(
            "Partial AUROC",
            "above 80 % sensitivity; 0.02 is a guess, 0.2 is perfect",
            tuple(own.partial_auroc for own in rankings),
        ),
        *(
            Line(
                f"Specificity at {share(sensitivity)} sensitivity",
                "with a threshold from these very images",
                tuple(own.specificity_at.get(sensitivity) for own in rankings),
            )
            for sensitivity in wanted
        ),
    ]
    return _told(lines)


def decision_lines(content: Content) -> list[Line]:
    """Return what each threshold decides, a column for each of the content's decisions."""
    negative, positive = content.class_names
    here = f"as here, {share(content.positives / content.n)} {positive}" if content.n else ""
    there = "" if content.prevalence is None else f"if {share(content.prevalence)} were {positive}"
    measures: tuple[tuple[str, str, Callable[[Decisions], Estimate | None]], ...] = (
        ("Sensitivity", f"{positive} images that are found", lambda own: own.sensitivity),
        ("Specificity", f"{negative} images that are left alone", lambda own: own.specificity),
        ("Balanced accuracy", "the mean of both; 0.5 is a guess", lambda own: own.balanced_accuracy),
        ("Accuracy", f"flatters whoever always says {negative}", lambda own: own.accuracy),
        ("Positive predictive value", here, lambda own: own.positive_predictive_value),
        ("Positive predictive value", there, lambda own: own.positive_predictive_value_at),
        ("Negative predictive value", here, lambda own: own.negative_predictive_value),
        ("Negative predictive value", there, lambda own: own.negative_predictive_value_at),
    )
    return _told([Line(name, meaning, tuple(map(of, content.decisions))) for name, meaning, of in measures])


def scales(content: Content) -> dict[tuple[str, str], Calibration]:
    """Return the columns of `calibration_lines`, by their title and what stands below it.

    Where no temperature was fitted, before and after are the same: one column.
    """
    before, after = content.calibration
    if not is_scaled(content):
        return {(f"temperature {after.temperature:.3g}", "not fitted"): after}
    return {(name, f"temperature {own.temperature:.3g}"): own for name, own in (("before", before), ("after", after))}


def calibration_lines(content: Content) -> list[Line]:
    """Return whether probabilities mean what they say, a column for each of the content's scales."""
    measures: tuple[tuple[str, str, Callable[[Calibration], Estimate]], ...] = (
        ("ECE", "expected calibration error; 0 at best", lambda own: own.ece),
        ("Brier score", "mean squared error; 0 at best", lambda own: own.brier),
        ("Log loss", "in nats; 0 at best", lambda own: own.log_loss),
        ("Intercept", "below 0: probabilities are too high", lambda own: own.intercept),
        ("Slope", "below 1: they are too extreme", lambda own: own.slope),
    )
    return [Line(name, meaning, tuple(map(of, scales(content).values()))) for name, meaning, of in measures]


def _guess(content: Content) -> str:
    return f"{content.positives / content.n:.3f} is a guess" if content.positives else ""


def _told(lines: list[Line]) -> list[Line]:
    """Return those that any column has."""
    return [line for line in lines if any(estimate is not None for estimate in line.estimates)]


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


def _added(member: MemberFigures) -> str:
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
    """Return both predictive values of the chosen threshold at the share of malignant images that the user gave."""
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
