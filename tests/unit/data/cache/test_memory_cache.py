"""Images that do not fit into memory are read again: the same bits in the same order, on all cores."""

import gc
import warnings
from pathlib import Path
from threading import Barrier

import pytest
import torch
from tests.conftest import SIZE

from melanoma_pl.data.cache import memory_cache
from melanoma_pl.data.cache.memory_cache import LoadedImages, load_images
from melanoma_pl.data.decoding import Decoded, decode_file
from melanoma_pl.data.labelled_images import LabelledImages, list_split
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing

SHUFFLED = torch.tensor([7, 0, 39, 7, 12, 3, 25])


def load(root: Path, cache_fraction: float = 0.0) -> LoadedImages:
    return load_images(list_split(root, "train"), Preprocessing(SIZE), cache_fraction=cache_fraction)


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_the_same_bits_as_from_memory(threads: int, image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_cache, "THREADS", threads)
    cached, uncached = load(image_folder, cache_fraction=0.5), load(image_folder)
    assert cached.cache is not None
    assert uncached.cache is None
    for positions in (SHUFFLED, torch.arange(40), torch.tensor([5])):
        pixels = uncached.pixels(positions)
        assert torch.equal(pixels, cached.pixels(positions))
        assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_images_of_a_batch_are_read_at_once(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, both = load(image_folder), Barrier(2)

    def waiting(file: Path, preprocessing: Preprocessing) -> Decoded:
        both.wait(timeout=30)  # fails where nobody else reads meanwhile
        return decode_file(file, preprocessing)

    monkeypatch.setattr(memory_cache, "THREADS", 2)
    monkeypatch.setattr(memory_cache, "decode_file", waiting)
    filters = list(warnings.filters)
    assert len(loaded.pixels(torch.arange(8))) == 8
    assert warnings.filters == filters, "as they were"


def test_a_batch_does_not_list_every_file(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(image_folder)
    monkeypatch.setattr(LabelledImages, "files", property(lambda images: pytest.fail("all files were listed")))
    assert len(loaded.pixels(SHUFFLED)) == len(SHUFFLED)


def test_an_image_that_went_away_is_named(own_image_folder: Path) -> None:
    loaded = load(own_image_folder)
    gone = own_image_folder / loaded.images.paths[3]
    gone.unlink()
    with pytest.raises(UserError, match=f"{gone} was readable when the run started and no longer is"):
        loaded.pixels(torch.arange(8))
    assert len(loaded.pixels(torch.arange(3))) == 3, "the others are still read"


def test_the_fraction_holds_for_all_images_in_memory(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    held = sum(each.cache.nbytes for each in memory_cache.in_memory.values() if each.cache is not None)
    size = 40 * 3 * SIZE**2
    monkeypatch.setattr(memory_cache, "usable_memory", lambda: 2 * (held + size + size // 2))
    first = load(image_folder, cache_fraction=0.5)
    assert first.cache is not None
    assert load(image_folder, cache_fraction=0.5).cache is None
    del first
    assert load(image_folder, cache_fraction=0.5).cache is not None
    images = list_split(image_folder, "train")
    assert load_images(images, Preprocessing(SIZE), cache_fraction=0.5, processes=2).cache is None
