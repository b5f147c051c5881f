"""Estimates in words, and the measures that form the rows of the report's tables, on the page and in the model card."""

from collections.abc import Sequence
from dataclasses import dataclass

from melanoma_pl.evaluation.assessment import Calibration
from melanoma_pl.evaluation.intervals import BY_DEFINITION, Estimate, Interval
from melanoma_pl.report.content import Content

NOT_COMPUTABLE, TOO_SMALL = "not computable", "too small"
LONGEST_REASON = 30  # characters that fit into a narrow column


@dataclass(frozen=True)
class Measure:
    """A row of a table: its name, its meaning, and its estimate in each column; None in a column that lacks it."""

    name: str
    meaning: str
    estimates: tuple[Estimate | None, ...]

    @property
    def long_reason(self) -> str:
        """The reason for missing values if it is the same in all columns and too long for them; otherwise empty."""
        known = [own for own in self.estimates if own is not None]
        reasons = {beside(own) for own in known if own.value is None or own.interval is None}
        return next((why for why in reasons if len(reasons) == 1 and len(why) > LONGEST_REASON), "")


def ranking_measures(content: Content) -> list[Measure]:
    """Return the measures of discrimination, one column for each element of `content.sets`."""
    rankings = [figures.ranking for figures in content.sets]
    chance = f"{content.positives / content.n:.3f} at chance level" if content.positives else ""
    return [
        *_measures(
            rankings,
            ("AUROC", "0.5 at chance level, 1 at best", "auroc"),
            ("AUROC, by lesion", "interval from resampled lesions", "auroc_by_lesion"),
            ("Average precision", chance, "average_precision"),
            ("Partial AUROC", "above 80 % sensitivity; 0.02 at chance level, 0.2 at best", "partial_auroc"),
        ),
        *(
            Measure(
                f"Specificity at {percent(sensitivity)} sensitivity",
                "threshold chosen on these images",
                tuple(own.specificity_at[sensitivity] for own in rankings),
            )
            for sensitivity in rankings[0].specificity_at
        ),
    ]


def decision_measures(content: Content) -> list[Measure]:
    """Return the measures of decisions, one column for each element of `content.decisions`."""
    negative, positive = content.class_names
    here = f"at the prevalence of these images, {percent(content.positives / content.n)}"
    there = "" if content.prevalence is None else f"at a prevalence of {percent(content.prevalence)}"
    return _measures(
        content.decisions,
        ("Sensitivity", f"proportion of {positive} images called {positive}", "sensitivity"),
        ("Specificity", f"proportion of {negative} images called {negative}", "specificity"),
        ("Balanced accuracy", "mean of both; 0.5 at chance level", "balanced_accuracy"),
        ("Accuracy", f"depends on the proportion of {positive} images", "accuracy"),
        ("Positive predictive value", here, "positive_predictive_value"),
        ("Positive predictive value", there, "positive_predictive_value_at"),
        ("Negative predictive value", here, "negative_predictive_value"),
        ("Negative predictive value", there, "negative_predictive_value_at"),
    )


def calibration_measures(content: Content) -> list[Measure]:
    """Return the measures of calibration, one column for each of `scales`."""
    return _measures(
        list(scales(content).values()),
        ("ECE", "expected calibration error; 0 at best", "ece"),
        ("Brier score", "mean squared error; 0 at best", "brier"),
        ("Log loss", "in nats; 0 at best", "log_loss"),
        ("Intercept", "below 0: probabilities too high", "intercept"),
        ("Slope", "below 1: probabilities too extreme", "slope"),
    )


def scales(content: Content) -> dict[tuple[str, str], Calibration]:
    """Return the calibration by title and subtitle of its column: before and after scaling, or one if not scaled."""
    before, after = content.calibration
    if not is_scaled(content):
        return {(f"temperature {after.temperature:.3g}", "not fitted"): after}
    return {(name, f"temperature {own.temperature:.3g}"): own for name, own in (("before", before), ("after", after))}


def is_scaled(content: Content) -> bool:
    """Return whether a temperature was fitted; otherwise both calibrations have temperature 1."""
    before, after = content.calibration
    return before.temperature != after.temperature


def figure(estimate: Estimate) -> str:
    """Return "0.915", "too small" or "not computable"."""
    if estimate.value is not None:
        return _decimal(estimate.value)
    return TOO_SMALL if estimate.reason.startswith(TOO_SMALL) else NOT_COMPUTABLE


def beside(estimate: Estimate) -> str:
    """Return what accompanies the figure: its interval such as "[0.884–0.938]", or the reason why that is missing."""
    if estimate.value is None:
        return estimate.reason.removeprefix(f"{TOO_SMALL}: ")
    if estimate.interval is not None:
        return _bracketed(estimate.interval)
    if estimate.reason == BY_DEFINITION:
        return BY_DEFINITION
    return f"no interval: {estimate.reason}" if estimate.reason else "no interval"


def told(estimate: Estimate) -> str:
    """Return "0.915 [0.884–0.938]", "1.000 (no interval: …)" or "not computable: …"."""
    why = beside(estimate)
    if estimate.value is None:
        return f"{figure(estimate)}: {why}" if why else figure(estimate)
    return f"{figure(estimate)} {why if estimate.interval else f'({why})'}"


def lost(estimate: Estimate) -> tuple[str, Estimate]:
    """Return "loss" with a loss as it is, or "gain" with the negative of a loss below 0."""
    if estimate.value is None or round(estimate.value, 3) >= 0:
        return "loss", estimate
    ends = estimate.interval and (-estimate.interval[1], -estimate.interval[0])
    return "gain", Estimate(-estimate.value, ends, estimate.reason)


def percent(fraction: float) -> str:
    """Return a fraction as "35 %", "1.83 %" or "0.02 %"."""
    return f"{100 * fraction:.3g} %"


def probability(value: float) -> str:
    """Return "0.031", or "0.00042" for a probability that three decimals would show as 0."""
    return f"{value:.2g}" if 0 < value < 0.001 else f"{value:.3f}"


def _measures(columns: Sequence[object], *rows: tuple[str, str, str]) -> list[Measure]:
    """Return a measure for each name, meaning and attribute of the columns, without those that no column has."""
    found = [
        Measure(name, meaning, tuple(getattr(column, attribute) for column in columns))
        for name, meaning, attribute in rows
    ]
    return [measure for measure in found if any(estimate is not None for estimate in measure.estimates)]


def _bracketed(interval: Interval) -> str:
    low, high = map(_decimal, interval)
    return f"[{low}{' to ' if '−' in low + high else '–'}{high}]"  # a dash after a minus is hard to read


def _decimal(value: float) -> str:
    return f"{value:z.3f}".replace("-", "−")
