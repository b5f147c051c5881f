"""The search for similar pairs loses none that a comparison of every image with every other finds, and stays small."""

import numpy as np
import pytest
from numpy.typing import NDArray

from melanoma_pl.data.audit import candidates, duplicates
from melanoma_pl.data.audit.candidates import COARSE_SIMILARITY, FINE_SIMILARITY, find_candidates
from melanoma_pl.data.audit.perceptual_hash import CROPS, TURNS, coarse, coefficients, fine, turned, turned_image
from melanoma_pl.data.audit.scanning import FileFacts, Scan, Scanned
from melanoma_pl.data.labelled_images import LabelledImages

Grey = NDArray[np.uint8]


def smooth(generator: np.random.Generator, cells: int) -> NDArray[np.float64]:
    """Return a random image `(64, 64)` between -1 and 1, interpolated from a few cells."""
    hats = np.array([np.interp(np.linspace(0, cells - 1, 64), range(cells), row) for row in np.eye(cells)])
    return np.asarray(hats.T @ generator.uniform(-1, 1, (cells, cells)) @ hats)


def unlike(count: int) -> list[Grey]:
    """Return images whose coarse layouts differ."""
    generator = np.random.default_rng(3)
    return [(128 + 90 * smooth(generator, 9) + 25 * smooth(generator, 30)).astype(np.uint8) for _ in range(count)]


def alike(count: int) -> Grey:
    """Return images of one coarse layout, each with its own detail, `(N, 64, 64)`."""
    generator = np.random.default_rng(5)
    layout = 128 + 80 * smooth(generator, 6)
    return np.array([layout + 12 * smooth(generator, 30) for _ in range(count)]).astype(np.uint8)


def pairs_of(grey: Grey) -> set[tuple[int, int]]:
    return {(min(each.first, each.second), max(each.first, each.second)) for each in find_candidates(grey)[0]}


def brute_force(grey: Grey) -> dict[tuple[int, int], float]:
    """Return every similar pair and its similarity: all crops and turns of all images, compared one by one."""
    found: dict[tuple[int, int], float] = {}
    whole = coefficients(grey)
    for box in CROPS:
        part = coefficients(grey, box)
        likeness, similarity = (
            np.stack([np.einsum("nij,mij->nm", form(whole), turned(form(part), turn)) for turn in range(len(TURNS))])
            for form in (coarse, fine)
        )
        turns = likeness.argmax(axis=0)[None]
        likeness, similarity = (np.take_along_axis(each, turns, axis=0)[0] for each in (likeness, similarity))
        for first, second in np.argwhere((likeness >= COARSE_SIMILARITY) & (similarity >= FINE_SIMILARITY)).tolist():
            pair = (min(first, second), max(first, second))
            if first != second:
                found[pair] = max(found.get(pair, -1), float(similarity[first, second]))
    return found


@pytest.mark.parametrize(("chunk", "columns"), [(512, 8192), (7, 5), (1, 1)])
def test_every_pair_that_brute_force_finds_is_found(chunk: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [*unlike(12), *alike(6)]
    copies = [np.ascontiguousarray(turned_image(images[turn], turn)) for turn in range(len(TURNS))]
    grey = np.stack([*images, *copies])
    monkeypatch.setattr(candidates, "CHUNK", chunk)
    monkeypatch.setattr(candidates, "COLUMNS", columns)
    expected = brute_force(grey)
    found = {(min(each.first, each.second), max(each.first, each.second)): each for each in find_candidates(grey)[0]}
    assert {(turn, len(images) + turn) for turn in range(1, len(TURNS))} < expected.keys() <= found.keys()
    assert len(expected) >= 20
    for pair, similarity in expected.items():
        assert found[pair].similarity == pytest.approx(similarity, abs=1e-4)
    for each in found.values():  # turns of one layout may be told apart by the sum of their frequencies only
        assert each.similarity >= FINE_SIMILARITY


def test_the_order_of_images_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "CHUNK", 16)
    monkeypatch.setattr(candidates, "FEW", 1000)
    grey = np.concatenate([alike(25), np.stack(unlike(10))])
    order = np.random.default_rng(0).permutation(len(grey))
    moved = {tuple(sorted((int(order[first]), int(order[second])))) for first, second in pairs_of(grey[order])}
    assert moved == pairs_of(grey)
    assert len(moved) > 100


def test_the_comparisons_of_pixels_grow_with_the_images_not_with_their_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for number in (200, 600):
        grey = alike(number)
        compared: list[object] = []
        images = tuple(
            Scanned(FileFacts(0, "PNG"), str(index), image, np.zeros(3, np.float32), np.zeros(84, np.float32))
            for index, image in enumerate(grey)
        )
        paths = tuple(f"{index}.png" for index in range(number))
        listing = LabelledImages(duplicates.Path(), paths, ("",) * number, ("",) * number)

        def confirm(pairs: list[object], compared: list[object] = compared, **_: object) -> list[tuple[float, bool]]:
            compared.extend(pairs)
            return [(0.0, False)] * len(pairs)

        monkeypatch.setattr(duplicates, "confirm", confirm)
        matches, skipped = duplicates.find_matches(Scan(listing, images, {}))
        assert matches == []
        assert skipped > 5 * len(compared)
        counts.append(len(compared))
    assert counts == [100, 300]
