"""What an evaluation says in sentences: its headline, what it counted, what its figures mean."""

from melanoma_pl.evaluation.assessment import Decisions
from melanoma_pl.evaluation.estimate import NOT_COMPUTABLE, Estimate
from melanoma_pl.evaluation.scarcity import SMALLEST
from melanoma_pl.evaluation.subgroups import UNKNOWN
from melanoma_pl.reporting.evaluation.content import Content, Mistake, SubgroupTable
from melanoma_pl.reporting.evaluation.words import figure, sentence, share
from melanoma_pl.reporting.words import amount

FEWEST = 50  # photos: with fewer, an ECE within what chance explains says nothing
WIDEST = 0.15  # of the ECE that chance explains: a wider range hides any error that matters
UNKNOWN_TONE = "Unknown: the border was too dark, grey or blue to tell."
MEANS = {"centre erased": "without the lesion", "border erased": "by the middle alone"}
"""By what some shortcuts reach their result; the others by what they are called."""


def headline(content: Content) -> str:
    """Return what the AUROC means, without its name."""
    estimate = content.sets[0].ranking.auroc if content.sets else Estimate(None, None, "no photos")
    if estimate.value is None:
        return f"The ranking cannot be judged: {estimate.reason or NOT_COMPUTABLE}"
    negative, positive = content.class_names
    pairs = "more than 99" if 0.995 <= estimate.value < 1 else f"{100 * estimate.value:.0f}"
    return (
        f"In {pairs} of 100 pairs of a {positive} and a {negative} photo, "
        f"the {positive} one gets the higher probability"
    )


def counted(content: Content) -> str:
    """Return "400 photos, 140 of them malignant (35 %)"."""
    of_all = f" ({share(content.positives / content.n)})" if content.n else ""
    return f"{amount(content.n, 'photo')}, {content.positives:,} of them {content.class_names[1]}{of_all}"


def calibration_verdict(content: Content) -> str:
    """Return what the ECE says, beside the one that chance alone would give."""
    found, expected = content.calibration[1].ece.value, content.calibration[1].ece_if_calibrated
    few = f"Whether the probabilities mean what they say: too few photos to say ({counted(content)})."
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
    """Return how many photos of either class were decided wrongly."""
    negative, positive = content.class_names
    missed, alarms = content.wrong.false_negatives, content.wrong.false_positives
    return (
        f"Wrongly called {negative}: {missed:,} of {amount(content.wrong.positives, f'{positive} photo')}. "
        f"Wrongly called {positive}: {alarms:,} of {amount(content.wrong.negatives, f'{negative} photo')}."
    )


def compared(mistake: Mistake) -> str:
    """Return how alike heat map and control are, or why nobody can say."""
    if not mistake.heat_map:
        return "no heat map"
    if mistake.map_is_empty:
        return "nothing speaks for this decision: no comparison"
    if mistake.control_is_empty:
        return "the shuffled network shows nothing: no comparison"
    if mistake.likeness is None:
        return "one of the maps is the same everywhere: no comparison"
    return f"heat map and control alike: {mistake.likeness:z.2f}".replace("-", "−")


def of_whom(content: Content) -> str:
    """Return what must be said of the heat maps; of an ensemble whose they are."""
    first = "Heat maps are of the first network alone." if content.members else ""
    return sentence(content.pictures_note) or first


def reached_without(content: Content) -> str:
    """Return "Without the lesion an AUROC of 0.848 is reached, by file facts alone 0.872"; nothing without problems."""
    found = [own for own in content.shortcuts if own.is_problem and own.auroc.value is not None]
    parts = [f"{MEANS.get(own.name, f'by {own.name} alone')} {figure(own.auroc)}" for own in found]
    if not parts:
        return ""
    means, value = parts[0].rsplit(" ", 1)
    return ", ".join([f"{means[:1].upper()}{means[1:]} an AUROC of {value} is reached", *parts[1:]])
