"""The short training of the notebooks: it trains, forgets its folder, and leaves logs and random numbers alone."""

import logging
import time
import warnings

import numpy as np
import pytest
import torch

from melanoma_pl import messages
from melanoma_pl.foundations import short_training
from melanoma_pl.foundations.short_training import initial_network, learn_large_kernels, quietly, train_briefly


def test_what_it_leaves():
    run = train_briefly(train=24, test=6, image_size=32, epochs=1)
    assert run.pixels.shape == (6, 3, 32, 32)
    assert run.pixels.dtype == torch.uint8
    assert run.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert not run.classifier.training
    assert run.classifier(run.pixels).shape == (6,)
    started = initial_network(32, seed=0).conv_1.weight
    assert 0 < (run.classifier.network.conv_1.weight - started).abs().max() < 0.1


def test_large_kernels_learn_and_leave_random_numbers_alone():
    pixels = torch.full((400, 3, 32, 32), 200, dtype=torch.uint8)
    targets = np.arange(400) % 2
    pixels[targets == 1, :, 12:20, 12:20] = 20  # a dark square is malignant
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    course = learn_large_kernels(pixels, targets, epochs=6, kernels=4, side=5)
    assert torch.rand(1) == expected
    assert course.kernels.shape == (7, 4, 3, 5, 5)
    assert torch.equal(course.kernels[-1], course.network[0].weight)
    with torch.inference_mode():
        answers = course.network(pixels / 255 - 0.5)[:, 0] > 0
    assert answers.tolist() == (targets == 1).tolist()
    again = learn_large_kernels(pixels, targets, epochs=6, kernels=4, side=5)
    assert torch.equal(again.kernels, course.kernels)


def test_a_training_is_not_a_pause_of_the_reading_before_it(monkeypatch, capsys):
    monkeypatch.setattr(messages, "EVERY", 0.05)
    with messages.Progress(1, "reading") as progress:
        progress.advance()
    capsys.readouterr()
    with quietly():
        time.sleep(0.04)
    time.sleep(0.03)
    with messages.Progress(1, "reading again") as progress:
        progress.advance()
    assert capsys.readouterr().err == ""


def test_a_slow_training_is_not_reported_as_slow_reading(monkeypatch, capsys):
    fit = short_training.pl.Trainer.fit

    def slow_fit(trainer, *arguments):
        fit(trainer, *arguments)
        messages.Progress.active = time.monotonic()
        messages.Progress.said = time.monotonic() - 2 * messages.EVERY

    monkeypatch.setattr(short_training.pl.Trainer, "fit", slow_fit)
    train_briefly(train=24, test=6, image_size=32, epochs=1)
    assert capsys.readouterr().err == ""


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
