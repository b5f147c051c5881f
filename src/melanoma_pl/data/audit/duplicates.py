"""Copies of an image: equal files, and candidate pairs that the comparison of their pixels confirms."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from melanoma_pl.data.audit.candidates import MOST_IMAGES, Candidate, find_candidates
from melanoma_pl.data.audit.findings import Kind
from melanoma_pl.data.audit.perceptual_hash import TURNS
from melanoma_pl.data.audit.registration import confirm, equal_pixels
from melanoma_pl.data.audit.scanning import Scan
from melanoma_pl.image_files import THREADS
from melanoma_pl.messages import Progress

ALL_PAIRS_UP_TO = 6  # equal files; of more, each is paired with the first
ENOUGH_PARTNERS = 12  # two images that both have as many are not compared any more
ALMOST_EQUAL = 0.99  # similarity: above it the pixels may be equal
BATCH = 32  # pairs that a core compares at once, so that their small images fit into its cache
ROUND = 8 * BATCH  # pairs after which the partners are counted again


@dataclass(frozen=True)
class Match:
    """Two images, by index, that are copies of one image or show one lesion; attributes as of `ImagePair`."""

    first: int
    second: int
    kind: Kind
    similarity: float | None
    turn: str

    @property
    def pair(self) -> tuple[int, int]:
        """The indices of the two images."""
        return self.first, self.second


def find_matches(scanned: Scan) -> tuple[list[Match], int]:
    """Find every pair of copies, equal files first; of more than `MOST_IMAGES` images, equal files only.

    Returns:
        The pairs, and the number of doubtful candidates that were not compared because there were too many.
    """
    exact, different = _exact([image.sha256 for image in scanned.images])
    if unsearched(scanned):
        return exact, 0
    grey = scanned.grey
    candidates, skipped = find_candidates(grey[different])
    near = _confirmed([candidate.among(different) for candidate in candidates], grey, scanned.listing.files)
    return [*exact, *near], skipped


def unsearched(scanned: Scan) -> str:
    """Return the sentence that there are too many images to look for near-duplicates; empty if there are not."""
    count = len(scanned.images)
    sentence = (
        f"Near-duplicates were not looked for, only equal files: {count:,} images are more than {MOST_IMAGES:,}, and "
        "the time for comparing each with all others grows with the square of their number."
    )
    return sentence if count > MOST_IMAGES else ""


def _exact(hashes: Sequence[str]) -> tuple[list[Match], list[int]]:
    """Return the pairs of equal hashes, and the index of the first image of each hash."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, content in enumerate(hashes):
        groups[content].append(index)
    matches = []
    for members in groups.values():
        pairs: Iterable[tuple[int, int]] = combinations(members, 2)
        if len(members) > ALL_PAIRS_UP_TO:
            pairs = ((members[0], member) for member in members[1:])
        matches += [Match(first, second, "exact", 1.0, TURNS[0]) for first, second in pairs]
    return matches, [members[0] for members in groups.values()]


def _confirmed(candidates: list[Candidate], grey: NDArray[np.uint8], files: Sequence[Path]) -> list[Match]:
    """Return the candidates that are copies, compared on all cores."""
    found: list[Match] = []
    partners: Counter[int] = Counter()
    compare = partial(confirm, grey=grey, files=files)
    progress = Progress(len(candidates), "comparing pixels", "pairs")
    with threadpool_limits(1), ThreadPoolExecutor(THREADS) as pool, progress:  # the matrices are small, the pairs many
        for start in range(0, len(candidates), ROUND):
            compared = [each for each in candidates[start : start + ROUND] if not _are_tied(each, partners)]
            batches = [compared[first : first + BATCH] for first in range(0, len(compared), BATCH)]
            values = chain.from_iterable(pool.map(compare, batches))
            for candidate, (similarity, is_same) in zip(compared, values, strict=True):
                if is_same and not _are_tied(candidate, partners):
                    partners.update((candidate.first, candidate.second))
                    found.append(_match(candidate, similarity, files))
            progress.advance(len(candidates[start : start + ROUND]))
    return found


def _are_tied(candidate: Candidate, partners: Counter[int]) -> bool:
    """Tell whether both images have enough partners already, so that they need not be compared."""
    return min(partners[candidate.first], partners[candidate.second]) >= ENOUGH_PARTNERS


def _match(candidate: Candidate, similarity: float, files: Sequence[Path]) -> Match:
    first, second = sorted((candidate.first, candidate.second))
    may_be_equal = candidate.crop == candidate.turn == 0 and similarity > ALMOST_EQUAL
    is_equal = may_be_equal and equal_pixels(files[first], files[second])
    value = 1.0 if is_equal else round(similarity, 4)
    return Match(first, second, "exact" if is_equal else "near", value, TURNS[candidate.turn])


def clusters_of(pairs: Iterable[tuple[int, int]], count: int) -> list[list[int]]:
    """Return which of `count` items belong together, directly or through others; single items are left out."""
    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, numbers = connected_components(graph, directed=False)
    members = defaultdict(list)
    for index in np.unique(edges).tolist():
        members[numbers[index]].append(index)
    return sorted(members.values())
