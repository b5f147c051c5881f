"""Weights from Keras and from checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch

from melanoma_pl.errors import UserError
from melanoma_pl.models import ThreeConvNet
from melanoma_pl.models.checkpoint import load_weights, read_checkpoint

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
