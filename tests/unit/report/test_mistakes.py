"""The worst mistakes and their heat maps."""

import numpy as np
from tests.unit.conftest import member

from melanoma_pl.inference.ensemble import Member, assemble
from melanoma_pl.report.mistakes import worst_mistakes


def test_the_worst_come_first_and_correct_ones_never(members: list[Member]) -> None:
    ensemble = assemble(members[:1])
    targets = members[0].evaluated.list_split("test").targets
    paths = members[0].evaluated.list_split("test").paths
    malignant = np.linspace(0.05, 0.95, 12)  # benign images come first
    malignant = np.where(targets == 1, 1 - malignant, malignant)
    missed, alarms = worst_mistakes(ensemble, "test", malignant, targets, 2)
    wrong = np.flatnonzero((malignant >= 0.5) != targets)
    expected = sorted(wrong[targets[wrong] == 1], key=lambda index: malignant[index])[:2]
    assert [mistake.path for mistake in missed] == [paths[index] for index in expected]
    assert [mistake.probability for mistake in missed] == sorted(mistake.probability for mistake in missed)
    assert all(mistake.label == "malignant" and mistake.probability < 0.5 for mistake in missed)
    assert all(mistake.label == "benign" and mistake.probability >= 0.5 for mistake in alarms)
    for mistake in (*missed, *alarms):
        for uri in (mistake.image, mistake.heat_map, mistake.control):
            assert uri.startswith("data:image/jpeg;base64,")


def test_nothing_is_shown_if_nothing_is_wrong_or_wanted(members: list[Member]) -> None:
    ensemble = assemble(members[:1])
    targets = members[0].evaluated.list_split("test").targets
    assert worst_mistakes(ensemble, "test", targets.astype(float), targets, 6) == ((), ())
    assert worst_mistakes(ensemble, "test", 1 - targets.astype(float), targets, 0) == ((), ())


def test_a_network_without_convolutions_has_no_maps(image_folder) -> None:  # type: ignore[no-untyped-def]
    from torch import nn

    one = member(image_folder)
    one.classifier.network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 1))
    targets = one.evaluated.list_split("test").targets
    missed, _ = worst_mistakes(assemble([one]), "test", 1 - targets.astype(float), targets, 1)
    assert (missed[0].heat_map, missed[0].control, missed[0].similarity) == ("", "", None)
