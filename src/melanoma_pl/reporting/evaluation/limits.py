"""What no figure of an evaluation can say, whoever made it."""

from melanoma_pl.reporting.evaluation.content import Content

ALWAYS = (
    "The figures hold for photos like these: other clinics, cameras, skin types and ages may give worse ones.",
    "Intervals say how far a figure could be off because there are only so many photos; they know nothing of photos "
    "that were chosen, labelled or split wrongly.",
    "Photos of one lesion or patient are no independent photos: where lesions are not known, intervals are too narrow.",
    "Nobody compared this network with a physician on these photos, nor watched it in use.",
)
ONE_OF_MANY = "Of many subgroups, one looks bad by chance: look again with other photos before believing it."
HEAT_MAPS = (
    "A heat map shows what in the picture speaks for the decision that was taken; it is no explanation of a diagnosis."
)


def limits(content: Content) -> tuple[str, ...]:
    """Return the limits that matter for what is reported."""
    has_maps = any(mistake.heat_map for mistake in (*content.false_negatives, *content.false_positives))
    return (*ALWAYS, *([ONE_OF_MANY] if content.subgroups else []), *([HEAT_MAPS] if has_maps else []))
