"""Ensembles, and the images that their decision is fitted on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.conftest import member

from melanoma_pl.data.augmentation import Dihedral
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import fit_temperature
from melanoma_pl.evaluation.decision import Decision, fit_decision
from melanoma_pl.inference.ensemble import NOTHING, Member, assemble, mean_rank
from melanoma_pl.inference.prediction import dihedral_views, predict_logits, split_batches


def test_the_eight_views_are_those_of_the_augmentation() -> None:
    pixels = torch.randint(0, 256, (2, 3, 6, 6), dtype=torch.uint8)
    views = {view[0].numpy().tobytes() for view in dihedral_views(pixels)}
    switches = torch.cartesian_prod(*[torch.tensor([False, True])] * 3)
    expected = {Dihedral().apply(pixels[:1], switch[None]).contiguous()[0].numpy().tobytes() for switch in switches}
    assert views == expected
    assert len(views) == 8
    assert torch.equal(next(iter(dihedral_views(pixels))), pixels)


def test_one_network_alone_decides_as_its_checkpoint_says(members: list[Member]) -> None:
    first = members[0]
    first.classifier.decide(Decision(2.0, 0.3))
    ensemble = assemble([first])
    expected = predict_logits(first.classifier, split_batches(first.own.split("test"), ""))
    np.testing.assert_array_equal(ensemble.logits("test", ""), expected)
    assert ensemble.decision == Decision(2.0, 0.3)


def test_eight_views_are_averaged_and_decide_for_themselves(members: list[Member]) -> None:
    ensemble = assemble(members[:1], "dihedral", "logit")
    split = members[0].own.split("test")
    (pixels,) = split_batches(split, "")
    with torch.inference_mode():
        expected = torch.stack([members[0].classifier(view) for view in dihedral_views(pixels)]).mean(0)
    np.testing.assert_allclose(ensemble.logits("test", ""), expected.numpy(), rtol=1e-5)
    held = members[0].own.split("validation")
    logits = predict_logits(members[0].classifier, split_batches(held, ""), "dihedral")
    assert ensemble.decision.temperature == pytest.approx(fit_temperature(logits, held.targets.numpy()), rel=1e-6)


def test_turned_images_get_the_same_answer_from_eight_views(members: list[Member]) -> None:
    ensemble = assemble(members[:1], "dihedral", "logit")
    turned = ensemble.logits("test", "", lambda pixels, _: pixels.rot90(1, (2, 3)).flip(2))
    np.testing.assert_allclose(turned, ensemble.logits("test", ""), atol=1e-5)


def test_several_networks_are_averaged(members: list[Member]) -> None:
    ensemble = assemble(members, "none", "logit")
    each = ensemble.member_logits("test", "")
    assert each.shape == (3, 12)
    np.testing.assert_allclose(ensemble.logits("test", ""), each.astype(np.float64).mean(axis=0))
    np.testing.assert_allclose(ensemble.without(1).combined(each[[0, 2]]), each[[0, 2]].astype(np.float64).mean(axis=0))
    assert ensemble.decided_on == "8 validation images"


def test_ranks_are_taken_among_the_validation_images(members: list[Member]) -> None:
    ensemble = assemble(members, "none", "rank")
    held = np.stack([predict_logits(m.classifier, split_batches(m.own.split("validation"), "")) for m in members])
    each = ensemble.member_logits("test", "")
    np.testing.assert_allclose(ensemble.logits("test", ""), mean_rank(each, held))
    np.testing.assert_allclose(ensemble.without(0).combined(each[1:]), mean_rank(each[1:], held[1:]))


def test_only_images_that_no_network_trained_on_decide(image_folder: Path) -> None:
    """Two different splits share a few validation images: too few to fit anything on."""
    apart = [member(image_folder, "a", split_seed=0), member(image_folder, "b", split_seed=1)]
    ensemble = assemble(apart, "none", "logit")
    assert (ensemble.decision, ensemble.decided_on) == (Decision(), NOTHING)
    with pytest.raises(UserError, match="combine=rank"):
        assemble(apart, "none", "rank")


def test_nothing_is_fitted_on_test_images(image_folder: Path) -> None:
    on_test = member(image_folder, validate_on="test")
    ensemble = assemble([on_test], "dihedral", "logit")
    assert (ensemble.decision, ensemble.decided_on) == (Decision(), NOTHING)


def on_all_images(image_folder: Path, name: str, shift: float) -> Member:
    """Return a member that was trained on all images, with out-of-fold predictions that get a tenth wrong."""
    own = member(image_folder, name, validation_fraction=0)
    own.classifier.decide(Decision(3.0, 0.2), "40 out-of-fold predictions of 3 other networks (cv)")
    train = own.own.split("train")
    labels = train.targets.tolist()
    logits = [shift + (1.0 if label != (index % 10 == 0) else -1.0) for index, label in enumerate(labels)]
    return replace(own, out_of_fold=dict(zip(train.contents, zip(logits, labels, strict=True), strict=True)))


def test_a_cross_validation_decides_for_any_views(image_folder: Path) -> None:
    own = on_all_images(image_folder, "a", 0.0)
    for ensemble in (assemble([own]), assemble([own], "dihedral")):
        assert ensemble.decision == Decision(3.0, 0.2)
        assert ensemble.decided_on == "40 out-of-fold predictions of 3 other networks (cv)"
        assert ensemble.decided_by == "out-of-fold"


def test_without_a_cross_validation_nothing_is_fitted(image_folder: Path) -> None:
    own = member(image_folder, validation_fraction=0)
    own.classifier.is_decided = False
    for members in ([own], [own, on_all_images(image_folder, "b", 0.0)]):
        ensemble = assemble(members)
        assert (ensemble.decision, ensemble.decided_on) == (Decision(), NOTHING)


def test_networks_trained_on_all_images_decide_by_the_mean_of_their_out_of_fold_logits(image_folder: Path) -> None:
    members = [on_all_images(image_folder, "a", 0.5), on_all_images(image_folder, "b", -1.5)]
    ensemble = assemble(members)
    first, second = ([*(each.out_of_fold or {}).values()] for each in members)
    logits = [(one + other) / 2 for (one, _), (other, _) in zip(first, second, strict=True)]
    expected = fit_decision(logits, [target for _, target in first], members[0].classifier.threshold_rule)
    assert ensemble.decision == expected
    assert ensemble.decided_on == "40 images with out-of-fold predictions"
    ranked = assemble(members, combine="rank")
    np.testing.assert_array_equal(
        ranked.references, np.array([[logit for logit, _ in each] for each in (first, second)])
    )


def test_beside_validation_images_the_out_of_fold_predictions_of_these_count(
    image_folder: Path, members: list[Member]
) -> None:
    own = on_all_images(image_folder, "a", 0.5)
    ensemble = assemble([members[0], own])
    held = members[0].own.split("validation")
    logits = predict_logits(members[0].classifier, split_batches(held, ""))
    out_of_fold = own.out_of_fold or {}
    mean = [(float(one) + out_of_fold[content][0]) / 2 for one, content in zip(logits, held.contents, strict=True)]
    expected = fit_decision(mean, held.targets.numpy(), members[0].classifier.threshold_rule)
    assert ensemble.decision.temperature == pytest.approx(expected.temperature, rel=1e-5)
    assert ensemble.decided_on == "8 images with out-of-fold predictions"


def test_a_gpu_computes_in_32_bits(members: list[Member]) -> None:
    classifier, flags = members[0].classifier, list[bool]()
    classifier.network.register_forward_hook(lambda *_: flags.append(torch.backends.cudnn.allow_tf32))
    predict_logits(classifier, [torch.zeros(1, 3, 32, 32, dtype=torch.uint8)])
    assert flags == [False]
    assert torch.backends.cudnn.allow_tf32


def test_a_network_with_non_finite_logits_is_refused(members: list[Member]) -> None:
    torch.nn.init.constant_(members[0].classifier.network.dense_2.weight, float("nan"))
    with pytest.raises(UserError, match="non-finite logits for 12 of 12 images"):
        assemble(members[:1]).logits("test", "")
