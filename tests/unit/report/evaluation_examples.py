"""Contents of reports made by hand: one with every feature and hostile names, one in which nothing is computable."""

import base64
import io
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from melanoma_pl.evaluation import decision_curve, in_people, outcomes, risk_coverage
from melanoma_pl.evaluation.assessment import Calibration, Ranking, Subgroup
from melanoma_pl.evaluation.intervals import Estimate, delong, proportion
from melanoma_pl.evaluation.metrics import Counts, auroc, average_precision, count
from melanoma_pl.evaluation.outcomes import Decisions
from melanoma_pl.evaluation.reliability import Bin
from melanoma_pl.messages import DISCLAIMER
from melanoma_pl.report.content import (
    Caveat,
    Consequences,
    Content,
    Experiment,
    ImageSet,
    LearningCurves,
    MemberFigures,
    Mistake,
    PredictedScores,
    Robustness,
    SetFigures,
    Shortcut,
    SubgroupTable,
)

MARKUP = "test/benign/<img src=x onerror=alert(1)>&\"quote'.png"
BROKEN_LINE = "test/malignant/two\nlines\x1b[31m\u202egnp.png"
LONG = f"test/malignant/{'a_long_folder_name/' * 6}end.png"
MONEY = "$x^{2$ 痣 \udcff"  # formula, letters that a font lacks, a byte that is no UTF-8
ONE_CLASS = "no positive images"


def full_content(n: int = 400) -> Content:
    """Return a content with every feature."""
    probabilities, targets = drawn_probabilities(n)
    chosen = decided("chosen on validation", probabilities, targets, 0.31)
    own = Estimate(auroc(probabilities, targets), delong(probabilities, targets))
    return Content(
        title="baseline <b>run</b> & {{ 7 * 7 }}",
        split="test",
        images="ham10000 <small>",
        class_names=("benign", "malignant"),
        n=n,
        positives=int(targets.sum()),
        facts={
            "command": 'melanoma-evaluate run=outputs/baseline/2026-11-25 --with-very-long-option="<value> & more"',
            "checkpoint": f"outputs/baseline/{'a_long_folder_name/' * 3}checkpoints/best.ckpt",
            "threshold": "highest with 95 % sensitivity on validation images",
            "commit": "f32ef09a1b2c3d4e5f60718293a4b5c6d7e8f901",
            "date": "2026-11-25 15:09",
        },
        warnings=(
            Caveat("seen", "Validated on the test images: these figures are too good."),
            Caveat("leak", "12 images share a lesion with training."),
            Caveat("synthetic", "Drawn <images>: they say nothing."),
        ),
        notes=("2 images cannot be read & are left out.",),
        sets=(
            SetFigures("all images", ranking(own, probabilities, targets), chosen),
            SetFigures("unseen <lesions> of training", ranking(own, probabilities, targets), chosen),
        ),
        decisions=(chosen, decided("0.5", probabilities, targets, 0.5), always_benign(targets)),
        prevalence=0.02,
        calibration=(
            calibration(probabilities**0.45, targets, 1.0, 0.0954),
            calibration(probabilities, targets, 1.7312, 0.0312),
        ),
        subgroups=(
            SubgroupTable("sex", False, (group("female", 181, 62), group("male", 210, 77), small("", 9, 3))),
            SubgroupTable("age", False, tuple(group(band, 80 + 9 * index, 20 + 9 * index) for index, band in AGES)),
            SubgroupTable("anatom_site_<i>general</i>", False, (group(MONEY, 90, 30), small("palms/soles", 12, 2))),
            SubgroupTable("skin tone", True, (group("light", 370, 132), small("dark", 30, 4)), "By the border."),
        ),
        shortcuts=SHORTCUTS,
        robustness=robustness(),
        false_negatives=tuple(
            mistake(path, "malignant", 0.004 * index) for index, path in enumerate((BROKEN_LINE, LONG))
        ),
        false_positives=(
            mistake(MARKUP, "benign", 0.9876),
            replace(mistake("test/benign/1.png", "benign", 0.9), heat_map="", control="", similarity=None),
        ),
        members=tuple(
            MemberFigures(
                f"<run {n}>", Estimate(0.89 + n / 100, (0.85 + n / 100, 0.93)), Estimate(0.004 - n / 500, (-0.01, 0.02))
            )
            for n in range(3)
        ),
        curves=PredictedScores(tuple(map(float, probabilities)), tuple(map(int, targets))),
        disclaimer=DISCLAIMER,
        stamp="2026-11-25_15-09-00-123456",
        experiments=tuple(map(experiment, range(3))),
        consequences=consequences(probabilities, targets, 0.31),
        image_sets=image_sets(),
    )


