"""The worst mistakes, and who made them."""

import numpy as np
from tests.unit.conftest import member

from melanoma_pl.inference.ensemble import Ensemble, Member
from melanoma_pl.report.mistakes import worst_mistakes


def test_the_worst_come_first_and_right_ones_never(members: list[Member]) -> None:
    panel = Ensemble.of_one(members[0])
    targets = members[0].evaluated.list_split("test").targets
    paths = members[0].evaluated.list_split("test").paths
    malignant = np.linspace(0.05, 0.95, 12)  # benign images come first
    malignant = np.where(targets == 1, 1 - malignant, malignant)
    missed, alarms = worst_mistakes(panel, "test", malignant, targets, 2)
    wrong = np.flatnonzero((malignant >= 0.5) != targets)
    expected = sorted(wrong[targets[wrong] == 1], key=lambda index: malignant[index])[:2]
    assert [mistake.path for mistake in missed] == [paths[index] for index in expected]
    assert [mistake.probability for mistake in missed] == sorted(mistake.probability for mistake in missed)
    assert all(mistake.label == "malignant" and mistake.probability < 0.5 for mistake in missed)
    assert all(mistake.label == "benign" and mistake.probability >= 0.5 for mistake in alarms)
    for mistake in (*missed, *alarms):
        for picture in (mistake.image, mistake.heat_map, mistake.control):
            assert picture.startswith("data:image/jpeg;base64,")


def test_none_wrong_none_wanted_none_shown(members: list[Member]) -> None:
    panel = Ensemble.of_one(members[0])
    targets = members[0].evaluated.list_split("test").targets
    assert worst_mistakes(panel, "test", targets.astype(float), targets, 6) == ((), ())
    assert worst_mistakes(panel, "test", 1 - targets.astype(float), targets, 0) == ((), ())


def test_a_network_without_convolutions_has_no_maps(image_folder) -> None:  # type: ignore[no-untyped-def]
    from torch import nn

    one = member(image_folder)
    one.classifier.network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 1))
    targets = one.evaluated.list_split("test").targets
    missed, _ = worst_mistakes(Ensemble.of_one(one), "test", 1 - targets.astype(float), targets, 1)
    assert (missed[0].heat_map, missed[0].control, missed[0].similarity) == ("", "", None)
