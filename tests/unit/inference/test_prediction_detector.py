"""The out-of-distribution detector learns from few images of very many."""

import numpy as np
import pytest
import torch

from melanoma_pl.evaluation.out_of_distribution import fit_detector
from melanoma_pl.inference import prediction
from melanoma_pl.inference.ensemble import Member
from melanoma_pl.inference.prediction import fit_ood_detector, predict_logits, split_batches
from melanoma_pl.models.features import tapped


def test_of_very_many_images_few_at_regular_intervals_are_learnt_from(
    members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, data = members[0].classifier, members[0].own
    seen: list[list[int]] = []
    monkeypatch.setattr(prediction, "MOST_FITTED", 5)
    monkeypatch.setattr(
        prediction,
        "split_batches",
        lambda split, title: seen.append(split.positions.tolist()) or split_batches(split, title),
    )
    assert fit_ood_detector(classifier, data)
    few = {"train": [0, 7, 15, 23, 31], "validation": [0, 1, 3, 5, 7]}
    assert seen == [data.split(name).positions[positions].tolist() for name, positions in few.items()]
    known = []
    for name, positions in few.items():
        with tapped(classifier.network) as collected:
            predict_logits(classifier, [data.split(name)[0, torch.tensor(positions)].pixels])
        known.append(torch.cat(collected).numpy())
    expected, found = fit_detector(*known), classifier.ood_detector
    assert expected is not None and found is not None
    np.testing.assert_array_equal(found.mean, expected.mean)
    assert found.threshold == expected.threshold
