"""Which photos of a set must stay on one side of its split: those of one patient, and those of one lesion."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from melanoma_pl.data.public_sets.tasks import Chosen


def group_photos(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Give each photo its group: its patient, as it or another photo of its lesion says, else its lesion.

    Patients with photos of one lesion, which only a mistake in the set's table explains, are one group.
    """
    from melanoma_pl.data.grouping import joined  # with SciPy

    facts = [photo.entry.facts for photo in chosen]
    patients = {fact.lesion: fact.patient for fact in facts if fact.lesion and fact.patient}
    groups = [fact.patient or patients.get(fact.lesion, fact.lesion) for fact in facts]
    names = [photo.entry.original for photo in chosen]
    groups = joined(groups, names, _lesions(chosen))
    return [replace(photo, group=group) for photo, group in zip(chosen, groups, strict=True)]


def _lesions(chosen: Sequence[Chosen]) -> list[list[str]]:
    """Return the photos of each lesion."""
    lesions = defaultdict(list)
    for photo in chosen:
        if photo.entry.facts.lesion:
            lesions[photo.entry.facts.lesion].append(photo.entry.original)
    return list(lesions.values())
