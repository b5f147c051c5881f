"""Estimates, decisions and findings of an evaluation in words, for the page, the model card, figures and terminal."""

from collections.abc import Iterable

from melanoma_pl.evaluation import BY_DEFINITION, SMALLEST, UNKNOWN, Calibration, Decisions, Estimate, PeopleCount
from melanoma_pl.messages import amount, brackets, decimal
from melanoma_pl.report.content import Content, SubgroupTable

NOT_COMPUTABLE, TOO_SMALL = "not computable", "too small"
LONGEST_REASON = 30  # characters that fit into a narrow column
FEWEST = 50  # images: with fewer, an ECE that chance explains says nothing
WIDEST = 0.15  # range of the ECE that chance explains: a wider one hides any relevant error
UNKNOWN_TONE = "Unknown: the border of the image was too dark, grey or blue for an estimate."
MEANS = {"centre erased": "without the lesion", "border erased": "from the centre alone"}


# Estimates


def figure(estimate: Estimate) -> str:
    """Return "0.915", "too small" or "not computable"."""
    if estimate.value is not None:
        return decimal(estimate.value)
    return TOO_SMALL if estimate.reason.startswith(TOO_SMALL) else NOT_COMPUTABLE


def beside(estimate: Estimate) -> str:
    """Return what accompanies the figure: its interval such as "[0.884–0.938]", or the reason why that is missing."""
    if estimate.value is None:
        return estimate.reason.removeprefix(f"{TOO_SMALL}: ")
    if estimate.interval is not None:
        return brackets(estimate.interval)
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


def shared_reason(estimates: Iterable[Estimate | None]) -> str:
    """Return the reason for missing values if all columns of a row share it and it is too long for them, or nothing."""
    reasons = {beside(own) for own in estimates if own is not None and (own.value is None or own.interval is None)}
    return next((why for why in reasons if len(reasons) == 1 and len(why) > LONGEST_REASON), "")


def percent(fraction: float) -> str:
    """Return a fraction as "35 %", "1.83 %" or "0.02 %"."""
    return f"{100 * fraction:.3g} %"


def probability(value: float) -> str:
    """Return "0.031", or "0.00042" for a probability that three decimals would show as 0."""
    return f"{value:.2g}" if 0 < value < 0.001 else f"{value:.3f}"


def people(group: PeopleCount) -> str:
    """Return "19 [18 to 20]", or "fewer than 1 [0 to 1]" for an expected number that rounds to 0."""
    count = "fewer than 1" if group.count == 0 and group.expected > 0 else f"{group.count:,}"
    return f"{count} [{group.low:,} to {group.high:,}]"


def fraction(estimate: Estimate, *, complement: bool = False) -> str:
    """Return "6.03 % [5.16 % to 7.03 %] (about 1 in 17)", or why the value is missing.

    Args:
        estimate: A proportion.
        complement: Whether 1 minus the proportion is meant.
    """
    if estimate.value is None:
        return told(estimate)
    value, ends = estimate.value, estimate.interval
    if complement:
        value, ends = 1 - value, ends and (1 - ends[1], 1 - ends[0])
    interval = f" [{percent(ends[0])} to {percent(ends[1])}]" if ends else ""
    return f"{percent(value)}{interval}{f' (about 1 in {_rounded(1 / value)})' if 0 < value <= 0.5 else ''}"


def worth(threshold: float) -> str:
    """Return how many false alarms one malignant image found is worth at a threshold probability in (0, 1)."""
    return _rounded((1 - threshold) / threshold)


def _rounded(number: float) -> str:
    """Return a number with two digits, such as "0.67", "17" or "1,200"."""
    digits = float(f"{number:.2g}")
    return f"{digits:,.0f}" if digits >= 10 else f"{digits:g}"


# Columns of tables


def named(decisions: Decisions) -> tuple[str, str]:
    """Return the name of the decisions and their threshold, or "threshold 0.5" alone if the name is that number."""
    if decisions.threshold is None:
        return decisions.name, ""
    threshold = f"threshold {decisions.threshold:.3g}"
    return (threshold, "") if decisions.name == f"{decisions.threshold:g}" else (decisions.name, threshold)


def scales(content: Content) -> dict[tuple[str, str], Calibration]:
    """Return the calibration by title and subtitle of its column: before and after scaling, or one if not scaled."""
    before, after = content.calibration
    if not content.is_scaled:
        return {(f"temperature {after.temperature:.3g}", "not fitted"): after}
    return {(name, f"temperature {own.temperature:.3g}"): own for name, own in (("before", before), ("after", after))}


# Sentences


def headline(content: Content) -> str:
    """Return the meaning of the AUROC without its name."""
    estimate, (negative, positive) = content.sets[0].ranking.auroc, content.class_names
    if estimate.value is None:
        return f"The AUROC cannot be computed: {estimate.reason or NOT_COMPUTABLE}"
    pairs = "more than 99" if 0.995 <= estimate.value < 1 else f"{100 * estimate.value:.0f}"
    return (
        f"In {pairs} of 100 pairs of a {positive} and a {negative} image, "
        f"the {positive} image receives the higher probability"
    )


def counted(content: Content) -> str:
    """Return "400 images, 140 of them malignant (35 %)"."""
    proportion = percent(content.positives / content.n)
    return f"{amount(content.n, 'image')}, {content.positives:,} of them {content.class_names[1]} ({proportion})"


def calibration_verdict(content: Content) -> str:
    """Return the interpretation of the ECE relative to that of a perfectly calibrated network."""
    found, expected = content.calibration[1].ece.value, content.calibration[1].ece_if_calibrated
    few = f"These images are too few to assess calibration ({counted(content)})."
    if found is None or expected is None:
        return few
    compared = (
        f"A perfectly calibrated network with these probabilities would show an ECE of {expected[0]:.3f}–"
        f"{expected[1]:.3f} by chance alone; the observed ECE is {found:.3f}"
    )
    if found > expected[1]:
        return f"{compared}. Chance does not explain this error, so the probabilities should not be taken literally."
    negatives = content.n - content.positives
    too_few = content.n < FEWEST or min(content.positives, negatives) < SMALLEST
    if too_few or expected[1] - expected[0] > WIDEST:
        return f"{compared}. {few}"
    return f"{compared}, which is consistent with calibrated probabilities."


def note_of(table: SubgroupTable) -> str:
    """Return the remarks on a table of subgroups."""
    is_unknown = table.is_estimated and any(row.value in ("", UNKNOWN) for row in table.rows)
    return " ".join(filter(None, (sentence(table.note), UNKNOWN_TONE if is_unknown else "")))


def reached_without(content: Content) -> str:
    """Return the AUROCs of problematic shortcuts; nothing if there are none.

    For example "The AUROC is 0.848 without the lesion, 0.872 from file facts alone".
    """
    found = [own for own in content.shortcuts if own.is_problem and own.auroc.value is not None]
    parts = [f"{figure(own.auroc)} {MEANS.get(own.name, f'from {own.name} alone')}" for own in found]
    return f"The AUROC is {', '.join(parts)}" if parts else ""


def sentence(text: str) -> str:
    """Return a text with its full stop; an empty text stays empty."""
    ended = text.rstrip()
    return ended if ended.endswith((".", "!", "?", "…")) or not ended else f"{ended}."
