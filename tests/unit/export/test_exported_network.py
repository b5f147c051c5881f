"""An exported network comes back from its files as it was, and files that are not its own are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.export.exported_network import CONFIG, WEIGHTS, ExportedMember, ExportedNetwork, load_exported
from melanoma_pl.export.onnx_file import example_pixels, run_network
from melanoma_pl.inference.ensemble import Member
from melanoma_pl.inference.prediction import fit_ood_detector

save_file = pytest.importorskip("safetensors.torch").save_file


@pytest.fixture
def network(members: list[Member]) -> ExportedNetwork:
    """A network with a detector."""
    classifier = members[0].classifier
    fit_ood_detector(classifier, members[0].own)
    member = ExportedMember.of(classifier)
    return ExportedNetwork([member], Decision(0.7, 0.4), classifier.class_names, detector=classifier.ood_detector)


@pytest.fixture
def folder(network: ExportedNetwork, tmp_path: Path) -> Path:
    """The files of that network."""
    (tmp_path / CONFIG).write_text(json.dumps(network.config()))
    save_file(network.state_dict(), tmp_path / WEIGHTS)
    return tmp_path


def test_it_comes_back_to_the_bit(network: ExportedNetwork, folder: Path) -> None:
    restored = load_exported(folder)
    assert not restored.training
    assert restored.config() == network.config()
    pixels = example_pixels(network, 3)
    expected = run_network(network, pixels)
    assert list(expected) == ["logit", "probability", "ood_distance"]
    for name, values in run_network(restored, pixels).items():
        np.testing.assert_array_equal(values, expected[name])


def test_several_batches_one_after_another_do_not_mix(network: ExportedNetwork) -> None:
    few, many = example_pixels(network, 2), example_pixels(network, 5)
    first = run_network(network, few)["ood_distance"]
    assert run_network(network, many)["ood_distance"].shape == (5,)
    np.testing.assert_array_equal(run_network(network, few)["ood_distance"], first)


def test_members_of_one_kind_of_pixels_share_an_input(members: list[Member]) -> None:
    ensemble = ExportedNetwork([ExportedMember.of(each.classifier) for each in members], Decision(), ("a", "b"))
    assert ensemble.input_names == ("pixels",)
    assert ensemble.inputs == [
        {"name": "pixels", "image_size": 32, "interpolation": "bilinear", "colour_constancy": "none"}
    ]
    assert ensemble.output_names == ("logit", "probability")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 9}, "format 9"),
        ({"temperature": 0}, "temperature"),
        ({"members": [{"network": {"_target_": "os.system"}, "preprocessing": {}, "logit_shift": 0}]}, "os.system"),
        ({"members": []}, "cannot be read as an export"),
    ],
    ids=str,
)
def test_other_settings_are_refused(folder: Path, change: dict[str, object], told: str) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=told):
        load_exported(folder)


def test_damaged_files_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot be read as an export"):
        load_exported(folder)
    (folder / CONFIG).unlink()
    with pytest.raises(UserError, match="config.json"):
        load_exported(folder)


def test_no_weight_of_an_export_learns(network: ExportedNetwork) -> None:
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert torch.is_grad_enabled()
