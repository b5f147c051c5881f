"""Weights from Keras and from checkpoints, whole and damaged."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.unit.conftest import save_checkpoint

from melanoma_pl.errors import UserError
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.models.checkpoint import CheckpointEntry, load_weights, read_checkpoint
from melanoma_pl.preprocessing import Preprocessing

CHANNELS, HIDDEN, SIZE = (2, 3, 4), 5, 30


def keras_arrays(generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights in Keras's layout, named as the Keras script names them."""
    shapes = [(3, 3, 3, 2), (2,), (3, 3, 2, 3), (3,), (3, 3, 3, 4), (4,), (2 * 2 * 4, 5), (5,), (5, 1), (1,)]
    return {
        f"{index:02d}_layer.w": generator.normal(0, 0.3, shape).astype(np.float32) for index, shape in enumerate(shapes)
    }


def keras_forward(image: np.ndarray, arrays: list[np.ndarray]) -> float:
    """What Keras computes of one image (H, W, 3), written out with loops: valid convolution, ReLU, pooling, H×W×C."""
    features = image
    for kernel, bias in zip(arrays[0:6:2], arrays[1:6:2], strict=True):
        height, width = features.shape[0] - 2, features.shape[1] - 2
        answer = np.zeros((height, width, kernel.shape[3]))
        for row in range(height):
            for column in range(width):
                window = features[row : row + 3, column : column + 3]
                answer[row, column] = np.tensordot(window, kernel, axes=3) + bias
        answer = np.maximum(answer, 0)[: height // 2 * 2, : width // 2 * 2]
        features = answer.reshape(height // 2, 2, width // 2, 2, -1).max(axis=(1, 3))
    hidden = np.maximum(features.reshape(-1) @ arrays[6] + arrays[7], 0)
    return float((hidden @ arrays[8] + arrays[9])[0])


def test_keras_weights_give_kerass_logits(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = keras_arrays(generator)
    np.savez(tmp_path / "weights.npz", **arrays)
    network = ThreeConvNet(CHANNELS, HIDDEN, image_size=SIZE).eval()
    load_weights(network, tmp_path / "weights.npz")
    image = generator.random((SIZE, SIZE, 3))
    logit = network(torch.from_numpy(image).float().permute(2, 0, 1)[None]).item()
    assert logit == pytest.approx(keras_forward(image, list(arrays.values())), abs=1e-5)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", **keras_arrays(np.random.default_rng(0)))
    with pytest.raises(UserError, match="does not fit the network: conv_1"):
        load_weights(ThreeConvNet((4, 3, 4), HIDDEN, image_size=SIZE), tmp_path / "weights.npz")
    with pytest.raises(UserError, match="fit model=three_conv only"):
        load_weights(torch.nn.Linear(1, 1), tmp_path / "weights.npz")


def test_a_file_that_is_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "weights.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match="npz archive"):
        load_weights(ThreeConvNet(CHANNELS, HIDDEN, image_size=SIZE), tmp_path / "weights.npz")
    with pytest.raises(UserError, match="does not exist"):
        load_weights(ThreeConvNet(CHANNELS, HIDDEN, image_size=SIZE), tmp_path / "nowhere.npz")


def test_files_that_are_not_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with pytest.raises(UserError, match="does not exist"):
        read_checkpoint(path)
    torch.save({"melanoma_pl": {}, "state_dict": {"x": torch.zeros(1000)}}, path)
    content = path.read_bytes()
    for broken in (content[: len(content) // 2], b"", b"text"):
        path.write_bytes(broken)
        with pytest.raises(UserError, match="truncated or not a checkpoint") as error:
            read_checkpoint(path)
        assert "\n" not in str(error.value)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(UserError, match="not written by melanoma-train"):
        read_checkpoint(path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("code in a checkpoint was run",)


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"melanoma_pl": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(UserError):
        read_checkpoint(tmp_path / "evil.ckpt")
    assert "was run" not in capsys.readouterr().out


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    torch.save({"melanoma_pl": {"version": "0.1.0"}, "state_dict": {}}, tmp_path / "old.ckpt")
    with pytest.raises(UserError, match=r"old\.ckpt was written by melanoma_pl 0\.1\.0.*train anew"):
        read_checkpoint(tmp_path / "old.ckpt")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as training saves it."""
    path = tmp_path_factory.mktemp("saved") / "best.ckpt"
    network = ThreeConvNet(CHANNELS, HIDDEN, image_size=SIZE)
    save_checkpoint(MelanomaClassifier(network, preprocessing=Preprocessing(SIZE)), path)
    return path


def test_an_option_that_networks_no_longer_take_is_left_out(saved: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(saved, weights_only=True)
    checkpoint["melanoma_pl"]["network"]["blockwise"] = True
    torch.save(checkpoint, tmp_path / "old.ckpt")
    weights = MelanomaClassifier.load_from_checkpoint(tmp_path / "old.ckpt").state_dict()
    expected = MelanomaClassifier.load_from_checkpoint(saved).state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def changed(place: str, **values: Any) -> Callable[[dict[str, Any]], Any]:
    """Return a function that changes values of the entry, of its network or of its preprocessing."""
    return lambda entry: (entry[place] if place else entry).update(values)


def removed(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda entry: entry.pop(key)


NAN = float("nan")
DAMAGED_ENTRIES = {
    **{f"{key} is missing": removed(key) for key, field in CheckpointEntry.model_fields.items() if field.is_required()},
    "temperature=0.0": changed("", temperature=0.0),
    "temperature=-1.0": changed("", temperature=-1.0),
    "temperature=nan": changed("", temperature=NAN),
    "temperature=inf": changed("", temperature=float("inf")),
    "temperature='x'": changed("", temperature="x"),
    "threshold=2.0": changed("", threshold=2.0),
    "threshold=nan": changed("", threshold=NAN),
    "threshold rule 'x' is unknown": changed("", threshold_rule={"rule": "x"}),
    "unexpected keyword argument 'x'": changed("", threshold_rule={"x": 1}),
    "threshold_rule=None": changed("", threshold_rule=None),
    "pos_weight=0.0": changed("", pos_weight=0.0),
    "class_names=": changed("", class_names=["a", "b", "c"]),
    "two different names": changed("", class_names=["a", "a"]),
    "class_names.0=1": changed("", class_names=[1, 2]),
    "image_size=1000000": changed("preprocessing", image_size=1e6),
    "image_size=0": changed("preprocessing", image_size=0),
    "preprocessing.image_size='x'": changed("preprocessing", image_size="x"),
    "std=(0.0": changed("preprocessing", std=[0.0, 1.0, 1.0]),
    "mean=(nan": changed("preprocessing", mean=[NAN, 0.0, 0.0]),
    "preprocessing.mean.2 is missing": changed("preprocessing", mean=[0.0, 0.0]),
    "preprocessing.interpolation='x'": changed("preprocessing", interpolation="x"),
    "network=None": changed("", network=None),
    "names no class": changed("", network={}),
    "(5, 999992000016) in the network": changed("network", image_size=4_000_000),  # would fill 20 TB
    "(2000000000,) in the network": changed("network", hidden=2_000_000_000),
    "images_note=5": changed("", images_note=5),
}
WEIGHT = "network.conv_1.weight"
DAMAGED_STATES = {
    "conv_1.weight is missing in the file": lambda state: state.pop(WEIGHT),
    "conv_1.weight is (2, 2) in the file": lambda state: state.update({WEIGHT: torch.zeros(2, 2)}),
    "more is (2,) in the file and missing": lambda state: state.update({"network.more": torch.zeros(2)}),
    "lacks weights": lambda state: state.update({WEIGHT: "x"}),
    "is missing": lambda state: state.clear(),
}


@pytest.mark.parametrize("expected", [*DAMAGED_ENTRIES, *DAMAGED_STATES])
def test_a_damaged_checkpoint_is_refused_in_one_line(expected: str, saved: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(saved, weights_only=True)
    if expected in DAMAGED_ENTRIES:
        DAMAGED_ENTRIES[expected](checkpoint["melanoma_pl"])
    else:
        DAMAGED_STATES[expected](checkpoint["state_dict"])
    path = tmp_path / "damaged.ckpt"
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match=re.escape(expected)) as error:
        MelanomaClassifier.load_from_checkpoint(path)
    assert "\n" not in str(error.value)
    MelanomaClassifier.load_from_checkpoint(saved)


def test_a_checkpoint_without_weights_is_refused(saved: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(saved, weights_only=True)
    for state in (None, [1]):
        torch.save({**checkpoint, "state_dict": state}, tmp_path / "damaged.ckpt")
        with pytest.raises(UserError, match="lacks weights"):
            read_checkpoint(tmp_path / "damaged.ckpt")


def test_lightning_refuses_a_checkpoint_of_other_preprocessing_classes_or_shapes(saved: Path) -> None:
    """`trainer.test(model, ckpt_path=…)` and its siblings load through this hook."""
    checkpoint = torch.load(saved, weights_only=True)
    network, size = ThreeConvNet(CHANNELS, HIDDEN, image_size=SIZE), Preprocessing(SIZE)
    others = {
        "mean=": MelanomaClassifier(network, preprocessing=Preprocessing.imagenet(SIZE)),
        "image_size=": MelanomaClassifier(network, preprocessing=Preprocessing(SIZE + 1)),
        "class_names=": MelanomaClassifier(network, preprocessing=size, class_names=("malignant", "benign")),
        "dense_1": MelanomaClassifier(ThreeConvNet(CHANNELS, 7, image_size=SIZE), preprocessing=size),
    }
    for expected, classifier in others.items():
        with pytest.raises(UserError, match=expected):
            classifier.on_load_checkpoint(checkpoint)
    MelanomaClassifier(network, preprocessing=size).on_load_checkpoint(checkpoint)


ARCHIVES = {
    "not an .npz archive": lambda path: path.write_bytes(b"nothing"),
    "not an .npz": lambda path: (np.save(path.with_suffix(".npy"), np.zeros(3)), path.with_suffix(".npy").rename(path)),
    "is not an .npz archive": lambda path: np.savez(path, a=np.array(["x"])),
    "holds 1 arrays": lambda path: np.savez(path, a=np.zeros(3)),
    "with [0, 0": lambda path: np.savez(path, **{f"{index:02d}": np.float32(0) for index in range(10)}),
    "an .npz archive of arrays": lambda path: zipfile.ZipFile(path, "w").writestr("a.txt", "text"),
}


@pytest.mark.parametrize("expected", ARCHIVES)
def test_files_that_are_not_keras_weights(expected: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    ARCHIVES[expected](path)
    with pytest.raises(UserError, match=re.escape(expected)) as error:
        load_weights(ThreeConvNet(CHANNELS, HIDDEN, image_size=SIZE), path)
    assert "\n" not in str(error.value)
