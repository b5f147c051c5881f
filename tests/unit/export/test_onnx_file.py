"""`model.onnx` computes what PyTorch computes, for batches of any size, and says what it is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import SIZE
from torch import Tensor, nn

from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.export.exported_network import ExportedMember, ExportedNetwork
from melanoma_pl.export.onnx_file import (
    check_onnx,
    example_pixels,
    export_program,
    open_session,
    run_network,
    run_session,
    write_metadata,
    write_onnx,
)
from melanoma_pl.inference.ensemble import Member
from melanoma_pl.inference.prediction import fit_ood_detector, predict_logits
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.models.features import tapped
from melanoma_pl.preprocessing import Preprocessing

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

BATCHES = (1, 2, 7)


def write(network: ExportedNetwork, path: Path) -> Path:
    write_onnx(export_program(network), network, path)
    return path


def exported(*classifiers: MelanomaClassifier, decision: Decision = Decision(), **options: object) -> ExportedNetwork:  # noqa: B008
    members = [ExportedMember.of(each) for each in classifiers]
    return ExportedNetwork(members, decision, ("benign", "malignant"), **options)  # type: ignore[arg-type]


def test_a_network_with_its_views_calibration_and_distance(members: list[Member], tmp_path: Path) -> None:
    member, decision = members[0], Decision(0.7, 0.4)
    classifier = member.classifier
    assert fit_ood_detector(classifier, member.own)
    detector = classifier.ood_detector
    assert detector is not None
    network = exported(classifier, decision=decision, views="dihedral", detector=detector)
    path = write(network, tmp_path / "model.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"], "the weights are in the same file"
    session = open_session(path)
    for count in BATCHES:
        (pixels,) = example_pixels(network, count)
        outputs = run_session(session, [pixels])
        with tapped(classifier.network) as collected:
            logits = predict_logits(classifier, [pixels], "dihedral")
        assert list(outputs) == ["logit", "probability", "ood_distance"]
        np.testing.assert_allclose(outputs["logit"], logits, atol=1e-5)
        np.testing.assert_allclose(outputs["probability"], decision.probabilities(logits), atol=1e-6)
        distances = detector.distances(collected[0].numpy())
        np.testing.assert_allclose(outputs["ood_distance"], distances, rtol=1e-4)
    check_onnx(path, network)


def test_an_ensemble_whose_members_read_files_differently(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small, large = (
        MelanomaClassifier(
            ThreeConvNet((4, 4, 4), hidden=8, image_size=side, convolutions="fused"),
            preprocessing=Preprocessing(side, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2), "bicubic"),
            pos_weight=3.0,
        ).eval()
        for side in (32, 48)
    )
    network = exported(small, large, small)
    assert network.input_names == ("pixels_1", "pixels_2")
    session = open_session(write(network, tmp_path / "model.onnx"))
    for count in BATCHES:
        pixels = example_pixels(network, count)
        outputs = run_session(session, pixels)
        assert list(outputs) == ["logit", "probability"]
        logits = [predict_logits(each, [pixels[index]]) for each, index in ((small, 0), (large, 1), (small, 0))]
        np.testing.assert_allclose(outputs["logit"], np.mean(logits, axis=0), atol=1e-5)


@pytest.mark.slow
def test_a_network_of_timm(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    from melanoma_pl.models.timm_backbone import TimmBackbone

    torch.manual_seed(0)
    backbone = TimmBackbone("test_efficientnet", pretrained=False, image_size=64)
    network = exported(MelanomaClassifier(backbone, preprocessing=Preprocessing.imagenet(64)).eval())
    session = open_session(write(network, tmp_path / "model.onnx"))
    for count in BATCHES:
        pixels = example_pixels(network, count)
        np.testing.assert_allclose(
            run_session(session, pixels)["logit"], run_network(network, pixels)["logit"], atol=1e-4
        )


class Unexportable(nn.Module):
    """A network whose only layer is an operator that ONNX lacks, or that depends on the pixels."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, images: Tensor) -> Tensor:
        means = images.mean(dim=(1, 2, 3))
        if self.kind == "operator":
            return torch.special.bessel_j0(means)
        return means if float(means.max()) > 0.5 else -means


def test_an_operator_that_onnx_lacks_is_named_in_a_line(tmp_path: Path) -> None:
    network = exported(MelanomaClassifier(Unexportable("operator"), preprocessing=Preprocessing(SIZE)).eval())
    with pytest.raises(UserError, match="ONNX lacks an operator.*bessel_j0") as caught:
        write(network, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)


def test_a_network_that_branches_on_its_pixels_is_refused_in_a_line() -> None:
    network = exported(MelanomaClassifier(Unexportable("branch"), preprocessing=Preprocessing(SIZE)).eval())
    with pytest.raises(UserError, match="cannot be exported") as caught:
        export_program(network)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportedNetwork]:
    torch.manual_seed(0)
    network = ThreeConvNet((2, 2, 2), hidden=2, image_size=SIZE)
    of_network = exported(MelanomaClassifier(network, preprocessing=Preprocessing(SIZE)).eval())
    return write(of_network, tmp_path_factory.mktemp("written") / "model.onnx"), of_network


def test_metadata_are_texts_or_json(written: tuple[Path, ExportedNetwork]) -> None:
    path, _ = written
    write_metadata(path, {"title": "tiny", "threshold": 0.25, "class_names": ["nævus", "mélanome"], "nothing": None})
    facts = open_session(path).get_modelmeta().custom_metadata_map
    assert facts["title"] == "tiny"
    values = {key: json.loads(facts[key]) for key in ("threshold", "class_names", "nothing", "opset")}
    assert values == {
        "threshold": 0.25,
        "class_names": ["nævus", "mélanome"],
        "nothing": None,
        "opset": {"ai.onnx": 18},
    }


def test_a_file_with_other_logits_is_refused(written: tuple[Path, ExportedNetwork]) -> None:
    path, network = written
    check_onnx(path, network)
    with torch.no_grad():
        network.networks[0].dense_2.bias += 0.01  # type: ignore[union-attr,operator]
    with pytest.raises(UserError, match="a batch of 1 images: logits of ONNX differ from those of PyTorch by 0.01"):
        check_onnx(path, network)
