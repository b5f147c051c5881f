"""The order: a permutation, pure, shared fairly by ranks, and resumable in mid-epoch."""

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from melanoma_pl.data.order import EpochBatches, epoch_order


def indices_of(batches: EpochBatches) -> list[int]:
    return [index for _, indices in batches for index in indices.tolist()]


def sizes_of(batches: EpochBatches) -> list[int]:
    return [len(indices) for _, indices in batches]


class LabelledImages(Dataset):
    """Gives back what it is asked for."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, key: tuple[int, torch.Tensor]) -> dict[str, torch.Tensor | int]:
        epoch, indices = key
        return {"index": indices, "epoch": epoch}


def test_order_is_a_permutation():
    assert epoch_order(1000, seed=0, epoch=0).sort().values.tolist() == list(range(1000))


def test_order_is_pinned():
    assert epoch_order(10, seed=42, epoch=0).tolist() == [3, 2, 0, 6, 9, 7, 5, 4, 1, 8]
    assert epoch_order(10, seed=42, epoch=1).tolist() == [2, 6, 8, 4, 0, 1, 9, 3, 5, 7]


def test_order_differs_by_seed_and_epoch():
    orders = {tuple(epoch_order(50, seed, epoch).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_each_image_comes_first_about_equally_often():
    firsts = torch.tensor([int(epoch_order(5, seed=0, epoch=epoch)[0]) for epoch in range(1000)])
    chi_squared = float(((torch.bincount(firsts, minlength=5) - 200) ** 2 / 200).sum())

    assert chi_squared < 30  # 4 degrees of freedom: exceeded by chance once in 200 000


def test_order_needs_and_moves_no_generator():
    before = torch.get_rng_state()
    epoch_order(10, seed=0, epoch=0)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("count", "batch_size", "drop_last", "sizes"),
    [
        (10, 4, False, [4, 4, 2]),
        (10, 4, True, [4, 4]),
        (8, 4, False, [4, 4]),
        (8, 4, True, [4, 4]),
        (3, 4, False, [3]),
    ],
)
def test_batches_have_the_promised_sizes(count, batch_size, drop_last, sizes, shuffle):
    batches = EpochBatches(count, batch_size, seed=0, shuffle=shuffle, drop_last=drop_last)

    assert sizes_of(batches) == sizes
    assert len(batches) == len(sizes)


def test_batches_follow_the_order_of_their_epoch():
    batches = EpochBatches(10, 4, seed=3)
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        assert indices_of(batches) == epoch_order(10, 3, epoch).tolist()
        assert [number for number, _ in batches] == [epoch] * 3


def test_without_shuffling_every_epoch_is_in_order():
    batches = EpochBatches(10, 4, seed=3, shuffle=False)
    batches.set_epoch(5)

    assert indices_of(batches) == list(range(10))
    assert next(iter(batches))[0] == 5


def test_indices_are_int64():
    _, indices = next(iter(EpochBatches(10, 4, seed=0)))
    assert indices.dtype == torch.int64
    assert indices.shape == (4,)


def test_skip_leaves_out_batches_of_its_epoch_only():
    batches = EpochBatches(10, 4, seed=0)
    whole = indices_of(batches)
    batches.skip = 2

    assert len(batches) == 3
    assert indices_of(batches) == whole[8:]
    batches.set_epoch(0)
    assert indices_of(batches) == whole[8:], "a DataLoader with workers begins twice"
    batches.set_epoch(1)
    assert len(indices_of(batches)) == 10


def test_skipping_all_batches_leaves_an_empty_epoch():
    batches = EpochBatches(10, 4, seed=0, drop_last=True)
    batches.skip = len(batches)

    assert indices_of(batches) == []


def test_an_iteration_keeps_the_epoch_it_began_with():
    batches = EpochBatches(10, 4, seed=0)
    begun = iter(batches)
    batches.set_epoch(1)

    assert [epoch for epoch, _ in begun] == [0, 0, 0]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("count", [1, 2, 11, 12, 13])
@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_have_equally_many_batches_and_miss_no_image(count, world_size, shuffle):
    ranks = [EpochBatches(count, 2, seed=1, shuffle=shuffle, rank=r, world_size=world_size) for r in range(world_size)]
    parts = [indices_of(rank) for rank in ranks]

    assert len({tuple(sizes_of(rank)) for rank in ranks}) == 1
    assert set().union(*parts) == set(range(count))
    assert sum(len(part) for part in parts) - count < world_size  # as few twice as possible


def test_ranks_interleave_the_order_and_wrap_to_its_start():
    order = epoch_order(5, 0, 0).tolist()

    assert indices_of(EpochBatches(5, 4, seed=0, rank=0, world_size=2)) == order[::2]
    assert indices_of(EpochBatches(5, 4, seed=0, rank=1, world_size=2)) == [*order[1::2], order[0]]


def test_ranks_that_drop_the_last_share_no_image():
    ranks = [EpochBatches(13, 2, seed=0, drop_last=True, rank=rank, world_size=3) for rank in range(3)]
    seen = [index for rank in ranks for index in indices_of(rank)]

    assert [sizes_of(rank) for rank in ranks] == [[2, 2]] * 3
    assert len(set(seen)) == len(seen) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count is 0: allowed are 1 and more"),
        ({"batch_size": 0}, "batch_size is 0: allowed are 1 and more"),
        ({"world_size": 0}, "world_size is 0: allowed are 1 and more"),
        ({"rank": 2, "world_size": 2}, "rank is 2: allowed are 0 to 1"),
        ({"rank": -1}, "rank is -1: allowed are 0 to 0"),
        ({"batch_size": 11, "drop_last": True}, "batch_size is 11: allowed are 1 to 10 where drop_last is on"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        EpochBatches(**{"count": 10, "batch_size": 4, "seed": 0, **arguments})


def test_data_loader_hands_whole_batches_to_the_data_set():
    loader = DataLoader(LabelledImages(), sampler=EpochBatches(10, 4, seed=0), batch_size=None)
    loader.sampler.set_epoch(2)
    batches = list(loader)

    assert len(loader) == 3
    assert torch.equal(torch.cat([batch["index"] for batch in batches]), epoch_order(10, 0, 2))
    assert {batch["epoch"] for batch in batches} == {2}
