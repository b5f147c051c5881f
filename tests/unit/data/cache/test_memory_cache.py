"""Photos that do not fit into memory are read again: the same bits in the same order, on all cores."""

import warnings
from pathlib import Path
from threading import Barrier

import pytest
import torch
from tests.conftest import SIZE

from melanoma_pl.data.cache import memory_cache
from melanoma_pl.data.cache.memory_cache import LoadedPhotos, load_photos
from melanoma_pl.data.decoding import Decoded, decode_file
from melanoma_pl.data.image_set import Photos, list_photos
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing

SHUFFLED = torch.tensor([7, 0, 39, 7, 12, 3, 25])


def load(root: Path, cache_share: float = 0.0) -> LoadedPhotos:
    return load_photos(list_photos(root, "train"), Preprocessing(SIZE), cache_share=cache_share)


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_the_same_bits_as_from_memory(threads: int, photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_cache, "THREADS", threads)
    cached, uncached = load(photo_folder, cache_share=0.5), load(photo_folder)
    assert cached.cache is not None
    assert uncached.cache is None
    for positions in (SHUFFLED, torch.arange(40), torch.tensor([5])):
        pixels = uncached.pixels(positions)
        assert torch.equal(pixels, cached.pixels(positions))
        assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_photos_of_a_batch_are_read_at_once(photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, both = load(photo_folder), Barrier(2)

    def waiting(file: Path, preprocessing: Preprocessing) -> Decoded:
        both.wait(timeout=30)  # fails where nobody else reads meanwhile
        return decode_file(file, preprocessing)

    monkeypatch.setattr(memory_cache, "THREADS", 2)
    monkeypatch.setattr(memory_cache, "decode_file", waiting)
    filters = list(warnings.filters)
    assert len(loaded.pixels(torch.arange(8))) == 8
    assert warnings.filters == filters, "as they were"


def test_a_batch_does_not_list_every_file(photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(photo_folder)
    monkeypatch.setattr(Photos, "files", property(lambda photos: pytest.fail("all files were listed")))
    assert len(loaded.pixels(SHUFFLED)) == len(SHUFFLED)


def test_a_photo_that_went_away_is_named(own_photo_folder: Path) -> None:
    loaded = load(own_photo_folder)
    gone = own_photo_folder / loaded.photos.paths[3]
    gone.unlink()
    with pytest.raises(UserError, match=f"{gone} was readable when the run started and no longer is"):
        loaded.pixels(torch.arange(8))
    assert len(loaded.pixels(torch.arange(3))) == 3, "the others are still read"
