"""Pairs of images that might be copies of one image: few enough to compare their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from melanoma_pl.data.audit.perceptual_hash import CROPS, TURNS, Floats, coarse, fine, invariants, turned

Indices = NDArray[np.int64]

COARSE_SIMILARITY = 0.95  # copies with the six planted changes have 0.995 and more
FINE_SIMILARITY = 0.45  # copies have 0.95 and more; of other pairs that are coarsely similar, two thirds have less
SURE = 0.9
PER_IMAGE = 0.5  # doubtful candidates per image, on average, that are compared: keeps large datasets affordable
PARTNERS = 30  # of one image: enough to tie any number of copies together
FEW = 100  # as many doubtful candidates of a small dataset are compared
LEAST_CONTRAST = 2.0  # grey levels, standard deviation: below it an image shows nothing
MOST_IMAGES = 100_000  # the search is quadratic: six minutes for these, an hour and a half for ISIC 2024
CHUNK = 2048  # images looked up at a time


@dataclass(frozen=True)
class Candidate:
    """Two images of which the first is similar to a part of the second.

    Attributes:
        first: Index of the image that shows as much or less.
        second: Index of the other image.
        crop: Index into `CROPS`: the part of the second image.
        turn: Index into `TURNS`: how that part is turned.
        similarity: Correlation of their finer frequencies, -1 to 1.
    """

    first: int
    second: int
    crop: int
    turn: int
    similarity: float

    def among(self, indices: Sequence[int] | Indices) -> "Candidate":
        """Return the candidate with the indices of the longer list from which `indices` were taken."""
        return replace(self, first=int(indices[self.first]), second=int(indices[self.second]))


def find_candidates(grey: NDArray[np.uint8]) -> tuple[list[Candidate], int]:
    """Return pairs of images that may be copies, the most similar first, each pair once.

    Args:
        grey: uint8 `(N, S, S)`.

    Returns:
        The candidates, and the number of doubtful ones that were left out because there were too many.
    """
    shown = np.flatnonzero(grey.reshape(len(grey), -1).std(axis=1) >= LEAST_CONTRAST)
    if len(shown) < 2:
        return [], 0
    images = grey[shown]
    whole = coarse(images), fine(images)
    radius = float(np.sqrt(2 - 2 * COARSE_SIMILARITY))  # the distance of two unit vectors with this scalar product
    neighbours = NearestNeighbors(radius=radius, algorithm="brute").fit(invariants(whole[0]))
    best: dict[tuple[int, int], Candidate] = {}
    for crop in range(len(CROPS)):
        for start in range(0, len(images), CHUNK):
            for found in _look_up(neighbours, whole, images[start : start + CHUNK], start, crop):
                pair = (min(found.first, found.second), max(found.first, found.second))
                if pair not in best or found.similarity > best[pair].similarity:
                    best[pair] = found
    ranked = sorted(best.values(), key=lambda found: (-found.similarity, found.first, found.second))
    kept = sum(found.similarity >= SURE for found in ranked) + max(FEW, round(PER_IMAGE * len(grey)))
    return [found.among(shown) for found in ranked[:kept]], max(0, len(ranked) - kept)


def _look_up(
    neighbours: NearestNeighbors, whole: tuple[Floats, Floats], images: NDArray[np.uint8], start: int, crop: int
) -> list[Candidate]:
    """Return which of all images are similar to the same part of each of some images."""
    parts = coarse(images, crop), fine(images, crop)
    found = neighbours.radius_neighbors(invariants(parts[0]), return_distance=False)
    first = np.concatenate(found).astype(np.int64)
    part = np.repeat(np.arange(len(images)), [len(each) for each in found])
    # whole images are similar both ways: once is enough
    wanted = first < part + start if crop == 0 else first != part + start
    first, part = first[wanted], part[wanted]
    products = [_products(whole[0], turned(parts[0], turn), first, part) for turn in range(len(TURNS))]
    turns = np.asarray(np.argmax(products, axis=0), dtype=np.int64)  # in which each part lies best on its image
    similarity = np.zeros(len(first), dtype=np.float32)
    for turn in range(len(TURNS)):
        chosen = turns == turn
        similarity[chosen] = _products(whole[1], turned(parts[1], turn), first[chosen], part[chosen])
    return [
        Candidate(int(first[each]), int(part[each]) + start, crop, int(turns[each]), float(similarity[each]))
        for each in _best_of_each(part, similarity)
    ]


def _best_of_each(part: Indices, similarity: Floats) -> Indices:
    """Return the indices of the likely pairs, no more than `PARTNERS` of each part: copies of copies are many."""
    likely = np.flatnonzero(similarity >= FINE_SIMILARITY)
    ranked = likely[np.lexsort((-similarity[likely], part[likely]))]
    starts = np.searchsorted(part[ranked], part[ranked])  # where the part of each begins
    return ranked[np.arange(len(ranked)) - starts < PARTNERS]


def _products(whole: Floats, parts: Floats, first: Indices, part: Indices) -> Floats:
    """Return the scalar product of the directions of images and parts, a chunk at a time: float32 `(M,)`."""
    whole, parts = whole.reshape(len(whole), -1), parts.reshape(len(parts), -1)
    products = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), CHUNK):
        some = slice(start, start + CHUNK)
        products[some] = np.einsum("nd,nd->n", whole[first[some]], parts[part[some]])
    return products
