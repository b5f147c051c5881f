"""Pairs of images that might be one image: few enough to look at their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from melanoma_pl.data.audit.perceptual_hash import (
    COARSE,
    CROPS,
    FINE,
    FINE_FROM,
    TURNS,
    Floats,
    invariants,
    spectrum,
    turned,
    unit,
)

COARSE_SIMILARITY = 0.95  # copies with the six planted changes have 0.995 and more
FINE_SIMILARITY = 0.45  # copies have 0.95 and more; of other pairs that are alike coarsely, two thirds have less
SURE = 0.9
PER_IMAGE = 0.5  # doubtful candidates an image, on average, that are looked at: keeps large sets affordable
PARTNERS = 30  # of one image: enough to tie any number of copies together
FEW = 100  # of a small set as many are looked at
LEAST_CONTRAST = 2.0  # grey levels, standard deviation: below it a picture shows nothing
CHUNK = 2048  # images asked for at a time


@dataclass(frozen=True)
class Candidate:
    """Image `first`, and the part `crop` of image `second` in turn `turn`, are alike.

    Attributes:
        first: Position of the image that shows as much or less.
        second: Position of the other.
        crop: Index into `CROPS`.
        turn: Index into `TURNS`.
        likeness: Correlation of their finer frequencies, -1 to 1.
    """

    first: int
    second: int
    crop: int
    turn: int
    similarity: float

    def among(self, positions: Sequence[int] | NDArray[np.int64]) -> "Candidate":
        """Return it with the positions of a longer list, of which `positions` were looked at."""
        return replace(self, first=int(positions[self.first]), second=int(positions[self.second]))


def find_candidates(grey: NDArray[np.uint8]) -> tuple[list[Candidate], int]:
    """Return pairs that may be one image, the most alike first, each pair once.

    Args:
        grey: uint8 `(N, S, S)`.

    Returns:
        The candidates, and how many doubtful ones were left out because there were too many.
    """
    shown = np.flatnonzero(grey.reshape(len(grey), -1).std(axis=1) >= LEAST_CONTRAST)
    if len(shown) < 2:
        return [], 0
    pictures = grey[shown]
    coarse, fine = _directions(spectrum(pictures, COARSE)), _fine(pictures)
    index = NearestNeighbors(radius=_distance(COARSE_SIMILARITY), algorithm="brute").fit(invariants(coarse))
    best: dict[tuple[int, int], Candidate] = {}
    for crop in range(len(CROPS)):
        for start in range(0, len(pictures), CHUNK):
            for found in _look_up(index, coarse, fine, pictures[start : start + CHUNK], start, crop):
                pair = (min(found.first, found.second), max(found.first, found.second))
                if pair not in best or found.similarity > best[pair].similarity:
                    best[pair] = found
    ranked = sorted(best.values(), key=lambda found: (-found.similarity, found.first, found.second))
    kept = sum(found.similarity >= SURE for found in ranked) + max(FEW, round(PER_IMAGE * len(grey)))
    return [found.among(shown) for found in ranked[:kept]], max(0, len(ranked) - kept)


def _look_up(
    index: NearestNeighbors, coarse: Floats, fine: Floats, pictures: NDArray[np.uint8], start: int, crop: int
) -> list[Candidate]:
    """Return which images are alike to the same part of each of some images."""
    part_coarse = _directions(spectrum(pictures, COARSE, CROPS[crop]))
    neighbours = index.radius_neighbors(invariants(part_coarse), return_distance=False)
    first = np.concatenate(neighbours).astype(np.int64)
    part = np.repeat(np.arange(len(pictures)), [len(found) for found in neighbours])
    # whole images are alike both ways: once is enough
    wanted = first < part + start if crop == 0 else first != part + start
    first, part = first[wanted], part[wanted]
    turns = _best_turns(coarse, part_coarse, first, part)
    similarity = _similarity(fine, _fine(pictures, crop), first, part, turns)
    return [
        Candidate(int(first[each]), int(part[each]) + start, crop, int(turns[each]), float(similarity[each]))
        for each in _best_of_each(part, similarity)
    ]


def _best_of_each(part: NDArray[np.int64], similarity: Floats) -> NDArray[np.int64]:
    """Return the positions of the likely pairs, no more than `PARTNERS` of each part: copies of copies are many."""
    likely = np.flatnonzero(similarity >= FINE_SIMILARITY)
    ranked = likely[np.lexsort((-similarity[likely], part[likely]))]
    starts = np.searchsorted(part[ranked], part[ranked])  # where the part of each begins
    return ranked[np.arange(len(ranked)) - starts < PARTNERS]


def _best_turns(whole: Floats, parts: Floats, first: NDArray[np.int64], part: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return in which of the eight turns each part lies best on its image: int64 `(M,)`."""
    products = [_products(whole, turned(parts, turn), first, part) for turn in range(len(TURNS))]
    return np.asarray(np.argmax(products, axis=0), dtype=np.int64)


def _similarity(
    whole: Floats, parts: Floats, first: NDArray[np.int64], part: NDArray[np.int64], turns: NDArray[np.int64]
) -> Floats:
    """Return the correlation of each image with its part as it was turned: float32 `(M,)`."""
    similarity = np.zeros(len(first), dtype=np.float32)
    for turn in range(len(TURNS)):
        chosen = turns == turn
        similarity[chosen] = _products(whole, turned(parts, turn), first[chosen], part[chosen])
    return similarity


def _products(whole: Floats, parts: Floats, first: NDArray[np.int64], part: NDArray[np.int64]) -> Floats:
    """Return the scalar product of the directions of images and parts, a chunk at a time: float32 `(M,)`."""
    whole, parts = whole.reshape(len(whole), -1), parts.reshape(len(parts), -1)
    products = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), CHUNK):
        some = slice(start, start + CHUNK)
        products[some] = np.einsum("nd,nd->n", whole[first[some]], parts[part[some]])
    return products


def _fine(pictures: NDArray[np.uint8], crop: int = 0) -> Floats:
    return _directions(spectrum(pictures, FINE, CROPS[crop], lowest=FINE_FROM))


def _directions(spectra: Floats) -> Floats:
    """Return spectra with the length 1, so that their products are correlations."""
    return unit(spectra).reshape(spectra.shape)


def _distance(similarity: float) -> float:
    """Return the distance of two vectors of length 1 whose scalar product is `likeness`."""
    return float(np.sqrt(2 - 2 * similarity))
