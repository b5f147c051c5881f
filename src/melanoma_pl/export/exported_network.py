"""The network as it is exported: pixels in; logit, calibrated probability and distance from the training images out."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.evaluation.out_of_distribution import OutOfDistributionDetector
from melanoma_pl.inference.prediction import Views, dihedral_views
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.features import tap
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.specs import build, check_targets

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT = 1  # of config.json
OUTPUTS = ("logit", "probability", "ood_distance")
PIXEL_KEYS = ("image_size", "interpolation", "colour_constancy")  # of the preprocessing: what becomes of a file


@dataclass(frozen=True)
class ExportedMember:
    """A trained network of an export.

    Attributes:
        network: Takes float `(N, 3, S, S)` and returns one logit an image.
        spec: The class and the options that build it.
        preprocessing: Turns files into pixels, and pixels into its input.
        logit_shift: Subtracted from its output: the logarithm of the `pos_weight` of its training.
    """

    network: nn.Module
    spec: Mapping[str, Any]
    preprocessing: Preprocessing
    logit_shift: float = 0.0

    @classmethod
    def of(cls, classifier: MelanomaClassifier) -> "ExportedMember":
        """Return what is exported of a classifier: its network as plain layers, in evaluation mode."""
        network = classifier.network.eval().cpu().to(memory_format=torch.contiguous_format)
        return cls(network, classifier.network_spec, classifier.preprocessing, classifier.logit_shift)


class ExportedNetwork(nn.Module):
    """One network, or the mean logit of several, with preprocessing and calibration.

    Members whose files become pixels in different ways (size, filter, colour constancy) have an input each.

    Args:
        members: The networks.
        decision: Temperature and threshold of the mean logit.
        class_names: Negative class, positive class.
        views: `dihedral` averages the logits of each image's eight flips and quarter turns.
        detector: Of images out of distribution, for a single network; None if there is none.
    """

    def __init__(
        self,
        members: Sequence[ExportedMember],
        decision: Decision,
        class_names: Sequence[str],
        views: Views = "none",
        detector: OutOfDistributionDetector | None = None,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(member.network for member in members)
        self.specs = [dict(member.spec) for member in members]
        self.preprocessings = [member.preprocessing for member in members]
        self.logit_shifts = [member.logit_shift for member in members]
        self.decision, self.class_names, self.views = decision, tuple(class_names), views
        self.pixel_kinds = list(dict.fromkeys(map(pixel_kind, self.preprocessings)))
        self.ood_threshold = None if detector is None else detector.threshold
        if detector is not None:
            self._add_detector(detector)
        self.eval().requires_grad_(False)

    def _add_detector(self, detector: OutOfDistributionDetector) -> None:
        # a factor F with F·Fᵀ = precision: in 32 bits |x·F| is far more accurate than the root of x·precision·x
        values, vectors = np.linalg.eigh(detector.precision)
        factor = vectors * np.sqrt(np.maximum(values, 0))
        for name, array in (("mean", detector.mean), ("scale", detector.scale), ("factor", factor)):
            self.register_buffer(f"ood_{name}", torch.tensor(array, dtype=torch.float32))
        self._features: list[Tensor] = []
        preprocessing = self.preprocessings[0]
        black = torch.zeros(1, 3, preprocessing.image_size, preprocessing.image_size, dtype=torch.uint8)
        # not the list's own method: torch.export replaces the list
        tap(self.networks[0], preprocessing.to_input(black), lambda features: self._features.append(features))
        self._features.clear()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs; the distance is missing if there is no detector."""
        return OUTPUTS if self.ood_threshold is not None else OUTPUTS[:2]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, `pixels` or, of an ensemble with several kinds of pixels, `pixels_1` and so on."""
        count = len(self.pixel_kinds)
        return ("pixels",) if count == 1 else tuple(f"pixels_{number}" for number in range(1, count + 1))

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """The inputs as plain values: name, image size, filter, colour constancy."""
        kinds = zip(self.input_names, self.pixel_kinds, strict=True)
        return [{"name": name, **dict(zip(PIXEL_KEYS, kind, strict=True))} for name, kind in kinds]

    def forward(self, *pixels: Tensor) -> tuple[Tensor, ...]:
        """Predict a batch.

        Args:
            pixels: uint8 `(N, 3, S, S)` in RGB for each input, the same images in the same order.

        Returns:
            float32 `(N,)` each: the logit before calibration, the calibrated probability of malignant, and with a
            detector the distance from the training images, out of distribution above `ood_threshold`.
        """
        logit = torch.stack([self._member_logit(index, pixels) for index in range(len(self.networks))]).mean(dim=0)
        outputs = [logit, torch.sigmoid(logit / self.decision.temperature)]
        if self.ood_threshold is not None:
            of_images = self._features[0][: logit.shape[0]]  # the first views are the images themselves
            self._features.clear()
            mean, scale, factor = (self.get_buffer(f"ood_{name}") for name in ("mean", "scale", "factor"))
            outputs.append(torch.linalg.vector_norm(((of_images - mean) / scale) @ factor, dim=1))
        return tuple(outputs)

    def _member_logit(self, index: int, pixels: Sequence[Tensor]) -> Tensor:
        preprocessing, network = self.preprocessings[index], self.networks[index]
        own = pixels[self.pixel_kinds.index(pixel_kind(preprocessing))]
        # one batch of all views: a graph with eight copies of the network would take minutes to export
        views = torch.cat(list(dihedral_views(own))) if self.views == "dihedral" else own
        logits: Tensor = network(preprocessing.to_input(views)).float()
        return logits.reshape(-1, own.shape[0]).mean(dim=0) - self.logit_shifts[index]

    def config(self) -> dict[str, Any]:
        """Return all but the weights, as plain values."""
        rows = zip(self.specs, self.preprocessings, self.logit_shifts, strict=True)
        return {
            "format": FORMAT,
            "class_names": list(self.class_names),
            "threshold": self.decision.threshold,
            "temperature": self.decision.temperature,
            "views": self.views,
            "ood_threshold": self.ood_threshold,
            "inputs": self.inputs,
            "outputs": list(self.output_names),
            "members": [
                {"network": spec, "preprocessing": preprocessing.to_dict(), "logit_shift": shift}
                for spec, preprocessing, shift in rows
            ],
        }


def pixel_kind(preprocessing: Preprocessing) -> tuple[int | str, ...]:
    """Return the values that decide on the pixels of a file."""
    return tuple(getattr(preprocessing, key) for key in PIXEL_KEYS)


def load_exported(folder: str | Path, trust: Collection[str] = ()) -> ExportedNetwork:
    """Load an exported network from `config.json` and `model.safetensors`, in evaluation mode.

    Args:
        folder: A folder that `melanoma-export` wrote.
        trust: Modules that may be imported for a network's class, beside those of this package and its libraries.

    Raises:
        UserError: If a file is missing, damaged or of another version, or a network's class is not trusted.
    """
    from safetensors.torch import load_file

    path = Path(folder)
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        if config["format"] != FORMAT:
            raise ValueError(f"format {config['format']}, and this version reads {FORMAT}")
        check_targets(config["members"], trust, str(path / CONFIG))
        members = [
            ExportedMember(
                build(member["network"], nn.Module),
                member["network"],
                Preprocessing.from_dict(member["preprocessing"]),
                float(member["logit_shift"]),
            )
            for member in config["members"]
        ]
        state, views = load_file(path / WEIGHTS), views_of(config)
        decision = Decision(config["temperature"], config["threshold"])
        network = ExportedNetwork(members, decision, config["class_names"], views, _detector(config, state))
        network.load_state_dict(state)
    except UserError:
        raise
    except Exception as error:  # a damaged file can fail anywhere
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} cannot be read as an export ({reason})", "export the run again") from error
    return network


def views_of(config: Mapping[str, Any]) -> Literal["none", "dihedral"]:
    """Return the views that a configuration names."""
    return "dihedral" if config["views"] == "dihedral" else "none"


def _detector(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> OutOfDistributionDetector | None:
    """Return a detector of the right size, whose arrays `load_state_dict` fills."""
    if config["ood_threshold"] is None:
        return None
    size = state["ood_mean"].numel()
    zeros = np.zeros(size)
    return OutOfDistributionDetector(zeros, zeros + 1, np.zeros((size, size)), float(config["ood_threshold"]))
