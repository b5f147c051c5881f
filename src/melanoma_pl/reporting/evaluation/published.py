"""What others reached, to be set beside a result: never on the same photos, and said so wherever it is drawn."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedPoint:
    """An operating point from a publication.

    Attributes:
        name: Who decided.
        sensitivity: In [0, 1].
        specificity: In [0, 1].
        photos: On which photos.
        source: The publication.
    """

    name: str
    sensitivity: float
    specificity: float
    photos: str
    source: str


DERMATOLOGISTS = PublishedPoint(
    name="eight dermatologists",
    sensitivity=0.82,
    specificity=0.59,
    photos="100 photos of the ISBI 2016 challenge",
    source="Marchetti et al., J Am Acad Dermatol 78:270–277, 2018",
)
PUBLISHED = (DERMATOLOGISTS,)
