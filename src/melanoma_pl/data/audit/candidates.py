"""Pairs of images that might be copies of one image: few enough to compare their pixels."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from melanoma_pl.data.audit.perceptual_hash import CROPS, TURNS, Floats, coarse, coefficients, fine, invariants, turned
from melanoma_pl.image_files import THREADS

Indices = NDArray[np.int64]
PAIR = np.dtype([("first", "i4"), ("second", "i4"), ("crop", "i1"), ("turn", "i1"), ("similarity", "f4")])

COARSE_SIMILARITY = 0.95  # copies with the six planted changes have 0.995 and more
FINE_SIMILARITY = 0.45  # copies have 0.95 and more; of other pairs that are coarsely similar, two thirds have less
SURE = 0.9
PER_IMAGE = 0.5  # doubtful candidates per image, on average, that are compared: keeps large datasets affordable
PARTNERS = 30  # of one image: enough to tie any number of copies together
FEW = 100  # as many doubtful candidates of a small dataset are compared
LEAST_CONTRAST = 2.0  # grey levels, standard deviation: below it an image shows nothing
MOST_IMAGES = 100_000  # comparing the keys is quadratic: minutes for these, more than an hour for ISIC 2024
CHUNK, COLUMNS = 512, 8192  # images looked up at a time, among as many: their similarities fit into the caches


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
    chunks = (grey[start : start + CHUNK] for start in range(0, len(grey), CHUNK))
    contrasts = [chunk.std(axis=(1, 2), dtype=np.float32) for chunk in chunks]
    shown = np.flatnonzero(np.concatenate(contrasts) >= LEAST_CONTRAST) if contrasts else np.arange(0)
    if len(shown) < 2:
        return [], 0
    images = grey[shown]
    transform = coefficients(images)
    whole = coarse(transform), fine(transform)
    look_up = partial(_look_up, images, whole, invariants(whole[0]))
    parts = [(crop, start) for crop in range(len(CROPS)) for start in range(0, len(images), CHUNK)]
    with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool:  # each chunk on one core
        pairs = _ranked(np.concatenate(list(pool.map(look_up, *zip(*parts, strict=True)))))
    kept = int((pairs["similarity"] >= SURE).sum()) + max(FEW, round(PER_IMAGE * len(grey)))
    return [Candidate(*pair).among(shown) for pair in pairs[:kept].tolist()], max(0, len(pairs) - kept)


def _look_up(
    images: NDArray[np.uint8], whole: tuple[Floats, Floats], keys: Floats, crop: int, start: int
) -> NDArray[np.void]:
    """Return which of all images are similar to the same part of each image of a chunk.

    Args:
        images: All images, uint8 `(N, S, S)`.
        whole: Their coarse and finer frequencies.
        keys: `invariants` of the coarse ones.
        crop: Index of the part in `CROPS`.
        start: Index of the first image of the chunk.

    Returns:
        The likely pairs, `PAIR` `(M,)`.
    """
    transform = coefficients(images[start : start + CHUNK], CROPS[crop])
    parts = coarse(transform), fine(transform)
    # whole images are similar both ways: once is enough
    part, first = _near(invariants(parts[0]), keys[: start + len(transform)] if crop == 0 else keys)
    wanted = first < part + start if crop == 0 else first != part + start
    first, part = first[wanted], part[wanted]
    products = [_products(whole[0], turned(parts[0], turn), first, part) for turn in range(len(TURNS))]
    turns = np.asarray(np.argmax(products, axis=0), dtype=np.int64)  # in which each part lies best on its image
    similarity = np.zeros(len(first), dtype=np.float32)
    for turn in range(len(TURNS)):
        chosen = turns == turn
        similarity[chosen] = _products(whole[1], turned(parts[1], turn), first[chosen], part[chosen])
    best = _best_of_each(part, similarity)
    pairs = np.empty(len(best), dtype=PAIR)
    pairs["first"], pairs["second"], pairs["crop"] = first[best], part[best] + start, crop
    pairs["turn"], pairs["similarity"] = turns[best], similarity[best]
    return pairs


def _near(parts: Floats, keys: Floats) -> tuple[Indices, Indices]:
    """Return the indices of the parts `(M, D)` and keys `(N, D)`, of length 1, that are coarsely similar."""
    rows, columns = [], []
    for start in range(0, len(keys), COLUMNS):
        block = keys[start : start + COLUMNS]
        found = np.flatnonzero(parts @ block.T >= COARSE_SIMILARITY)
        rows.append(found // len(block))
        columns.append(found % len(block) + start)
    return np.concatenate(rows), np.concatenate(columns)


def _ranked(pairs: NDArray[np.void]) -> NDArray[np.void]:
    """Return each pair of images once, as it is most similar; the most similar pairs come first."""
    low, high = np.minimum(pairs["first"], pairs["second"]), np.maximum(pairs["first"], pairs["second"])
    order = np.lexsort((-pairs["similarity"], high, low))
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)
    best = pairs[order[is_new]]
    return best[np.lexsort((best["second"], best["first"], -best["similarity"]))]


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
