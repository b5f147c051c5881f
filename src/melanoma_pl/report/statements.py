"""Estimates in plain words: in cells, beside each other and in sentences.

What an evaluation says in sentences: its headline, what it counted, what its figures mean.

What no figure of an evaluation can say, whoever made it.
"""

from melanoma_pl.evaluation.checks import SMALLEST
from melanoma_pl.evaluation.intervals import ALWAYS_SO, NOT_COMPUTABLE, Estimate, Interval, brackets, decimal
from melanoma_pl.evaluation.results import Decisions
from melanoma_pl.evaluation.strata import UNKNOWN
from melanoma_pl.messages import amount
from melanoma_pl.report.content import Content, Mistake, SubgroupTable

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


FEWEST = 50  # images: with fewer, an ECE within what chance explains says nothing
WIDEST = 0.15  # of the ECE that chance explains: a wider range hides any error that matters
UNKNOWN_TONE = "Unknown: the border was too dark, grey or blue to tell."
MEANS = {"centre erased": "without the lesion", "border erased": "by the middle alone"}
"""By what some shortcuts reach their result; the others by what they are called."""


def headline(content: Content) -> str:
    """Return what the AUROC means, without its name."""
    estimate = content.sets[0].ranking.auroc if content.sets else Estimate(None, None, "no images")
    if estimate.value is None:
        return f"The ranking cannot be judged: {estimate.reason or NOT_COMPUTABLE}"
    negative, positive = content.class_names
    pairs = "more than 99" if 0.995 <= estimate.value < 1 else f"{100 * estimate.value:.0f}"
    return (
        f"In {pairs} of 100 pairs of a {positive} and a {negative} image, "
        f"the {positive} one gets the higher probability"
    )


def counted(content: Content) -> str:
    """Return "400 images, 140 of them malignant (35 %)"."""
    of_all = f" ({share(content.positives / content.n)})" if content.n else ""
    return f"{amount(content.n, 'image')}, {content.positives:,} of them {content.class_names[1]}{of_all}"


def calibration_verdict(content: Content) -> str:
    """Return what the ECE says, beside the one that chance alone would give."""
    found, expected = content.calibration[1].ece.value, content.calibration[1].ece_if_calibrated
    few = f"Whether the probabilities mean what they say: too few images to say ({counted(content)})."
    if found is None or expected is None:
        return few
    told = (
        f"With these probabilities, a perfectly calibrated network would show an ECE of {expected[0]:.3f}–"
        f"{expected[1]:.3f} by chance alone; this one shows {found:.3f}"
    )
    if found > expected[1]:
        return f"{told}: more than chance explains, so do not take its probabilities at their word."
    negatives = content.n - content.positives
    too_few = content.n < FEWEST or min(content.positives, negatives) < SMALLEST
    if too_few or expected[1] - expected[0] > WIDEST:
        return f"{told}. {few}"
    return f"{told}: nothing here speaks against its probabilities."


def named(decisions: Decisions) -> tuple[str, str]:
    """Return a decision's name and its threshold: "threshold 0.5" alone where the name is that number."""
    if decisions.threshold is None:
        return decisions.name, ""
    threshold = f"threshold {decisions.threshold:.3g}"
    return (threshold, "") if decisions.name == f"{decisions.threshold:g}" else (decisions.name, threshold)


def note_of(table: SubgroupTable) -> str:
    """Return what must be said of a table of subgroups."""
    is_unknown = table.is_estimated and any(row.value in ("", UNKNOWN) for row in table.rows)
    return " ".join(filter(None, (sentence(table.note), UNKNOWN_TONE if is_unknown else "")))


def is_scaled(content: Content) -> bool:
    """Return whether a temperature was fitted: without one, logits are divided by 1."""
    before, after = content.calibration
    return before.temperature != after.temperature


def mistakes(content: Content) -> str:
    """Return how many images of either class were decided wrongly."""
    negative, positive = content.class_names
    missed, alarms = content.wrong.false_negatives, content.wrong.false_positives
    return (
        f"Wrongly called {negative}: {missed:,} of {amount(content.wrong.positives, f'{positive} image')}. "
        f"Wrongly called {positive}: {alarms:,} of {amount(content.wrong.negatives, f'{negative} image')}."
    )


