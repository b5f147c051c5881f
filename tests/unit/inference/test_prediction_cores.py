"""Each core predicts batches of its own, with the numbers of one batch after another."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.conftest import save_checkpoint

from melanoma_pl.errors import UserError
from melanoma_pl.inference import hardware, prediction
from melanoma_pl.inference.ensemble import Member
from melanoma_pl.inference.hardware import choose_precision, has_bf16
from melanoma_pl.inference.prediction import (
    BATCH,
    Classifier,
    ImageSource,
    Prediction,
    fit_ood_detector,
    iterate_predictions,
    load_predictor,
    predict_logits,
)

BROKEN = (3, 70, 100)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2, "as it was"
    torch.set_num_threads(before)


@pytest.fixture
def classifier(members: list[Member]) -> Classifier:
    found = members[0].classifier.eval()
    assert fit_ood_detector(found, members[0].own)
    return found


@pytest.fixture
def images(classifier: Classifier) -> list[ImageSource]:
    side, generator = classifier.preprocessing.image_size, np.random.default_rng(0)
    found: list[ImageSource] = [generator.integers(0, 256, (side, side, 3), dtype=np.uint8) for _ in range(121)]
    for index in BROKEN:
        found[index] = Path("missing.png")
    return found


def facts(predictions: Iterator[Prediction]) -> list[tuple[object, ...]]:
    return [(each.index, each.probability, each.is_ood, each.decision, bool(each.reason)) for each in predictions]


@pytest.mark.parametrize("views", ["none", "dihedral"])
def test_same_numbers_in_the_same_order(
    views: prediction.Views,
    classifier: Classifier,
    images: list[ImageSource],
    two_threads: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allows_tf32 = torch.backends.cudnn.allow_tf32
    expected = facts(iterate_predictions(classifier, images, views))
    threads: set[tuple[str, int]] = set()
    compute = prediction._compute

    def noted(*arguments: object, **options: object) -> object:
        threads.add((threading.current_thread().name, torch.get_num_threads()))
        return compute(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(prediction, "_compute", noted)
    found = facts(iterate_predictions(classifier, images, views, on_each_core=True))
    assert [(each[0], *each[2:]) for each in found] == [(each[0], *each[2:]) for each in expected]
    assert [index for index, *_, is_broken in found if is_broken] == list(BROKEN)
    for one, other in zip(found, expected, strict=True):
        assert one[1] == (None if other[1] is None else pytest.approx(other[1], abs=1e-6))
    assert {count for _, count in threads} == {1} and threading.current_thread().name not in dict(threads)
    assert torch.backends.cudnn.allow_tf32 == allows_tf32
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in classifier.modules())
    threads.clear()
    few = facts(iterate_predictions(classifier, images[:BATCH], views, on_each_core=True))
    assert threads == {(threading.current_thread().name, 2)}, "a batch is for all cores"
    assert few == expected[:BATCH]


def test_an_error_ends_it_and_what_waits_is_not_computed(
    classifier: Classifier, images: list[ImageSource], two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []

    def fail(*arguments: object, **options: object) -> None:
        batches.append(1)
        raise UserError("broken weights", "other weights")

    monkeypatch.setattr(prediction, "_compute", fail)
    with pytest.raises(UserError, match="broken weights"):
        list(iterate_predictions(classifier, images * 20, on_each_core=True))
    assert len(batches) <= 5


def test_precision_is_32_bits_unless_told_otherwise(members: list[Member], tmp_path: Path) -> None:
    classifier, path = members[0].classifier, tmp_path / "some.ckpt"
    save_checkpoint(classifier, path)
    pixels = torch.randint(0, 256, (8, 3, *[classifier.preprocessing.image_size] * 2), dtype=torch.uint8)
    expected = predict_logits(classifier, [pixels])
    np.testing.assert_array_equal(predict_logits(load_predictor(path), [pixels]), expected)
    if not has_bf16("cpu"):
        pytest.skip("this CPU does not compute in bf16")
    rounded = predict_logits(load_predictor(path, precision="bf16-mixed"), [pixels])
    assert 0 < np.abs(rounded - expected).max() < 0.05


def test_bf16_is_refused_where_the_cpu_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_bf16", lambda accelerator: False)
    with pytest.raises(UserError, match="--precision bf16-mixed: this cpu does not compute in bf16"):
        choose_precision("bf16-mixed", "cpu", "--precision ", "32-true")
    assert choose_precision("32-true", "cpu", "--precision ", "32-true") == "32-true"
