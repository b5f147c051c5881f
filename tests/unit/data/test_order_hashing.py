"""The hash: Vigna's reference numbers, uniform, and without memory or correlation."""

import pytest
import torch
from scipy.stats import kstest

from melanoma_pl.data.order import AUGMENTATION_STREAM, ORDER_STREAM, hashes, splitmix64, uniform

IMAGES = torch.arange(4000)
# Outputs for seed 1234567, as published at https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64.
PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def reference_splitmix64(seed: int, count: int) -> list[int]:
    """Vigna's splitmix64.c, word for word, in integers of any size."""
    word = 2**64 - 1
    state, numbers = seed & word, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & word
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & word
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & word
        numbers.append(mixed ^ (mixed >> 31))
    return numbers


def as_unsigned(values: torch.Tensor) -> list[int]:
    return [value % 2**64 for value in values.tolist()]


def correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([first, second]))[0, 1])


def test_reference_gives_the_published_numbers():
    assert reference_splitmix64(1234567, 5) == PUBLISHED


@pytest.mark.parametrize("seed", [1234567, 0, 1, -1, 2**63 - 1, -(2**63), 0x123456789ABCDEF])
def test_splitmix64_is_the_reference(seed):
    assert as_unsigned(splitmix64(torch.tensor(seed), torch.arange(200))) == reference_splitmix64(seed, 200)


def test_hashes_are_a_chain_of_reference_generators():
    seed, stream, epoch, index = 42, 1, 7, 3
    state = seed
    for number in (stream, epoch, index):
        state = reference_splitmix64(state, number + 1)[-1]

    assert as_unsigned(hashes(seed, epoch, torch.tensor([index]), 4, stream)[0]) == reference_splitmix64(state, 4)


def test_uniform_is_the_upper_53_bits():
    bits = as_unsigned(hashes(5, 2, torch.arange(10), 1)[:, 0])

    assert uniform(5, 2, torch.arange(10), 1)[:, 0].tolist() == [(value >> 11) / 2**53 for value in bits]


def test_numbers_are_pinned():
    assert uniform(42, 3, torch.tensor([17]), 2, AUGMENTATION_STREAM).tolist() == [
        [0.722351394068463, 0.883627972470134]
    ]


@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (0, 1), (42, 100), (2**32 - 1, 7)])
def test_each_column_is_uniform(seed, epoch):
    numbers = uniform(seed, epoch, IMAGES, 6)

    assert numbers.dtype == torch.float64
    assert numbers.shape == (4000, 6)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert min(kstest(column, "uniform").pvalue for column in numbers.T.numpy()) > 1e-4


def test_low_bits_are_uniform_too():
    counts = torch.bincount(hashes(0, 0, IMAGES, 1)[:, 0] & 15, minlength=16)
    chi_squared = float(((counts - 250) ** 2 / 250).sum())

    assert chi_squared < 50  # 15 degrees of freedom: exceeded by chance once in 80 000


def test_neighbouring_seeds_epochs_streams_columns_and_images_do_not_correlate():
    first = uniform(0, 0, IMAGES, 2)
    others = [
        uniform(1, 0, IMAGES, 1)[:, 0],
        uniform(0, 1, IMAGES, 1)[:, 0],
        uniform(0, 0, IMAGES, 1, stream=1)[:, 0],
        first[:, 1],
        first[:, 0].roll(1),
    ]

    assert max(abs(correlation(first[:, 0], other)) for other in others) < 5 / 4000**0.5


def test_seed_epoch_and_stream_cannot_be_exchanged():
    variants = {(1, 2, 0), (2, 1, 0), (0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 0, 1), (0, 0, 0)}
    assert len({hashes(seed, epoch, IMAGES[:1], 1, stream).item() for seed, epoch, stream in variants}) == len(variants)


def test_an_image_gets_the_same_numbers_whatever_is_asked_beside_it():
    together = uniform(7, 5, IMAGES, 8)

    assert torch.equal(uniform(7, 5, IMAGES[[31, 5, 31]], 8), together[[31, 5, 31]])
    assert torch.equal(uniform(7, 5, IMAGES, 3), together[:, :3])


def test_indices_may_be_smaller_integers():
    assert torch.equal(uniform(7, 5, IMAGES.int(), 1), uniform(7, 5, IMAGES, 1))


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    uniform(0, 0, IMAGES, 1)

    assert torch.equal(torch.get_rng_state(), before)


def test_streams_differ():
    assert ORDER_STREAM != AUGMENTATION_STREAM


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_gives_the_same_bits():
    assert torch.equal(uniform(3, 4, IMAGES.cuda(), 5).cpu(), uniform(3, 4, IMAGES, 5))
