"""What the evaluation's report says, in the order of its page; every part is plain values.

What evaluation calls malignant and benign, whatever the images' folders are called, by the classes' own names.
"""

import re
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.evaluation.metrics import Counts
from melanoma_pl.evaluation.results import Calibration, Decisions, Ranking, Subgroup


@dataclass(frozen=True)
class PredictedScores:
    """What figures are drawn from.

    Attributes:
        probabilities: Calibrated, of each image, in [0, 1].
        targets: Of each image, 1 is malignant.
    """

    probabilities: tuple[float, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True)
class SubgroupTable:
    """One column's subgroups; `is_estimated` where the images themselves told the values (skin tone)."""

    column: str
    is_estimated: bool
    rows: tuple[Subgroup, ...]
    note: str = ""


@dataclass(frozen=True)
class Shortcut:
    """What is reached without the lesion.

    Attributes:
        name: "centre erased", "border erased", "mean colour", "file facts".
        meaning: What it is, in a sentence.
        auroc: On the same images.
        lost: AUROC of the network on whole images less this one, paired.
        verdict: What that says; empty where it says nothing.
        is_problem: Whether the network's result may come from it.
    """

    name: str
    meaning: str
    auroc: Estimate
    lost: Estimate
    verdict: str
    is_problem: bool


@dataclass(frozen=True)
class Robustness:
    """One perturbation at one strength.

    Attributes:
        name: Such as "blur".
        strength: 1, 2 or 3.
        setting: What that means, such as "σ 1 pixel".
        auroc: On perturbed images.
        lost: AUROC of the images as they are less this one, paired.
        flipped: Share of decisions that changed.
        to_benign: Images that were called malignant and now are called benign.
        to_malignant: The other way round.
    """

    name: str
    strength: int
    setting: str
    auroc: Estimate
    lost: Estimate
    flipped: Estimate
    to_benign: int
    to_malignant: int


@dataclass(frozen=True)
class Mistake:
    """An image that was decided wrongly, with pictures as data URIs.

    Attributes:
        path: Of the image, relative to its root.
        label: Name of its class.
        probability: Of malignant.
        image: As the network sees it.
        heat_map: Where the network looks, laid over the image; empty where it has no convolution.
        control: The same with the last layers' weights shuffled.
        likeness: Rank correlation of heat map and control, -1 to 1; near 1 the map says nothing about what was learnt.
            None where one of them is the same everywhere.
        map_is_empty: Whether nothing in the image speaks for the decision: the heat map is the image.
        control_is_empty: Whether the shuffled network shows nothing: the control is the image.
    """

    path: str
    label: str
    probability: float
    image: str
    heat_map: str
    control: str
    similarity: float | None
    map_is_empty: bool = False
    control_is_empty: bool = False


@dataclass(frozen=True)
class MemberFigures:
    """One network of an ensemble.

    Attributes:
        name: Its run.
        auroc: Alone.
        contribution: AUROC of the ensemble less that of the ensemble without it, paired.
    """

    name: str
    auroc: Estimate
    contribution: Estimate


@dataclass(frozen=True)
class SetFigures:
    """The main figures of all images, or of those that share no lesion with training."""

    title: str
    ranking: Ranking
    decisions: Decisions


@dataclass(frozen=True)
class Content:
    """The whole report.

    Attributes:
        title: The run's name, or of an ensemble its members'.
        split: `validation` or `test`.
        images: Name of the image set.
        class_names: Negative class, positive class.
        n: Images.
        positives: Malignant ones.
        facts: Label → text: checkpoint, command, commit, date, threshold rule, test-time augmentation and the like.
        warnings: What must be said beside every figure, such as "Validated on the test images".
        notes: What is worth knowing.
        sets: The main figures; the first of all images.
        decisions: At the chosen threshold, at 0.5, always benign.
        prevalence: Share of malignant ones that the user gave.
        calibration: Before and after temperature scaling.
        subgroups: A table a column.
        shortcuts: What is reached without the lesion.
        robustness: Empty where it was not asked for.
        false_negatives: The worst.
        false_positives: The worst.
        wrong: All wrong decisions of these images.
        members: Of an ensemble.
        curves: What figures are drawn from.
        disclaimer: That this is no medical device.
        images_note: What is to be said of the heat maps.
        lesions: How many different ones these images show; None where that is not known.
    """

    title: str
    split: str
    images: str
    class_names: tuple[str, str]
    n: int
    positives: int
    facts: dict[str, str]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    sets: tuple[SetFigures, ...]
    decisions: tuple[Decisions, ...]
    prevalence: float | None
    calibration: tuple[Calibration, Calibration]
    subgroups: tuple[SubgroupTable, ...]
    shortcuts: tuple[Shortcut, ...]
    robustness: tuple[Robustness, ...]
    false_negatives: tuple[Mistake, ...]
    false_positives: tuple[Mistake, ...]
    wrong: Counts
    members: tuple[MemberFigures, ...]
    curves: PredictedScores
    disclaimer: str
    images_note: str = field(default="")
    lesions: int | None = None


OWN_NAMES = ("benign", "malignant")
NAMED = re.compile(rf"\b({'|'.join(OWN_NAMES)})\b")


def with_class_names(content: Content) -> Content:
    """Return the content whose reasons, and the decision that needs no network, speak of the classes by their names."""
    if content.class_names == OWN_NAMES:
        return content
    named: Content = _named(content, dict(zip(OWN_NAMES, content.class_names, strict=True)))
    return named


def _named(part: Any, names: dict[str, str]) -> Any:
    if isinstance(part, Estimate):
        return replace(part, reason=_spoken(part.reason, names))
    if isinstance(part, tuple):
        return tuple(_named(own, names) for own in part)
    if isinstance(part, dict):
        return {key: _named(own, names) for key, own in part.items()}
    if not is_dataclass(part) or isinstance(part, (type, PredictedScores)):
        return part
    changed = {own.name: _named(getattr(part, own.name), names) for own in fields(part)}
    if isinstance(part, Decisions) and part.threshold is None:
        changed["name"] = _spoken(part.name, names)
    return replace(part, **changed)


def _spoken(told: str, names: dict[str, str]) -> str:
    return NAMED.sub(lambda found: names[found[0]], told)
