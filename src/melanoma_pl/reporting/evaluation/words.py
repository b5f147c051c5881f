"""Estimates in plain words: in cells, beside each other and in sentences."""

from melanoma_pl.evaluation.estimate import ALWAYS_SO, NOT_COMPUTABLE, Estimate, brackets, decimal
from melanoma_pl.evaluation.intervals import Interval

TOO_SMALL = "too small"


def figure(estimate: Estimate) -> str:
    """Return "0.915", "too small" or "not computable"."""
    if estimate.value is not None:
        return decimal(estimate.value)
    return TOO_SMALL if estimate.reason.startswith(TOO_SMALL) else NOT_COMPUTABLE


def beside(estimate: Estimate) -> str:
    """Return what stands beside a figure: its interval, or why there is none."""
    if estimate.value is not None and estimate.interval is not None:
        return bracketed(estimate.interval)
    if estimate.value is not None and estimate.reason == ALWAYS_SO:
        return ALWAYS_SO
    why = estimate.reason.removeprefix(f"{TOO_SMALL}: ")
    return why if estimate.value is None else f"no interval{': ' if why else ''}{why}"


def bracketed(interval: Interval) -> str:
    """Return "[0.884–0.938]", or "[−0.120 to 0.160]": beside a minus a dash reads badly."""
    low, high = map(decimal, interval)
    return f"[{low} to {high}]" if "−" in f"{low}{high}" else brackets(interval)


def told(estimate: Estimate) -> str:
    """Return "0.915 [0.884–0.938]", or the figure with the reason why something of it is missing."""
    why = beside(estimate)
    if estimate.value is not None:
        return f"{figure(estimate)} {why if estimate.interval else f'({why})'}"
    return f"{figure(estimate)}: {why}" if why else figure(estimate)


def sentence(said: str) -> str:
    """Return what was said with its full stop; nothing stays nothing."""
    ended = said.rstrip()
    return ended if ended.endswith((".", "!", "?", "…")) or not ended else f"{ended}."


def lost(estimate: Estimate) -> tuple[str, Estimate]:
    """Return "lost" with a loss as it is, or "more" with a gain: a loss below 0, turned round."""
    if estimate.value is None or round(estimate.value, 3) >= 0:
        return "lost", estimate
    ends = estimate.interval and (-estimate.interval[1], -estimate.interval[0])
    return "more", Estimate(-estimate.value, ends, estimate.reason)


def share(value: float) -> str:
    """Return "35 %", "1.8 %" or "0.02 %"."""
    return f"{100 * value:.3g} %"


def probability(value: float) -> str:
    """Return "0.031", or "0.00042" where three decimals would show 0."""
    return f"{value:.2g}" if 0 < value < 0.001 else f"{value:.3f}"
