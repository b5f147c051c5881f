"""Copies of an image: equal files, and candidate pairs that the comparison of their pixels confirms."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
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
from melanoma_pl.messages import counted

ALL_PAIRS_UP_TO = 6  # equal files; of more, each is paired with the first
ENOUGH_PARTNERS = 12  # two images that both have as many are not compared any more
ALMOST_EQUAL = 0.99  # similarity: above it the pixels may be equal


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
    """Return the candidates that are copies; on one core, as most of the work is Python's own."""
    found: list[Match] = []
    partners: Counter[int] = Counter()
    with threadpool_limits(1):  # the matrices are small, the pairs many
        for candidate in counted(candidates, "comparing pixels", "pairs"):
            if min(partners[candidate.first], partners[candidate.second]) >= ENOUGH_PARTNERS:
                continue
            similarity, is_same = confirm(candidate, grey, files)
            if is_same:
                partners.update((candidate.first, candidate.second))
                first, second = sorted((candidate.first, candidate.second))
                may_be_equal = candidate.crop == candidate.turn == 0 and similarity > ALMOST_EQUAL
                is_equal = may_be_equal and equal_pixels(files[first], files[second])
                value = 1.0 if is_equal else round(similarity, 4)
                found.append(Match(first, second, "exact" if is_equal else "near", value, TURNS[candidate.turn]))
    return found


def clusters_of(pairs: Iterable[tuple[int, int]], count: int) -> list[list[int]]:
    """Return which of `count` items belong together, directly or through others; single items are left out."""
    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, numbers = connected_components(graph, directed=False)
    members = defaultdict(list)
    for index in np.unique(edges).tolist():
        members[numbers[index]].append(index)
    return sorted(members.values())
