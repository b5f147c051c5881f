"""The report's tables as lines of estimates, the same on the page and in the model card."""

from collections.abc import Callable
from dataclasses import dataclass

from melanoma_pl.evaluation.assessment import Calibration, Decisions
from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.reporting.evaluation.content import Content
from melanoma_pl.reporting.evaluation.statements import is_scaled
from melanoma_pl.reporting.evaluation.words import beside, share

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
    """Return how well photos of the positive class rank above the others, a column for each of the content's sets."""
    rankings = [figures.ranking for figures in content.sets]
    wanted = dict.fromkeys(sensitivity for ranking in rankings for sensitivity in ranking.specificity_at)
    lines = [
        Line("AUROC", "0.5 is a guess, 1 is perfect", tuple(own.auroc for own in rankings)),
        Line("AUROC, by lesion", "interval for lesions, not photos", tuple(own.auroc_by_lesion for own in rankings)),
        Line("Average precision", _guess(content), tuple(own.average_precision for own in rankings)),
        Line(
            "Partial AUROC",
            "above 80 % sensitivity; 0.02 is a guess, 0.2 is perfect",
            tuple(own.partial_auroc for own in rankings),
        ),
        *(
            Line(
                f"Specificity at {share(sensitivity)} sensitivity",
                "with a threshold from these very photos",
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
        ("Sensitivity", f"{positive} photos that are found", lambda own: own.sensitivity),
        ("Specificity", f"{negative} photos that are left alone", lambda own: own.specificity),
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
