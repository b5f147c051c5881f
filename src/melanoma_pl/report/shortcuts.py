"""What images taken a little differently do to the result.

What is reached without the lesion: by the network on images it was erased from, and by things that know no medicine.

A network whose result images without a lesion reach as well has not learnt what it was meant to learn.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from melanoma_pl.data.audit.findings import TELLING
from melanoma_pl.data.audit.label_shortcuts import features_of, grow
from melanoma_pl.data.audit.scanning import scan
from melanoma_pl.data.image_set import ImageListing, LabelledImages
from melanoma_pl.data.loader import ImageBatches
from melanoma_pl.evaluation.assessment import auroc_with_delong
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.evaluation.comparison import paired_delong
from melanoma_pl.evaluation.intervals import Estimate, wilson
from melanoma_pl.inference.corruptions import PERTURBATIONS, Perturbation
from melanoma_pl.inference.ensemble import Ensemble, Logits
from melanoma_pl.inference.erasure import erase_border, erase_centre
from melanoma_pl.inference.prediction import split_batches
from melanoma_pl.report.content import Robustness, Shortcut

STRENGTHS = (1, 2, 3)


def measure_robustness(
    panel: Ensemble, split: str, whole: Logits, targets: NDArray[np.int64]
) -> tuple[Robustness, ...]:
    """Judge the images again under each perturbation at each strength.

    Args:
        panel: Who judges.
        split: `validation` or `test`.
        whole: float `(N,)`, logits of the images as they are.
        targets: int64 `(N,)`.
    """
    return tuple(
        _measure(panel, split, perturbation, strength, whole, targets)
        for perturbation in PERTURBATIONS
        for strength in STRENGTHS
    )


def _measure(
    panel: Ensemble, split: str, perturbation: Perturbation, strength: int, whole: Logits, targets: NDArray[np.int64]
) -> Robustness:
    title = f"{perturbation.name} {strength}"
    logits = panel.logits(split, title, lambda pixels, indices: perturbation.apply(pixels, strength, indices))
    before, after = panel.decision.is_malignant(whole), panel.decision.is_malignant(logits)
    return Robustness(
        name=perturbation.name,
        strength=strength,
        setting=perturbation.settings[strength - 1],
        auroc=auroc_with_delong(logits, targets),
        lost=auroc_lost(whole, logits, targets),
        flipped=Estimate(float(np.mean(before != after)), wilson(int((before != after).sum()), len(targets))),
        to_benign=int((before & ~after).sum()),
        to_malignant=int((~before & after).sum()),
    )


def auroc_lost(whole: Logits, changed: Logits, targets: NDArray[np.int64]) -> Estimate:
    """Return the AUROC of images as they are less that of changed ones, paired: scores, float `(N,)` each."""
    difference = paired_delong(whole, changed, targets)
    return Estimate(difference.value, difference.interval, difference.reason)


CENTRE = (
    "The network itself, on images whose middle, where the lesion is, was painted in the colour of the border; "
    "of large lesions the rim is left"
)
BORDER = "The network itself, on images of which only the middle is left: a control, no shortcut"
COLOUR = (
    "A logistic regression that knows nothing but each image's mean red, green and blue: light, camera, skin, and "
    "how large and dark the lesion is, but no shape and no structure"
)
WITHOUT = {"centre erased": "the lesion", "mean colour": "any shape or structure", "file facts": "a single pixel"}
FILES = "Boosted trees that see no pixel, only how the files were written (bytes, density, EXIF, compression)"

CHANCE = 0.5  # the AUROC of a guess

Integers = NDArray[np.int64]


def find_shortcuts(
    panel: Ensemble, split: str, whole: Logits, targets: Integers, training: LabelledImages | None
) -> tuple[Shortcut, ...]:
    """Measure what is reached without the lesion.

    Args:
        panel: Who judges.
        split: `validation` or `test`.
        whole: float `(N,)`, logits of the images as they are.
        targets: int64 `(N,)`.
        training: Images that what knows no medicine learns from, none of them judged; None where they are gone.
    """
    erased = erased_logits(panel, split)
    found = [
        _shortcut("centre erased", CENTRE, erased["centre erased"], whole, targets),
        _shortcut("border erased", BORDER, erased["border erased"], whole, targets, is_control=True),
    ]
    if training is None:
        gone = Estimate(None, None, "the run's training images are not where they were")
        return (*found, *(Shortcut(name, meaning, gone, gone, "", False) for name, (meaning, _) in UNMEDICAL.items()))
    batches = panel.members[0].evaluated.split(split)
    scores = unmedical_scores(training, batches.loaded.images.take(batches.positions.numpy()))
    found += [_shortcut(name, UNMEDICAL[name][0], scores[name], whole, targets) for name in UNMEDICAL]
    return tuple(found)


def erased_logits(panel: Ensemble, split: str) -> dict[str, Logits]:
    """Return the logits of images without their middle, and of their middle alone: float `(N,)` each."""
    fill = mean_colour(panel.members[0].evaluated.split(split))
    return {
        "centre erased": panel.logits(split, "centre erased", lambda pixels, _: erase_centre(pixels)),
        "border erased": panel.logits(split, "border erased", lambda pixels, _: erase_border(pixels, fill)),
    }


def mean_colour(split: ImageBatches) -> torch.Tensor:
    """Return the mean red, green and blue of all images of a split: float32 `(3,)`, 0 to 255."""
    sums = [pixels.float().mean(dim=(2, 3)).sum(dim=0) for pixels in split_batches(split, "mean colour")]
    return torch.stack(sums).sum(dim=0) / len(split)


def unmedical_scores(training: LabelledImages, evaluated: LabelledImages) -> dict[str, Floats]:
    """Learn from training images what mean colour and file facts tell, and judge others by it.

    Returns:
        Name → probabilities, float64 `(N,)`, in the order of `judged`; 0.5 where a file cannot be read.
    """
    files = [str(file) for file in (*training.files, *evaluated.files)]
    # in one pass: kinds of files get their numbers from all that are looked at
    scanned = scan(ImageListing(Path(), tuple(files), ("",) * len(files), ("",) * len(files)))
    places = {path: place for place, path in enumerate(scanned.listing.paths)}
    is_read = np.array([file in places for file in files])
    learnt, judging = (np.array(part, dtype=bool) for part in np.split(is_read, [len(training)]))
    features = features_of(scanned)
    scores = {name: np.full(len(evaluated), 0.5) for name in UNMEDICAL}
    with threadpool_limits(1):  # too small for several threads, which would only wait
        for name, (_, fit) in UNMEDICAL.items():
            model = fit(features[name][: learnt.sum()], training.targets[learnt])
            scores[name][judging] = model.predict_proba(features[name][learnt.sum() :])[:, 1]
    return scores


def _fit_colour(colours: Floats, targets: Integers) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(colours, targets)


UNMEDICAL: dict[str, tuple[str, Callable[[Floats, Integers], Any]]] = {
    "mean colour": (COLOUR, _fit_colour),
    "file facts": (FILES, grow),
}


def _shortcut(
    name: str, meaning: str, scores: Logits, whole: Logits, targets: Integers, *, is_control: bool = False
) -> Shortcut:
    reached, lost = auroc_with_delong(scores, targets), auroc_lost(whole, scores, targets)
    own = auroc_with_delong(whole, targets)
    low = reached.interval[0] if reached.interval else 0.0
    is_better = low > CHANCE and lost.interval is not None and lost.interval[1] < 0
    tells = not is_control and (low > TELLING or is_better)
    verdict = _of_control(own, lost) if is_control else verdict_of(reached, own, lost, tells, WITHOUT[name])
    return Shortcut(name, meaning, reached, lost, verdict, tells)


def verdict_of(reached: Estimate, whole: Estimate, lost: Estimate, tells: bool, without: str) -> str:
    """Say what it means that something without medicine reaches an AUROC.

    Args:
        reached: What it reaches.
        whole: What the network reaches on whole images.
        lost: The difference, paired.
        tells: Whether the lower end of what it reaches is above what hardly tells.
        without: What it has to do without.
    """
    if reached.value is None or whole.value is None or lost.interval is None:
        return ""
    high = reached.interval[1] if reached.interval else 1.0
    if not tells and high < 1 - TELLING:
        return "It ranks the classes the other way round, and so tells them apart."
    if not tells and high > TELLING:
        return "It may tell the classes apart: these images are too few to say."
    if not tells:
        return "It hardly tells the classes apart."
    if lost.interval[0] <= 0:
        as_good = "As good as the network on whole images, as far as these can show"
        return f"{as_good}: its result can be had without {without}."
    share = (reached.value - 0.5) / (whole.value - 0.5) if whole.value > 0.5 else 1.0
    return f"{100 * min(share, 1):.0f} % of what the network has above a guess is reached without {without}."


def _of_control(whole: Estimate, lost: Estimate) -> str:
    if lost.interval is None or whole.interval is None:
        return ""
    if whole.interval[0] <= CHANCE:
        return "The network does not tell the classes apart to begin with, as far as these images can show."
    if lost.interval[0] > 0:
        return "The network needs what lies around the lesion, or is thrown off by its absence."
    return "The network does as well on the middle alone, as far as these images can show."


def training_images(listed: LabelledImages, evaluated: Sequence[str]) -> LabelledImages:
    """Return the images of a train folder that are not judged."""
    gone = set(evaluated)
    return listed.take([index for index, path in enumerate(listed.paths) if path not in gone])