def compared(mistake: Mistake) -> str:
    """Return how alike heat map and control are, or why nobody can say."""
    if not mistake.heat_map:
        return "no heat map"
    if mistake.map_is_empty:
        return "nothing speaks for this decision: no comparison"
    if mistake.control_is_empty:
        return "the shuffled network shows nothing: no comparison"
    if mistake.similarity is None:
        return "one of the maps is the same everywhere: no comparison"
    return f"heat map and control alike: {mistake.similarity:z.2f}".replace("-", "−")


def of_whom(content: Content) -> str:
    """Return what must be said of the heat maps; of an ensemble whose they are."""
    first = "Heat maps are of the first network alone." if content.members else ""
    return sentence(content.images_note) or first


def reached_without(content: Content) -> str:
    """Return "Without the lesion an AUROC of 0.848 is reached, by file facts alone 0.872"; nothing without problems."""
    found = [own for own in content.shortcuts if own.is_problem and own.auroc.value is not None]
    parts = [f"{MEANS.get(own.name, f'by {own.name} alone')} {figure(own.auroc)}" for own in found]
    if not parts:
        return ""
    means, value = parts[0].rsplit(" ", 1)
    return ", ".join([f"{means[:1].upper()}{means[1:]} an AUROC of {value} is reached", *parts[1:]])


LIKE_THESE = "The figures hold for images like these: other clinics, cameras, skin types and ages may give worse ones."
CHANCE_ALONE = (
    "Intervals say how far a figure could be off because there are only so many images; they know nothing of images "
    "that were chosen, labelled or split wrongly."
)
NO_LESIONS = (
    "Images of one lesion or patient are no independent images. Which of these images show the same lesion is not "
    "known: if any do, all intervals are too narrow."
)
SOME_ALLOW = (
    "The intervals of AUROC by lesion, average precision, partial AUROC, specificity at a given sensitivity, ECE, "
    "Brier score, log loss, intercept and slope allow for that. All others (AUROC, sensitivity, specificity, accuracy, "
    "predictive values, bins of the reliability diagram, subgroups, shortcuts, robustness, members) take every image "
    "for independent"
)
ONE_PATIENT = "No interval allows for several lesions of one patient."
NO_PHYSICIAN = "Nobody compared this network with a physician on these images, nor watched it in use."
ONE_OF_MANY = "Of many subgroups, one looks bad by chance: look again with other images before believing it."
HEAT_MAPS = (
    "A heat map shows what in the picture speaks for the decision that was taken; it is no explanation of a diagnosis."
)
HARDLY_MORE = 1.1  # images a lesion: up to here, intervals that take images for independent are less than a tenth short


def limits(content: Content) -> tuple[str, ...]:
    """Return the limits that matter for what is reported."""
    return (
        LIKE_THESE,
        CHANCE_ALONE,
        of_lesions(content.n, content.lesions),
        NO_PHYSICIAN,
        *([ONE_OF_MANY] if content.subgroups else []),
        *([HEAT_MAPS] if has_maps(content) else []),
    )


def has_maps(content: Content) -> bool:
    """Return whether any heat map is shown."""
    return any(mistake.heat_map for mistake in (*content.false_negatives, *content.false_positives))


def of_lesions(images: int, lesions: int | None) -> str:
    """Return which intervals allow for several images of a lesion, and whether that matters."""
    if lesions is None:
        return NO_LESIONS
    if lesions == images:
        return f"Every image shows another lesion. {ONE_PATIENT}"
    counted = f"These {images:,} images show {amount(lesions, 'different lesion')}"
    if images <= HARDLY_MORE * lesions:
        return f"{counted}, most of them once. {SOME_ALLOW}, which here hardly matters. {ONE_PATIENT}"
    return f"{counted}, and images of one lesion are alike. {SOME_ALLOW}: they are too narrow. {ONE_PATIENT}"
