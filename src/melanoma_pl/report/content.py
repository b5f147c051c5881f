"""The content of an evaluation's report as plain values, in the order of its page."""

from dataclasses import dataclass
from typing import Literal

from melanoma_pl.evaluation import (
    Calibration,
    Counts,
    DecisionCurve,
    Decisions,
    Estimate,
    InPeople,
    Ranking,
    RiskCoverage,
    Subgroup,
)

CHANCE = 0.5  # AUROC at chance level
RARE = 0.01  # proportion of malignant images below which the partial AUROC comes first, as in ISIC 2024 (0.1 %)
Level = Literal["problem", "caution", "neutral"]
Kind = Literal["seen", "leak", "synthetic", "few", "chosen", "unchecked"]
SIMILARITY_BANDS = {"like the control": 0.7, "partly like the control": 0.3, "independent": -1.0}
"""Lowest similarity of heat map and control in each band."""
LEVELS: dict[Kind, Level] = {
    "seen": "problem",
    "leak": "problem",
    "synthetic": "caution",
    "few": "caution",
    "chosen": "caution",
    "unchecked": "caution",
}
"""Gravity of each kind of warning."""


@dataclass(frozen=True)
class Caveat:
    """A warning that belongs beside the figures; as text, its sentence.

    Attributes:
        kind: `seen`: the network trained or chose on these test images. `leak`: some of them show a lesion that is also
            in train. `synthetic`: a program drew them. `few`: a class has too few of them. `chosen`: they are
            validation images, which chose epoch and threshold. `unchecked`: anything else that limits the figures,
            such as weights of unknown origin.
        text: The sentence.
    """

    kind: Kind
    text: str

    @property
    def level(self) -> Level:
        """`problem` if the figures are wrong for unseen images, else `caution`."""
        return LEVELS[self.kind]

    def __str__(self) -> str:
        """Return the sentence."""
        return self.text


@dataclass(frozen=True)
class PredictedScores:
    """Predictions from which curves are drawn.

    Attributes:
        probabilities: Calibrated probability of each image, in [0, 1].
        targets: Target of each image, 1 is malignant.
    """

    probabilities: tuple[float, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True)
class SubgroupTable:
    """The subgroups of one column; `is_estimated` if their values were estimated from the images (skin tone)."""

    column: str
    is_estimated: bool
    rows: tuple[Subgroup, ...]
    note: str = ""

    @property
    def reported(self) -> tuple[Subgroup, ...]:
        """The subgroups with all three figures."""
        return tuple(row for row in self.rows if row not in self.too_small)

    @property
    def too_small(self) -> tuple[Subgroup, ...]:
        """The subgroups that lack a figure because a class has too few images."""
        return tuple(
            row for row in self.rows if None in (row.auroc.value, row.sensitivity.value, row.specificity.value)
        )


@dataclass(frozen=True)
class Shortcut:
    """The AUROC that is reached without the lesion.

    Attributes:
        name: "centre erased", "border erased", "mean colour", "file facts" or "missing metadata".
        meaning: Description of the method.
        auroc: AUROC on the same images.
        lost: AUROC of the network on whole images minus this one, paired.
        verdict: Interpretation of the result; empty if there is none.
        is_problem: Whether the network's result may rest on this shortcut.
        gaps: Sentences on metadata that are unknown for one class far more often than for the other.
    """

    name: str
    meaning: str
    auroc: Estimate
    lost: Estimate
    verdict: str
    is_problem: bool
    gaps: tuple[str, ...] = ()

    @property
    def is_as_good(self) -> bool:
        """True if it tells the classes apart, and the network is not shown to do better."""
        tells = self.auroc.interval is not None and self.auroc.interval[0] > CHANCE
        return self.is_problem and tells and self.lost.interval is not None and self.lost.interval[0] <= 0


@dataclass(frozen=True)
class Robustness:
    """The effect of one perturbation at one strength.

    Attributes:
        name: Name of the perturbation, such as "blur".
        strength: 1, 2 or 3.
        setting: Its parameter at this strength, such as "σ 1 pixel".
        auroc: AUROC on perturbed images.
        lost: AUROC on the original images minus this one, paired.
        flipped: Proportion of decisions that change.
        to_benign: Number of images whose decision changes from malignant to benign.
        to_malignant: Number of images whose decision changes from benign to malignant.
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
    """A false negative or false positive; images are data URIs, empty if the report must not show any.

    Attributes:
        path: Path of the image relative to its root.
        label: Name of the true class.
        probability: Probability of malignant.
        image: The image as the network sees it.
        heat_map: Heat map laid over the image; empty for a network without a convolution.
        control: The mean heat map of networks whose last layers' weights are shuffled.
        similarity: Rank correlation of heat map and control, -1 to 1: near 1 the map does not depend on what was
            learnt. None if one of them is constant.
        map_is_empty: Whether no region supports the decision, so that the heat map is the bare image.
        control_is_empty: Whether the control is the bare image.
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

    @property
    def band(self) -> str:
        """The band of `SIMILARITY_BANDS` in which the similarity lies; empty if there is none."""
        if self.similarity is None:
            return ""
        return next(band for band, lowest in SIMILARITY_BANDS.items() if self.similarity >= lowest)


@dataclass(frozen=True)
class MemberFigures:
    """The performance of one network of an ensemble.

    Attributes:
        name: Name of its run.
        auroc: AUROC of the network alone.
        contribution: AUROC of the ensemble minus that of the ensemble without this network, paired.
    """

    name: str
    auroc: Estimate
    contribution: Estimate


