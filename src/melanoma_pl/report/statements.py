"""Sentences of an evaluation's report: its headline, its counts, the interpretation of its figures, its limitations."""

from melanoma_pl.evaluation.checks import SMALLEST
from melanoma_pl.evaluation.outcomes import Decisions
from melanoma_pl.evaluation.strata import UNKNOWN
from melanoma_pl.messages import amount
from melanoma_pl.report.content import Content, Mistake, SubgroupTable
from melanoma_pl.report.measures import NOT_COMPUTABLE, figure, percent

FEWEST = 50  # images: with fewer, an ECE that chance explains says nothing
WIDEST = 0.15  # range of the ECE that chance explains: a wider one hides any relevant error
UNKNOWN_TONE = "Unknown: the border of the image was too dark, grey or blue for an estimate."
MEANS = {"centre erased": "without the lesion", "border erased": "from the centre alone"}

SIMILAR_IMAGES = (
    "The results apply to similar images. Performance may be worse at other clinics, with other cameras, and for other "
    "skin types or ages."
)
CHANCE_ALONE = (
    "The confidence intervals reflect only the limited number of images. They do not account for errors in the "
    "selection, the labels or the split of the images."
)
NO_LESIONS = (
    "Images of one lesion or patient are not independent. It is unknown which of these images show the same lesion; if "
    "any do, all intervals are too narrow."
)
CLUSTERED = (
    "The intervals of AUROC by lesion, average precision, partial AUROC, specificity at a given sensitivity, ECE, "
    "Brier score, log loss, intercept and slope account for this. All others (AUROC, sensitivity, specificity, "
    "accuracy, predictive values, bins of the reliability diagram, subgroups, shortcuts, robustness, members) treat "
    "the images as independent"
)
ONE_PATIENT = "No interval accounts for several lesions of one patient."
NO_PHYSICIAN = "The network has not been compared with physicians on these images or studied in clinical use."
MANY_SUBGROUPS = (
    "Among many subgroups, one may perform poorly by chance alone. Such a finding needs confirmation on other images."
)
HEAT_MAPS = "A heat map shows which image regions support the decision of the network. It does not explain a diagnosis."
HARDLY_MORE = 1.1  # images per lesion: up to here, ignoring lesions narrows intervals by less than a tenth


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


def named(decisions: Decisions) -> tuple[str, str]:
    """Return the name of the decisions and their threshold, or "threshold 0.5" alone if the name is that number."""
    if decisions.threshold is None:
        return decisions.name, ""
    threshold = f"threshold {decisions.threshold:.3g}"
    return (threshold, "") if decisions.name == f"{decisions.threshold:g}" else (decisions.name, threshold)


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


def mistakes(content: Content) -> str:
    """Return the numbers of false negatives and false positives."""
    (negative, positive), counts = content.class_names, content.confusion
    return (
        f"False negatives: {counts.false_negatives:,} of {amount(counts.positives, f'{positive} image')}. "
        f"False positives: {counts.false_positives:,} of {amount(counts.negatives, f'{negative} image')}."
    )


def has_maps(content: Content) -> bool:
    """Return whether any heat map is shown."""
    return any(mistake.heat_map for mistake in (*content.false_negatives, *content.false_positives))


def maps_note(content: Content) -> str:
    """Return whose heat maps an ensemble's report shows; nothing for a single network."""
    return f"The heat maps are those of {content.members[0].name} alone." if content.members else ""


def compared(mistake: Mistake) -> str:
    """Return the correlation of heat map and control, or the reason why there is none."""
    if not mistake.heat_map:
        return "no heat map"
    if mistake.map_is_empty:
        return "no region supports this decision: no correlation"
    if mistake.control_is_empty:
        return "the control is empty: no correlation"
    if mistake.similarity is None:
        return "one of the maps is constant: no correlation"
    return f"correlation of heat map and control: {mistake.similarity:z.2f}".replace("-", "−")


def limits(content: Content) -> tuple[str, ...]:
    """Return the limitations that apply to this report."""
    return (
        SIMILAR_IMAGES,
        CHANCE_ALONE,
        of_lesions(content.n, content.lesions),
        NO_PHYSICIAN,
        *([MANY_SUBGROUPS] if content.subgroups else []),
        *([HEAT_MAPS] if has_maps(content) else []),
    )


def of_lesions(images: int, lesions: int | None) -> str:
    """Return which intervals account for several images of a lesion, and whether that matters."""
    if lesions is None:
        return NO_LESIONS
    if lesions == images:
        return f"Each image shows a different lesion. {ONE_PATIENT}"
    shown = f"These {images:,} images show {amount(lesions, 'different lesion')}"
    if images <= HARDLY_MORE * lesions:
        return f"{shown}, most of them once. {CLUSTERED}, which hardly matters here. {ONE_PATIENT}"
    return f"{shown}, and images of one lesion resemble each other. {CLUSTERED} and are too narrow. {ONE_PATIENT}"


def sentence(text: str) -> str:
    """Return a text with its full stop; an empty text stays empty."""
    ended = text.rstrip()
    return ended if ended.endswith((".", "!", "?", "…")) or not ended else f"{ended}."
