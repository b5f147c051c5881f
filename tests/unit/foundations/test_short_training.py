"""The short training of the notebooks: it trains, forgets its folder, and leaves logs and random numbers alone."""

import logging
import warnings

import pytest
import torch

from melanoma_pl.foundations.short_training import initial_network, quietly, train_briefly


def test_what_it_leaves():
    run = train_briefly(train=24, test=6, image_size=32, epochs=1)
    assert run.pixels.shape == (6, 3, 32, 32)
    assert run.pixels.dtype == torch.uint8
    assert run.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert not run.classifier.training
    assert run.classifier(run.pixels).shape == (6,)
    started = initial_network(32, seed=0).conv_1.weight
    assert 0 < (run.classifier.network.conv_1.weight - started).abs().max() < 0.1


def test_initial_weights_depend_on_the_seed_alone_and_take_no_random_number():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = initial_network(32, seed=1)
    assert torch.rand(1) == expected
    assert torch.equal(first.conv_1.weight, initial_network(32, seed=1).conv_1.weight)
    assert not torch.equal(first.conv_1.weight, initial_network(32, seed=2).conv_1.weight)


def test_quiet_ends_also_after_an_error():
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    with pytest.raises(ValueError, match="loud"), quietly():
        warnings.warn("not heard", UserWarning, stacklevel=1)
        assert logger.level == logging.ERROR
        raise ValueError("loud")
    assert logger.level == level
    with pytest.raises(UserWarning, match="heard"):
        warnings.warn("heard", UserWarning, stacklevel=1)
