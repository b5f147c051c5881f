from dataclasses import replace

import pytest
from tests.unit.report.evaluation_examples import bare_content, full_content

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.report.content import LEVELS, Caveat, Content, Shortcut
from melanoma_pl.report.verdict import further_warnings, verdict

SEEN = Caveat("seen", "Validated on the test images.")
LEAK = Caveat("leak", "12 of 400 test images show a lesion that is also in train.")
SYNTHETIC = Caveat("synthetic", "Drawn by a program.")
FEW = Caveat("few", "only 7 malignant images: the estimates are imprecise")
RIVAL = Shortcut(
    "file facts", "", Estimate(0.91, (0.88, 0.94)), Estimate(-0.005, (-0.03, 0.02)), "It is as good.", is_problem=True
)


def content_of(*warnings: Caveat, shortcuts: tuple[Shortcut, ...] = (), auroc: Estimate | None = None) -> Content:
    """Return a content with these warnings, and in its last row this AUROC."""
    content = replace(full_content(), warnings=warnings, shortcuts=shortcuts)
    *rest, last = content.sets
    last = replace(last, ranking=replace(last.ranking, auroc=auroc or last.ranking.auroc))
    return replace(content, sets=(*rest, last))


def test_the_gravest_finding_is_named() -> None:
    everything = (FEW, SYNTHETIC, LEAK, SEEN)
    for warnings, shortcuts, level, opening in (
        (everything, (RIVAL,), "problem", SEEN.text),
        (everything[:3], (RIVAL,), "caution", "Synthetic images"),
        ((FEW, LEAK), (RIVAL,), "problem", "This AUROC can be reached without looking at the lesion"),
        ((FEW, LEAK), (), "caution", "Too few images"),
        ((LEAK,), (), "neutral", "Better than chance"),
    ):
        found = verdict(content_of(*warnings, shortcuts=shortcuts))
        assert (found.level, found.sentence[: len(opening)]) == (level, opening)
        assert found.sentence.endswith(".") and found.sentence.count(". ") == 0


def test_a_leak_of_every_image_leaves_no_unseen_ones() -> None:
    content = content_of(LEAK)
    found = verdict(replace(content, sets=content.sets[:1]))
    assert (found.level, found.sentence) == ("problem", LEAK.text)


def test_a_shortcut_is_compared_with_the_network() -> None:
    better = replace(RIVAL, name="mean colour", auroc=Estimate(0.95, (0.9, 0.97)))
    content = content_of(shortcuts=(RIVAL, better))
    found = verdict(content)
    assert found.comparison == (("the ensemble", content.sets[0].ranking.auroc), ("mean colour", better.auroc))
    assert "0.950 (mean colour)" in found.sentence and "without looking" not in found.sentence
    assert "(the network)" in verdict(replace(content, members=())).sentence


@pytest.mark.parametrize(
    "shortcut",
    [
        replace(RIVAL, lost=Estimate(0.05, (0.02, 0.08))),  # the network is better
        replace(RIVAL, auroc=Estimate(0.52, (0.45, 0.6))),  # neither tells the classes apart
        replace(RIVAL, is_problem=False),
    ],
)
def test_a_weaker_shortcut_is_a_limit_at_most(shortcut: Shortcut) -> None:
    found = verdict(content_of(shortcuts=(shortcut,)))
    assert found.level == "neutral" and not found.comparison
    assert ("from file facts alone" in found.sentence) == shortcut.is_problem


@pytest.mark.parametrize(
    ("auroc", "opening"),
    [
        (Estimate(0.7, (0.6, 0.8)), "Better than chance on unseen images (AUROC 0.700 [0.600–0.800]); limits: "),
        (Estimate(0.5, (0.4, 0.6)), "Not better than chance on unseen images"),
        (Estimate(0.3, (0.2, 0.4)), "Worse than chance on unseen images"),
    ],
)
def test_unseen_images_are_compared_with_chance(auroc: Estimate, opening: str) -> None:
    found = verdict(content_of(auroc=auroc))
    assert found.level == "neutral" and found.sentence.startswith(opening)


def test_lesions_are_unseen_only_if_they_are_known() -> None:
    assert "unseen images" in verdict(content_of()).sentence
    assert "unseen lesions" in verdict(replace(content_of(), lesions=380)).sentence


def test_validation_images_are_not_called_unseen() -> None:
    found = verdict(content_of(Caveat("chosen", "These images chose the epoch.")))
    assert found.level == "caution" and "validation images" in found.sentence and "unseen" not in found.sentence


def test_an_auroc_that_cannot_be_computed_says_why() -> None:
    found = verdict(bare_content())
    assert (found.level, found.sentence) == ("caution", "The AUROC cannot be computed: no positive images.")


def test_every_kind_of_warning_has_a_level() -> None:
    levels = {kind: Caveat(kind, "").level for kind in LEVELS}
    assert {kind for kind, level in levels.items() if level == "problem"} == {"seen", "leak"}
    assert str(LEAK) == LEAK.text


def test_a_warning_is_told_once() -> None:
    trained = Caveat("seen", "The network trained or chose on 3 of these images.")
    assert further_warnings(content_of(SEEN, trained, SYNTHETIC)) == [trained, SYNTHETIC]
    named = Caveat("synthetic", "one run: Drawn by a program.")
    assert further_warnings(content_of(SYNTHETIC, named, LEAK)) == [LEAK]
    assert further_warnings(content_of(FEW, FEW)) == [] and further_warnings(content_of(LEAK)) == [LEAK]
