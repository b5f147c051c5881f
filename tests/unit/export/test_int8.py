"""8-bit integers: calibrated on training images, compared on validation images, refused if the AUROC falls."""

from pathlib import Path

import numpy as np
import pytest

from melanoma_pl.evaluation.comparison import Difference
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.export.exported_network import ExportedMember, ExportedNetwork
from melanoma_pl.export.int8 import Int8Comparison, auroc_difference, compare_int8, quantise
from melanoma_pl.export.onnx_file import export_program, open_session, write_onnx
from melanoma_pl.inference.ensemble import Member
from melanoma_pl.inference.prediction import fit_ood_detector

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")


def test_the_8_bit_network_computes_nearly_the_same(members: list[Member], tmp_path: Path) -> None:
    member = members[0]
    fit_ood_detector(member.classifier, member.own)
    exported = ExportedMember.of(member.classifier)
    network = ExportedNetwork([exported], Decision(), ("benign", "malignant"), detector=member.classifier.ood_detector)
    model, quantised = tmp_path / "model.onnx", tmp_path / "model.int8.onnx"
    write_onnx(export_program(network), network, model)
    quantise(model, quantised, [member.own.split("train")])
    assert [each.name for each in open_session(quantised).get_outputs()] == ["logit", "probability"]
    kinds = [node.op_type for node in onnx.load(quantised).graph.node]
    assert kinds.count("DequantizeLinear") > 5, "weights and feature maps"
    assert not any(initializer.name.startswith("ood") for initializer in onnx.load(quantised).graph.initializer)
    comparison = compare_int8(model, quantised, [member.own.split("validation")], Decision(1, 0.5))
    assert comparison.images == len(member.own.split("validation")) == 8
    assert comparison.sizes == (model.stat().st_size, quantised.stat().st_size)
    assert comparison.loss.value is not None and abs(comparison.loss.value) <= 0.25
    assert min(comparison.rates) > 0


@pytest.mark.parametrize(
    ("loss", "is_within"),
    [
        (Difference(0.001, (-0.002, 0.004)), True),
        (Difference(0.001, (-0.002, 0.006)), False),
        (Difference(-0.02, (-0.03, -0.01)), True),
        (Difference(0.0, reason="both models rank all images identically"), True),
        (Difference(0.5, reason="all pairs of images show the same difference"), False),
        (Difference(None, reason="no malignant images"), False),
    ],
    ids=str,
)
def test_the_upper_end_of_the_interval_decides(loss: Difference, is_within: bool) -> None:
    comparison = Int8Comparison(loss, 448, 2, (4_000_000, 1_000_000), (100.0, 150.0))
    assert comparison.is_within(0.005) == is_within
    told = comparison.in_words(0.005)
    assert told.startswith("int8: " if is_within else "int8 is left out: ")
    assert ("4.0 MB → 1.0 MB, 100.0 → 150.0 images/s" in told) == is_within


def test_a_loss_is_told_with_its_sign() -> None:
    comparison = Int8Comparison(Difference(0.0012, (-0.002, 0.0041)), 448, 1, (4_000_000, 1_000_000), (100.0, 150.0))
    assert "AUROC −0.0012 [−0.004 to 0.002] on 448 validation images, 1 changed decision;" in comparison.in_words(0.01)


def test_lesions_with_several_images_are_resampled_whole() -> None:
    generator = np.random.default_rng(0)
    targets = np.repeat([0, 1], 40)
    first = generator.normal(size=80) + targets
    second = first + generator.normal(0, 0.3, 80)
    single = auroc_difference(first, second, targets, [str(number) for number in range(80)])
    assert single == auroc_difference(first, second, targets, None)
    by_lesion = auroc_difference(first, second, targets, [str(number // 4) for number in range(80)])
    assert by_lesion.value == pytest.approx(single.value)
    assert by_lesion.interval != single.interval
