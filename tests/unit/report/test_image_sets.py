"""Sets of images beside each other: own test images, unseen lesions, one source, and external sets."""

from pathlib import Path

import numpy as np
import pytest
from tests.unit.conftest import member
from tests.unit.report.test_subgroups import with_columns

from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.clustered import RankedImages
from melanoma_pl.evaluation.intervals import delong
from melanoma_pl.report.analysis import SplitPredictions
from melanoma_pl.report.image_sets import ExternalPredictions, find_source, image_sets
from melanoma_pl.report.request import EvaluationRequest, ExternalSet

ANOTHER = (ExternalSet("other", Path("other"), ()),)


def request(source: str | None = None, external: tuple[ExternalSet, ...] = ()) -> EvaluationRequest:
    return EvaluationRequest((), "test", Path("report"), "command", source=source, external=external)


def predictions(seen: int = 0, groups: tuple[str, ...] | None = None, n: int = 40) -> SplitPredictions:
    """Return predictions for images of which the first so many are seen, and every second is malignant."""
    draw = np.random.default_rng(0)
    labels = tuple(("benign", "malignant")[index % 2] for index in range(n))
    images = LabelledImages(Path("root"), tuple(f"{index}.png" for index in range(n)), labels, ("test",) * n)
    logits = draw.normal(np.arange(n) % 2, 1.0)
    is_ood = np.arange(n) < n // 4
    images = LabelledImages(images.root, images.paths, images.labels, images.splits, groups=groups)
    return SplitPredictions(images, np.arange(n) < seen, logits[None], logits, 1 / (1 + np.exp(-logits)), is_ood)


def test_nothing_is_added_unless_asked_for() -> None:
    assert image_sets(request(), 0.5, predictions(seen=4), None, []) == ()


def test_unseen_lesions_and_one_source_stand_below_all_test_images() -> None:
    own, is_of_source = predictions(seen=10), np.arange(40) < 30
    found = image_sets(request(), 0.5, own, ("in_ham10000=1", is_of_source), [])
    assert [(each.name, each.n, each.positives, each.note) for each in found] == [
        ("test", 40, 20, ""),
        ("unseen lesions", 30, 15, ""),
        ("in_ham10000=1", 20, 10, "unseen lesions"),
    ]
    of_source, part = found[2], slice(10, 30)
    targets = own.images.targets[part]
    assert of_source.auroc == RankedImages(own.logits[part], targets).auroc
    assert of_source.auroc.interval == delong(own.logits[part], targets)
    called = own.probabilities[part] >= 0.5
    assert of_source.sensitivity.value == pytest.approx(called[targets == 1].mean())
    assert of_source.specificity.value == pytest.approx((~called)[targets == 0].mean())
    assert found[0].out_of_distribution is not None and found[0].out_of_distribution.value == 0.25


def test_the_threshold_is_the_one_given() -> None:
    low, high = (
        image_sets(request(), threshold, predictions(), None, [ExternalPredictions("other", predictions(), 0)])
        for threshold in (0.0, 1.0)
    )
    for first, second in zip(low, high, strict=True):
        assert (first.sensitivity.value, second.sensitivity.value) == (1.0, 0.0)
        assert (first.specificity.value, second.specificity.value) == (0.0, 1.0)
        assert first.auroc == second.auroc


def test_images_that_a_network_has_seen_are_left_out_and_named() -> None:
    found = image_sets(request(), 0.5, predictions(), None, [ExternalPredictions("other", predictions(seen=3), 2)])
    assert [(each.name, each.n, each.is_external) for each in found] == [("test", 40, False), ("other", 37, True)]
    assert found[1].note.startswith("2 images cannot be read; 3 images that a network has seen left out (0.png")


def test_intervals_resample_the_lesions_of_a_set_that_names_them() -> None:
    groups = tuple(f"lesion {index // 4 * 2 + index % 2}" for index in range(40))  # two images of each lesion
    apart, together = (predictions(groups=each) for each in (None, groups))
    (_, single), (_, paired) = (
        image_sets(request(), 0.5, predictions(), None, [ExternalPredictions("other", each, 0)])
        for each in (apart, together)
    )
    assert single.auroc.value == paired.auroc.value and single.auroc.interval != paired.auroc.interval
    assert single.sensitivity.interval != paired.sensitivity.interval
    assert (single.lesions, paired.lesions) == (None, 20)


def test_a_set_of_one_class_has_the_figures_that_it_can_have() -> None:
    own = predictions()
    benign = np.flatnonzero(own.images.targets == 0)
    part = SplitPredictions(
        own.images.take(benign), own.is_seen[benign], own.member_logits[:, benign], own.logits[benign],
        own.probabilities[benign], None,
    )  # fmt: skip
    found = image_sets(request(), 0.5, own, None, [ExternalPredictions("benign", part, 0)])[1]
    assert (found.auroc.value, found.auroc.reason) == (None, "no positive images")
    assert (found.sensitivity.value, found.sensitivity.reason) == (None, "no positive images")
    assert found.specificity.value is not None and found.out_of_distribution is None


def test_a_condition_names_one_source(own_image_folder: Path) -> None:
    data = member(with_columns(own_image_folder, clinic=["a", "a", "b", "b"])).evaluated
    found = find_source(data, request("clinic=a"))
    assert found is not None and found[0] == "clinic=a"
    paths = data.split("test").images.paths
    numbers = [int(path[-7:-4]) for path, is_kept in zip(paths, found[1], strict=True) if is_kept]
    assert sorted(numbers) == [index for index in range(12) if index % 4 < 2]


@pytest.mark.parametrize(
    ("condition", "words"),
    [("clinic=c", "source=clinic=c leaves no test image.*a, b"), ("klinic=a", "no column 'klinic'.*did you mean")],
)
def test_a_condition_that_nothing_fulfils_is_refused(condition: str, words: str, own_image_folder: Path) -> None:
    data = member(with_columns(own_image_folder, clinic=["a", "b"])).evaluated
    with pytest.raises(UserError, match=words):
        find_source(data, request(condition))


def test_a_condition_needs_a_table(own_image_folder: Path) -> None:
    (own_image_folder / "metadata.csv").unlink()
    with pytest.raises(UserError, match="source=clinic=a needs a metadata table"):
        find_source(member(own_image_folder).evaluated, request("clinic=a"))
    assert find_source(member(own_image_folder).evaluated, request(external=ANOTHER)) is None


def test_the_most_frequent_source_of_both_classes_is_taken_where_a_column_names_sources(own_image_folder: Path) -> None:
    # every second image is malignant: c has images of one class only, and a more than b
    data = member(with_columns(own_image_folder, source=["a", "c", "a", "a", "a", "c", "b", "b"])).evaluated
    found = find_source(data, request(external=ANOTHER))
    assert found is not None and (found[0], int(found[1].sum())) == ("source=a", 7)
    assert find_source(data, request()) is None, "nobody asked how far the network carries"


def test_a_single_source_is_no_part(own_image_folder: Path) -> None:
    data = member(with_columns(own_image_folder, source="a")).evaluated
    assert find_source(data, request(external=ANOTHER)) is None