@dataclass(frozen=True)
class LearningCurves:
    """The figures of each epoch of a training.

    Attributes:
        epochs: Numbers of the E epochs, from 1.
        figures: Tag, such as `train/loss` or `val/auroc` → E values; None where an epoch lacks the figure.
        chosen: Epoch after which the evaluated weights were saved; None if it is not among them.
    """

    epochs: tuple[int, ...]
    figures: dict[str, tuple[float | None, ...]]
    chosen: int | None


@dataclass(frozen=True)
class Experiment:
    """The training of one evaluated network.

    Attributes:
        name: Name of its run.
        facts: Label → text: network, images of each split, optimizer, epochs and the like.
        curves: Figures of its epochs; None if the run has not recorded any.
    """

    name: str
    facts: dict[str, str]
    curves: LearningCurves | None


@dataclass(frozen=True)
class ImageSet:
    """The figures of one set of images at the run's own threshold; their intervals resample lesions that are known.

    Attributes:
        name: "test", "unseen lesions", a source such as "in_ham10000=1", or the name of an external set.
        n: Number of images.
        positives: Number of malignant images.
        lesions: Number of different lesions; None if they are unknown.
        auroc: AUROC.
        sensitivity: Sensitivity at the threshold.
        specificity: Specificity at the threshold.
        out_of_distribution: Proportion of images that are out of distribution; None if no detector applies.
        is_external: Whether the user named the set, so that it is not the run's own.
        note: A remark, such as on images that are left out; empty if there is none.
    """

    name: str
    n: int
    positives: int
    lesions: int | None
    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    out_of_distribution: Estimate | None
    is_external: bool = False
    note: str = ""


@dataclass(frozen=True)
class SetFigures:
    """The main figures of all images, or of those whose lesions are unseen in training."""

    title: str
    ranking: Ranking
    decisions: Decisions


@dataclass(frozen=True)
class Consequences:
    """The consequences of the decisions at the chosen threshold, for the images that the networks have not seen.

    Attributes:
        n: Number of these images; all images if none or all are seen.
        positives: Number of malignant ones.
        is_part: Whether the images are only those whose lesions are unseen in training.
        in_people: Decisions among 1,000 images at the prevalence that the user gave, or else at 2 %.
        decision_curves: Net benefit at that prevalence, and at the prevalence of these images.
        prior: Proportion of malignant training images, which the probabilities refer to; None if it is unknown.
        risk_coverage: Errors that remain if the least certain images are referred.
    """

    n: int
    positives: int
    is_part: bool
    in_people: InPeople
    decision_curves: tuple[DecisionCurve, DecisionCurve]
    prior: float | None
    risk_coverage: RiskCoverage


@dataclass(frozen=True)
class Content:
    """The whole report.

    Attributes:
        title: Name of the run (`name=`); for an ensemble, the names of its members and their number.
        split: `validation` or `test`.
        images: Name of the dataset.
        class_names: Names of the negative and the positive class.
        n: Number of images.
        positives: Number of malignant images.
        facts: Label → text: checkpoint, command, commit, date, threshold rule, test-time augmentation and the like.
        warnings: Warnings that belong beside the figures, such as "Validated on the test images".
        notes: Further remarks.
        sets: Main figures, of all images first.
        decisions: Performance at the chosen threshold, at 0.5, and of always benign.
        prevalence: Proportion of malignant moles that the user gave; None if none was given.
        calibration: Calibration before and after temperature scaling.
        subgroups: One table per column.
        shortcuts: AUROC that is reached without the lesion.
        robustness: Effects of perturbations; empty if not requested.
        false_negatives: The false negatives with the lowest probabilities.
        false_positives: The false positives with the highest probabilities.
        members: Performance of each member; empty for a single network.
        curves: Predictions from which figures are drawn.
        disclaimer: The notice that this is not a medical device.
        lesions: Number of different lesions that these images show; None if unknown.
        stamp: Folder of the run, which has its time in its name; empty for an ensemble.
        experiments: The training of each network.
        consequences: Consequences of the decisions; None if only numbers were requested.
        shows_published: Whether the ROC curve shows operating points that were published for other images.
        has_images: Whether the page may embed images of the dataset.
        image_sets: Figures of the test images, of parts of them and of external sets; empty if none was requested.
    """

    title: str
    split: str
    images: str
    class_names: tuple[str, str]
    n: int
    positives: int
    facts: dict[str, str]
    warnings: tuple[Caveat, ...]
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
    members: tuple[MemberFigures, ...]
    curves: PredictedScores
    disclaimer: str
    lesions: int | None = None
    stamp: str = ""
    experiments: tuple[Experiment, ...] = ()
    consequences: Consequences | None = None
    shows_published: bool = False
    has_images: bool = True
    image_sets: tuple[ImageSet, ...] = ()

    @property
    def confusion(self) -> Counts:
        """The confusion matrix at the chosen threshold."""
        return self.decisions[0].counts

    @property
    def is_rare(self) -> bool:
        """True if so few images are malignant that the area above 80 % sensitivity comes before the whole AUROC.

        Such images are those of a screening: only thresholds of high sensitivity are of use, and what they call
        malignant is nearly all benign.
        """
        return 0 < self.positives < RARE * self.n

    @property
    def is_scaled(self) -> bool:
        """True if a temperature was fitted; otherwise both calibrations have temperature 1."""
        before, after = self.calibration
        return before.temperature != after.temperature

    @property
    def has_maps(self) -> bool:
        """True if a heat map was computed for any mistake, whether or not the page shows it."""
        mistakes = (*self.false_negatives, *self.false_positives)
        return any(own.heat_map or own.map_is_empty or own.similarity is not None for own in mistakes)