def image_sets() -> tuple[ImageSet, ...]:
    """Return the figures of all test images, of one source, and of two external sets, one of which has one class."""
    found, none = Estimate(0.81, (0.76, 0.86)), Estimate(None, None, ONE_CLASS)
    return (
        ImageSet("test", 400, 140, 390, Estimate(0.9, (0.86, 0.93)), found, found, proportion(20, 400)),
        ImageSet("source=<a>", 200, 70, 195, found, found, found, proportion(9, 200), note="unseen lesions"),
        ImageSet(f"{MONEY}/a_long_folder_name", 90, 30, None, found, found, found, proportion(40, 90), True),
        ImageSet("<one> class", 60, 0, 60, none, none, found, None, True, "3 images left out (<b>.png)"),
    )


def experiment(seed: int = 0, epochs: int = 4, chosen: int | None = 3) -> Experiment:
    """Return a training whose validation loss rises at the end; the first epoch lacks validation figures."""
    losses = [0.7 / (1 + 0.3 * epoch) for epoch in range(epochs)]
    figures: dict[str, tuple[float | None, ...]] = {
        "train/loss": tuple(losses),
        "val/loss": (None, *(loss + 0.05 * epoch for epoch, loss in enumerate(losses[1:]))),
        "train/accuracy": tuple(1 - loss for loss in losses),
        "val/auroc": (None, *(1 - 0.5 * loss for loss in losses[1:])),
    }
    facts = {"network": "ThreeConvNet <wide>", "parameters": "355,269", "optimizer": "AdamW", "seed": f"{seed}"}
    return Experiment(f"<run {seed}>", facts, LearningCurves(tuple(range(1, epochs + 1)), figures, chosen))


def bare_content() -> Content:
    """Return the content of five benign images: nothing that requires a melanoma can be computed."""
    targets, probabilities = np.zeros(5, dtype=np.int64), np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    none = Estimate(None, None, ONE_CLASS)
    chosen = decided("fixed", probabilities, targets, 0.5)
    empty = Ranking(none, None, none, none, {0.82: none, 0.9: none, 0.95: none})
    before = Calibration(1.0, none, None, Estimate(0.222), Estimate(0.7), none, none, ())
    return Content(
        title="bare",
        split="validation",
        images="mine",
        class_names=("benign", "malignant"),
        n=5,
        positives=0,
        facts={},
        warnings=(),
        notes=(),
        sets=(SetFigures("all images", empty, chosen),),
        decisions=(chosen, always_benign(targets)),
        prevalence=None,
        calibration=(before, before),
        subgroups=(),
        shortcuts=(),
        robustness=(),
        false_negatives=(),
        false_positives=(),
        members=(),
        curves=PredictedScores(tuple(map(float, probabilities)), (0,) * 5),
        disclaimer=DISCLAIMER,
        consequences=consequences(probabilities, targets, 0.5),
    )


