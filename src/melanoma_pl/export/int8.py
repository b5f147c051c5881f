"""`model.int8.onnx`: the exported network in 8-bit integers, kept only if its AUROC on validation is nearly the same.

Static quantisation: scales of the feature maps come from training images, those of the weights from each channel.
Dynamic quantisation, which takes the scales from each batch, has ruined networks without a warning.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from melanoma_pl.data.loader import ImageBatches
from melanoma_pl.evaluation.comparison import Difference, paired_auroc_by_lesion, paired_delong
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.export.exported_network import OUTPUTS
from melanoma_pl.export.onnx_file import open_session, quiet, run_session
from melanoma_pl.messages import Progress, amount, brackets, size_in_bytes

INT8 = "model.int8.onnx"
CALIBRATION = 256  # training images
BATCH = 16  # images: calibration keeps all feature maps of a batch


@dataclass(frozen=True)
class Int8Comparison:
    """The 8-bit network beside the original on the same validation images.

    Attributes:
        loss: AUROC of the original minus that of the 8-bit network, with its 95 % interval.
        images: Number of validation images.
        changed: Number of them on which the decision changed.
        sizes: Bytes of the original's file and of the 8-bit network's.
        rates: Images/s of both in ONNX Runtime.
    """

    loss: Difference
    images: int
    changed: int
    sizes: tuple[int, int]
    rates: tuple[float, float]

    def is_within(self, tolerance: float) -> bool:
        """Tell whether the AUROC falls by less than a tolerance, by the upper end of the interval of the difference."""
        if self.loss.value is None:  # one class only: there is no AUROC
            return False
        return bool(max((self.loss.value, *(self.loss.interval or ()))) <= tolerance)

    def in_words(self, tolerance: float) -> str:
        """Return the sentence that tells the comparison and its outcome."""
        if self.loss.value is None:
            return f"int8 is left out: its AUROC on validation cannot be computed ({self.loss.reason})"
        low, high = self.loss.interval or (self.loss.value, self.loss.value)
        change = f"{-self.loss.value:+.4f}".replace("-", "−")
        found = f"AUROC {change} {brackets((-high, -low))} on {self.images:,} validation images"
        if not self.is_within(tolerance):
            return f"int8 is left out: {found}, and the interval goes below −{tolerance:g} (--int8-tolerance)"
        sizes, rates = map(size_in_bytes, self.sizes), (f"{rate:.1f}" for rate in self.rates)
        return (
            f"int8: {found}, {amount(self.changed, 'changed decision')}; {' → '.join(sizes)}, "
            f"{' → '.join(rates)} images/s with {amount(torch.get_num_threads(), 'thread')}"
        )


def quantise(model: Path, target: Path, training: Sequence[ImageBatches]) -> None:
    """Write the 8-bit network of a model, without the out-of-distribution distance.

    That distance would count the rounding of the feature maps as a sign of foreign images.

    Args:
        model: The ONNX file.
        target: The file to write.
        training: The training images of each input.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    names = [each.name for each in onnx.load(model).graph.input]
    with TemporaryDirectory() as folder, quiet():
        pruned, optimised = Path(folder, "pruned.onnx"), Path(folder, "optimised.onnx")
        onnx.utils.extract_model(str(model), str(pruned), names, list(OUTPUTS[:2]))
        quant_pre_process(str(pruned), str(optimised), skip_symbolic_shape=True)
        quantize_static(
            str(optimised),
            str(target),
            _Reader(names, training),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,  # sums of 8 by 8 bits saturate on CPUs without VNNI
            nodes_to_exclude=_outside_the_networks(onnx.load(optimised)),
        )


def _outside_the_networks(model: Any) -> list[str]:
    """Return the nodes before the first and after the last layer with weights, which stay in 32 bits."""
    layers = {"Conv", "Gemm", "MatMul"}
    after = {name for node in model.graph.node if node.op_type in layers for name in node.output}
    before: set[str] = set()
    for node in model.graph.node:  # in the order of computation
        if after.intersection(node.input):
            after.update(node.output)
    for node in reversed(model.graph.node):
        if node.op_type in layers or before.intersection(node.output):
            before.update(node.input)
    inside = [node.name for node in model.graph.node if node.op_type in layers]
    between = [
        node.name for node in model.graph.node if after.intersection(node.input) and before.intersection(node.output)
    ]
    return [node.name for node in model.graph.node if node.name not in {*inside, *between}]


class _Reader:
    """Training images at regular intervals, as the calibration of ONNX Runtime reads them."""

    def __init__(self, names: Sequence[str], training: Sequence[ImageBatches]) -> None:
        self._names = names
        count = min(CALIBRATION, *map(len, training))
        self._batches = pixel_batches(
            [(split, np.linspace(0, len(split) - 1, count).round().astype(np.int64)) for split in training],
            "calibrating",
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch, or None at the end."""
        pixels = next(self._batches, None)
        if pixels is None:
            return None
        return {name: np.ascontiguousarray(each.numpy()) for name, each in zip(self._names, pixels, strict=True)}


def pixel_batches(
    splits: Sequence[tuple[ImageBatches, NDArray[np.int64]]], title: str, size: int = BATCH
) -> Iterator[list[Tensor]]:
    """Return images batch by batch, uint8 `(N, 3, S, S)` for each input.

    Args:
        splits: For each input its images, and the indices to take, as many for each.
        title: Title of the progress bar.
        size: Images in a batch.
    """
    count = len(splits[0][1])
    with Progress(count, title) as progress:
        for start in range(0, count, size):
            chosen = [(split, torch.from_numpy(indices[start : start + size])) for split, indices in splits]
            yield [split[0, indices].pixels.cpu() for split, indices in chosen]
            progress.advance(len(chosen[0][1]))


def compare_int8(
    model: Path, quantised: Path, validation: Sequence[ImageBatches], decision: Decision
) -> Int8Comparison:
    """Compare the 8-bit network with the original on validation images.

    Args:
        model: The original's file.
        quantised: The file of the 8-bit network.
        validation: The images of each input, the same ones in the same order.
        decision: Of both networks.
    """
    splits = [(split, np.arange(len(split))) for split in validation]
    sessions = [open_session(model), open_session(quantised)]
    logits: list[list[NDArray[np.float32]]] = [[], []]
    seconds = [0.0, 0.0]
    for pixels in pixel_batches(splits, "comparing int8"):
        for number, session in enumerate(sessions):
            began = time.perf_counter()
            logits[number].append(run_session(session, pixels)["logit"])
            seconds[number] += time.perf_counter() - began
    first, second = (np.concatenate(parts) for parts in logits)
    count, groups = len(first), validation[0].images.groups
    loss = auroc_difference(first, second, validation[0].targets.cpu().numpy(), groups)
    changed = int((decision.is_malignant(first) != decision.is_malignant(second)).sum())
    sizes = model.stat().st_size, quantised.stat().st_size
    return Int8Comparison(loss, count, changed, sizes, (count / seconds[0], count / seconds[1]))


def auroc_difference(
    first: ArrayLike, second: ArrayLike, targets: NDArray[np.int64], groups: Sequence[str] | None
) -> Difference:
    """Return the paired difference of two AUROCs; of images that share lesions, lesions are resampled."""
    if groups and len(set(groups)) < len(targets):
        return paired_auroc_by_lesion(first, second, targets, groups)
    return paired_delong(first, second, targets)
