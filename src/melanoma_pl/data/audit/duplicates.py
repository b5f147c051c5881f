"""The same image twice: equal files, candidates that are confirmed on pixels; and what belongs together."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from melanoma_pl.data.audit.candidates import Candidate, find_candidates
from melanoma_pl.data.audit.perceptual_hash import TURNS
from melanoma_pl.data.audit.registration import confirm, equal_pixels, may_be_equal
from melanoma_pl.data.audit.scanning import Scan

ALL_PAIRS_UP_TO = 6  # equal files; of more, each is paired with the first
TIED = 12  # partners: images that both have as many are not compared any more


@dataclass(frozen=True)
class Match:
    """Two images, by position, that are one image or two of one lesion from the same place."""

    first: int
    second: int
    kind: Literal["exact", "near"]
    similarity: float
    turn: str


@dataclass(frozen=True)
class Matches:
    """All that were found, and how many doubtful candidates were not looked at because there were too many."""

    matches: tuple[Match, ...]
    not_looked_at: int = 0

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The positions of each two images."""
        return [(match.first, match.second) for match in self.matches]


def find_matches(scanned: Scan) -> Matches:
    """Find every pair of images that is one image, equal files first."""
    exact, unlike = _exact([image.sha256 for image in scanned.images])
    grey = scanned.grey
    candidates, left_out = find_candidates(grey[unlike])
    near = _confirmed([candidate.among(unlike) for candidate in candidates], grey, scanned.listing.files)
    return Matches((*exact, *near), left_out)


def _exact(hashes: Sequence[str]) -> tuple[list[Match], list[int]]:
    """Return the pairs of equal hashes, and the position of the first image of each hash."""
    groups: dict[str, list[int]] = defaultdict(list)
    for position, content in enumerate(hashes):
        groups[content].append(position)
    matches = []
    for members in groups.values():
        pairs: Iterable[tuple[int, int]] = combinations(members, 2)
        if len(members) > ALL_PAIRS_UP_TO:
            pairs = ((members[0], member) for member in members[1:])
        matches += [Match(first, second, "exact", 1.0, TURNS[0]) for first, second in pairs]
    return matches, [members[0] for members in groups.values()]


def _confirmed(candidates: list[Candidate], grey: NDArray[np.uint8], files: Sequence[Path]) -> list[Match]:
    """Return the candidates that are one image; on one core, as most of it is Python's own work."""
    found: list[Match] = []
    partners: Counter[int] = Counter()
    with threadpool_limits(1):  # the matrices are small, the pairs many
        for candidate in tqdm(candidates, "comparing pixels", leave=False, disable=None, unit=" pairs"):
            if min(partners[candidate.first], partners[candidate.second]) >= TIED:
                continue
            confirmation = confirm(candidate, grey, files)
            if confirmation.is_same:
                partners.update((candidate.first, candidate.second))
                first, second = sorted((candidate.first, candidate.second))
                is_equal = may_be_equal(candidate, confirmation) and equal_pixels(files[first], files[second])
                value = 1.0 if is_equal else round(confirmation.similarity, 4)
                found.append(Match(first, second, "exact" if is_equal else "near", value, TURNS[candidate.turn]))
    return found


def clusters_of(pairs: Iterable[tuple[int, int]], count: int) -> list[list[int]]:
    """Return which of `count` things belong together, directly or through others; singles are left out."""
    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, numbers = connected_components(graph, directed=False)
    members = defaultdict(list)
    for position in np.unique(edges).tolist():
        members[numbers[position]].append(position)
    return sorted(members.values())


def cluster_images(scanned: Scan) -> tuple[tuple[str, ...], ...]:
    """Return which images belong together by their pixels, as sorted paths; singles are left out."""
    paths = scanned.listing.paths
    clusters = clusters_of(find_matches(scanned).pairs, len(paths))
    return tuple(tuple(paths[member] for member in members) for members in clusters)