def consequences(probabilities: np.ndarray, targets: np.ndarray, threshold: float) -> Consequences:
    """Return the consequences of the decisions at a prevalence of 2 %."""
    arguments = probabilities, targets, threshold
    return Consequences(
        n=targets.size,
        positives=int(targets.sum()),
        is_part=False,
        in_people=in_people(count(*arguments), 0.02),
        decision_curves=(
            decision_curve(*arguments, prevalence=0.02, prior=0.35, replicates=200),
            decision_curve(*arguments, replicates=200),
        ),
        prior=0.35,
        risk_coverage=risk_coverage(*arguments, replicates=200),
    )


def drawn_probabilities(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw probabilities that rank well but not perfectly."""
    draw = np.random.default_rng(0)
    targets = (np.arange(n) % 20 < 7).astype(np.int64)
    return 1 / (1 + np.exp(-draw.normal(2.6 * targets - 1.6, 1.5))), targets


def decided(name: str, probabilities: np.ndarray, targets: np.ndarray, threshold: float) -> Decisions:
    """Return the decisions of a threshold."""
    return decisions(name, threshold, count(probabilities, targets, threshold))


def always_benign(targets: np.ndarray, name: str = "always benign") -> Decisions:
    """Return the decisions that need no network."""
    return outcomes.always_benign(targets, 0.02 if targets.any() else None, name)


def decisions(name: str, threshold: float | None, counts: Counts) -> Decisions:
    """Return the performance of a confusion matrix."""
    right = counts.true_positives + counts.true_negatives
    called = counts.true_positives + counts.false_positives
    cleared = counts.true_negatives + counts.false_negatives
    middle = counts.balanced_accuracy
    balanced = (
        Estimate(middle, (middle - 0.04, middle + 0.04)) if middle is not None else Estimate(None, None, ONE_CLASS)
    )
    later = counts.positives > 0
    return Decisions(
        name,
        threshold,
        counts,
        proportion(counts.true_positives, counts.positives, ONE_CLASS),
        proportion(counts.true_negatives, counts.negatives),
        balanced,
        proportion(right, counts.n),
        proportion(counts.true_positives, called, "no positive decisions"),
        proportion(counts.true_negatives, cleared),
        Estimate(0.071, (0.05, 0.1)) if later and called else None,
        Estimate(0.9971, (0.99, 0.999)) if later else None,
    )


def ranking(own: Estimate, probabilities: np.ndarray, targets: np.ndarray) -> Ranking:
    """Return figures of the ranking, most of them invented."""
    return Ranking(
        own,
        replace(own, interval=(0.85, 0.94)),
        Estimate(average_precision(probabilities, targets), (0.78, 0.9)),
        Estimate(0.1432, None, "too few lesions for a bootstrap"),
        {wanted: Estimate(1.6 - wanted, (1.5 - wanted, 1.7 - wanted)) for wanted in (0.82, 0.9, 0.95)},
    )


def calibration(probabilities: np.ndarray, targets: np.ndarray, temperature: float, ece: float) -> Calibration:
    """Return a reliability diagram of ten bins, and invented figures."""
    members = np.minimum((10 * probabilities).astype(int), 9)
    bins = tuple(
        Bin(int(own.sum()), float(probabilities[own].mean()), proportion(int(targets[own].sum()), int(own.sum())))
        for index in range(10)
        if (own := members == index).any()
    )
    return Calibration(
        temperature,
        Estimate(ece, (ece - 0.02, ece + 0.03)),
        (0.0187, 0.0561),
        Estimate(0.1121, (0.09, 0.13)),
        Estimate(0.3456, (0.29, 0.41)),
        Estimate(-0.21, (-0.5, 0.1)),
        Estimate(0.93, (0.7, 1.2)),
        bins,
    )


AGES = tuple(enumerate(("under 30", "30–44", "45–59", "60–74", "75 and over")))


def group(value: str, n: int, positives: int) -> Subgroup:
    """Return a subgroup that is large enough."""
    sensitive, specific = round(0.9 * positives), round(0.7 * (n - positives))
    middle = 0.84 + positives / 1000
    return Subgroup(
        value,
        n,
        positives,
        Estimate(middle, (middle - 0.05, middle + 0.04)),
        proportion(sensitive, positives),
        proportion(specific, n - positives),
    )


def small(value: str, n: int, positives: int) -> Subgroup:
    """Return a subgroup that is too small."""
    none = Estimate(None, None, f"too small: {positives} positive images")
    return Subgroup(value, n, positives, none, none, proportion(n - positives - 2, n - positives))


ALIKE = Estimate(None, None, "all files are alike")
SHORTCUTS = (
    Shortcut(
        "centre erased", "The middle of each image is filled with the mean colour around it.",
        Estimate(0.782, (0.73, 0.83)), Estimate(0.121, (0.08, 0.16)),
        "Much of the result needs no lesion: the network may read <the frame>.", True,
    ),
    Shortcut(
        "border erased", "Everything but the middle is filled.", Estimate(0.88, (0.84, 0.92)),
        Estimate(0.023, (0.0, 0.046)), "", False,
    ),
    Shortcut(
        "mean colour", "A classifier sees the mean colour alone.", Estimate(0.53, (0.47, 0.59)),
        Estimate(0.373, (0.3, 0.44)), "Colour alone hardly tells the label.", False,
    ),
    Shortcut(
        "file facts", "A classifier sees size and format of the file alone.", ALIKE, ALIKE, "", False,
    ),
)  # fmt: skip

PERTURBATIONS = {
    "blur": "σ {} pixels", "noise": "σ {} %", "JPEG": "quality {}0", "brightness": "+{}0 %", "hair": "{} hairs",
    "turned <90°>": "{}0°", "hue": "{}°",
}  # fmt: skip


def robustness() -> tuple[Robustness, ...]:
    """Return three strengths of each perturbation; the last one cannot be computed."""
    steps = []
    for index, (name, setting) in enumerate(PERTURBATIONS.items()):
        for strength in (1, 2, 3):
            middle = 0.9 - 0.012 * strength * (1 + index)
            found = Estimate(middle, (middle - 0.04, middle + 0.03))
            lost = Estimate(0.903 - middle, (0.89 - middle, 0.92 - middle))
            if name == "hue":
                found = lost = Estimate(None, None, "images are grey")
            flipped = proportion(5 * strength * (1 + index), 400)
            steps.append(Robustness(name, strength, setting.format(strength), found, lost, flipped, 2 * strength, 3))
    return tuple(steps)


def mistake(path: str, label: str, probability: float) -> Mistake:
    """Return a mistake whose images have one colour each."""
    image, heat_map, control = drawn_image((196, 140, 120)), drawn_image((220, 90, 40)), drawn_image((60, 90, 200))
    return Mistake(path, label, probability, image, heat_map, control, 0.123)


def drawn_image(colour: tuple[int, int, int]) -> str:
    """Return a small image of a mole on skin as a data URI."""
    pixels = np.full((128, 128, 3), colour, dtype=np.uint8)
    rows, columns = np.mgrid[-64:64, -64:64]
    pixels[rows**2 + 2 * columns**2 < 1500] //= 2
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=70)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def named_content(negative: str, positive: str) -> Content:
    """Return a content with every feature for classes of other names."""
    content = full_content()
    wrong = replace(content.false_negatives[0], path="1.png", label=positive)
    always_negative = replace(content.decisions[2], name=f"always {negative}")
    return replace(
        content,
        class_names=(negative, positive),
        facts={},
        decisions=(*content.decisions[:2], always_negative),
        false_negatives=(wrong,),
        false_positives=(replace(wrong, label=negative),),
        lesions=390,
    )


def labels(figure: Figure | None) -> list[str]:
    """Return the entries of the legend of a figure's first axis."""
    assert figure is not None
    return figure.axes[0].get_legend_handles_labels()[1]
