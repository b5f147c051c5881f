"""What no figure of an evaluation can say, whoever made it."""

from melanoma_pl.reporting.evaluation.content import Content
from melanoma_pl.reporting.words import amount

LIKE_THESE = "The figures hold for photos like these: other clinics, cameras, skin types and ages may give worse ones."
CHANCE_ALONE = (
    "Intervals say how far a figure could be off because there are only so many photos; they know nothing of photos "
    "that were chosen, labelled or split wrongly."
)
NO_LESIONS = (
    "Photos of one lesion or patient are no independent photos. Which of these photos show the same lesion is not "
    "known: if any do, all intervals are too narrow."
)
SOME_ALLOW = (
    "The intervals of AUROC by lesion, average precision, partial AUROC, specificity at a given sensitivity, ECE, "
    "Brier score, log loss, intercept and slope allow for that. All others (AUROC, sensitivity, specificity, accuracy, "
    "predictive values, bins of the reliability diagram, subgroups, shortcuts, robustness, members) take every photo "
    "for independent"
)
ONE_PATIENT = "No interval allows for several lesions of one patient."
NO_PHYSICIAN = "Nobody compared this network with a physician on these photos, nor watched it in use."
ONE_OF_MANY = "Of many subgroups, one looks bad by chance: look again with other photos before believing it."
HEAT_MAPS = (
    "A heat map shows what in the picture speaks for the decision that was taken; it is no explanation of a diagnosis."
)
HARDLY_MORE = 1.1  # photos a lesion: up to here, intervals that take photos for independent are less than a tenth short


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


def of_lesions(photos: int, lesions: int | None) -> str:
    """Return which intervals allow for several photos of a lesion, and whether that matters."""
    if lesions is None:
        return NO_LESIONS
    if lesions == photos:
        return f"Every photo shows another lesion. {ONE_PATIENT}"
    counted = f"These {photos:,} photos show {amount(lesions, 'different lesion')}"
    if photos <= HARDLY_MORE * lesions:
        return f"{counted}, most of them once. {SOME_ALLOW}, which here hardly matters. {ONE_PATIENT}"
    return f"{counted}, and photos of one lesion are alike. {SOME_ALLOW}: they are too narrow. {ONE_PATIENT}"
