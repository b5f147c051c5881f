"""Evaluation on changed images: without the lesion (shortcuts), and perturbed in everyday ways (robustness).

If images without the lesion reach the network's result, the network need not have learnt anything about lesions.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from melanoma_pl.data.audit.findings import TELLING
from melanoma_pl.data.audit.label_shortcuts import MISSING, file_features, fit_trees
from melanoma_pl.data.audit.scanning import FileFacts, facts_of
from melanoma_pl.data.cache.memory_cache import LoadedImages
from melanoma_pl.data.columns import Column, missing_metadata, read_columns, telling_gaps
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.decoding import decode_images
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.data.metadata import read_table
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import Estimate, RankedImages, clustered_proportion
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.image_files import AT_ONCE, BrokenImageError, open_image, read_all
from melanoma_pl.inference.corruptions import PERTURBATIONS, STRENGTHS, Perturbation, erase_border, erase_centre
from melanoma_pl.inference.ensemble import Ensemble, Logits, Member
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.report.content import Robustness, Shortcut

Integers = NDArray[np.int64]

CHANCE = 0.5  # AUROC at chance level
MOST_FITTED = 20_000  # training images that the models without pixels learn from: more change little, and take minutes
MEANINGS = {
    "centre erased": (
        "The network on images whose centre, where the lesion is, has the colour of the border; of a large lesion the "
        "rim remains"
    ),
    "border erased": "The network on images of which only the centre remains: a control, not a shortcut",
    "mean colour": (
        "A logistic regression on nothing but each image's mean red, green and blue: light, camera, skin, and how "
        "large and dark the lesion is, but neither shape nor structure"
    ),
    "file facts": (
        "Boosted trees that see no pixel, only how the files were written (bytes, density, EXIF, compression)"
    ),
    MISSING: "Boosted trees that see no pixel, only which metadata are unknown (age, sex, site, …)",
}
"""Name of each shortcut → meaning; the second is the control, the last one needs metadata."""
WITHOUT = {
    "centre erased": "the lesion",
    "mean colour": "any shape or structure",
    "file facts": "a single pixel",
    MISSING: "a single pixel",
}


def measure_robustness(ensemble: Ensemble, split: str, own: RankedImages) -> tuple[Robustness, ...]:
    """Evaluate the images again under each perturbation at each strength.

    Args:
        ensemble: The networks.
        split: `validation` or `test`.
        own: The unchanged images with their combined logits.
    """
    return tuple(
        _under_perturbation(ensemble, split, perturbation, strength, own)
        for perturbation in PERTURBATIONS
        for strength in STRENGTHS
    )


def _under_perturbation(
    ensemble: Ensemble, split: str, perturbation: Perturbation, strength: int, own: RankedImages
) -> Robustness:
    title = f"{perturbation.name} {strength}"
    changed = ensemble.logits(split, title, lambda pixels, indices: perturbation.apply(pixels, strength, indices))
    perturbed = own.with_scores(changed)
    before, after = ensemble.decision.is_malignant(own.scores), ensemble.decision.is_malignant(changed)
    return Robustness(
        name=perturbation.name,
        strength=strength,
        setting=perturbation.settings[strength - 1],
        auroc=perturbed.auroc,
        lost=own.auroc_minus(perturbed),
        flipped=clustered_proportion(before != after, own.groups),
        to_benign=int((before & ~after).sum()),
        to_malignant=int((~before & after).sum()),
    )


def find_shortcuts(
    ensemble: Ensemble, split: str, own: RankedImages, training: LabelledImages | None
) -> tuple[Shortcut, ...]:
    """Measure the AUROC that is reached without the lesion.

    Args:
        ensemble: The networks.
        split: `validation` or `test`.
        own: The unchanged images with their combined logits.
        training: Images to train the trivial models on, none of them evaluated; None if they are missing.
    """
    member = ensemble.members[0]
    batches, preprocessing = member.evaluated.split(split), member.evaluated.preprocessing
    colours = mean_colours(batches.images, preprocessing, batches.loaded)
    fill = torch.from_numpy(colours.mean(axis=0, dtype=np.float32))
    scores: dict[str, Logits] = {
        "centre erased": ensemble.logits(split, "centre erased", lambda pixels, _: erase_centre(pixels)),
        "border erased": ensemble.logits(split, "border erased", lambda pixels, _: erase_border(pixels, fill)),
    }
    if training is not None:
        learnt = training.take(few_of(training.targets))
        colours = np.concatenate([mean_colours(learnt, preprocessing, member.own.loaded("train")), colours])
        scores |= trivial_scores(learnt, batches.images, colours)
    sample = "" if training is None else _sample_in_words(training.targets)
    unknown = _missing(member, training, batches.images)
    if unknown.evaluated is None:
        return tuple(_shortcut(name, scores.get(name), own, sample) for name in MEANINGS if name != MISSING)
    if training is not None and unknown.training is not None:
        with threadpool_limits(1):
            trees = fit_trees(unknown.training, training.targets)
        scores[MISSING] = trees.predict_proba(unknown.evaluated)[:, 1]
    *found, missing = (_shortcut(name, scores.get(name), own, sample) for name in MEANINGS)
    return *found, replace(missing, is_problem=missing.is_problem or bool(unknown.gaps), gaps=tuple(unknown.gaps))


class Missing(NamedTuple):
    """The metadata that are unknown.

    Attributes:
        training: 1 where a column is unknown for a training image, float64 `(M, D)`; None without training images.
        evaluated: The same for the evaluated images, float64 `(N, D)`; None if each column is known for all or none.
        gaps: Sentences on columns that are unknown for one class far more often than for the other.
    """

    training: Floats | None
    evaluated: Floats | None
    gaps: list[str]


def _missing(member: Member, training: LabelledImages | None, evaluated: LabelledImages) -> Missing:
    """Return which metadata are unknown, of the columns that both datasets have."""
    parts = {"evaluated": (member.evaluated, evaluated)}
    if training is not None:
        parts["training"] = (member.own, training)
    columns = [{column.name: column for column in _read_columns(*part)} for part in parts.values()]
    common = [name for name in columns[0] if all(name in each for each in columns)]
    missing = [missing_metadata(each[name] for name in common) for each in columns]
    names = [name for name in common if any(name in each for each in missing)]
    if not names:
        return Missing(None, None, [])
    unknown = [np.stack([each[name].unknown for name in names], axis=1).astype(np.float64) for each in columns]
    gaps = [
        f"Of the {part} images, {gap}"
        for each, (part, (_, images)) in zip(missing, parts.items(), strict=True)
        for gap in telling_gaps(each, images.targets, images.class_names[1])
    ]
    return Missing(unknown[1] if training is not None else None, unknown[0], gaps)


def _read_columns(data: MoleDataModule, images: LabelledImages) -> list[Column]:
    """Return the columns of the metadata; none if there is no table, or it cannot be used."""
    try:
        table = data.find_metadata()
        rows = read_table(table, data.options.image_column, listed=set(images.paths)) if table else {}
    except UserError:
        return []
    return read_columns(images, rows)


def mean_colours(images: LabelledImages, preprocessing: Preprocessing, loaded: LoadedImages | None) -> Floats:
    """Return the mean red, green and blue of each image as the network gets it.

    Args:
        images: The images.
        preprocessing: That of the network.
        loaded: Decoded images; if any of the images is not among them, their files are decoded instead.

    Returns:
        float64 `(N, 3)`, 0 to 255, the same however the images were decoded; NaN where a file cannot be read.
    """
    cache = None if loaded is None or loaded.images.root != images.root else loaded.cache
    places = {} if loaded is None else {path: place for place, path in enumerate(loaded.images.paths)}
    if cache is not None and places.keys() >= set(images.paths):
        wanted = [places[path] for path in images.paths]
        return np.array(list(read_all(lambda place: _mean(cache[place]), wanted, "looking at images", AT_ONCE)))
    means: list[Floats] = []
    _, broken = decode_images(images, preprocessing, "images", lambda _, pixels: means.append(_mean(pixels)))
    colours = np.full((len(images), 3), np.nan)
    colours[[path not in broken for path in images.paths]] = np.array(means).reshape(-1, 3)
    return colours


def _mean(pixels: torch.Tensor) -> Floats:
    """Return an image's mean colour, float64 `(3,)` from uint8 `(S, S, 3)`."""
    rows = (
        pixels.numpy().reshape(len(pixels), -1).sum(axis=0, dtype=np.uint32)
    )  # loops over rows, not over three numbers
    return np.asarray(rows.reshape(-1, 3).sum(axis=0) / (pixels.shape[0] * pixels.shape[1]), dtype=np.float64)


def trivial_scores(training: LabelledImages, evaluated: LabelledImages, colours: Floats) -> dict[str, Floats]:
    """Fit the trivial models to training images and apply them to others.

    Args:
        training: M images.
        evaluated: N images.
        colours: Mean colours of the training images and then of the others, float64 `(M + N, 3)`.

    Returns:
        Name → probabilities, float64 `(N,)`, in the order of `evaluated`; 0.5 where a file cannot be read.
    """
    # in one pass, because the numbers of the file formats depend on all files
    read = list(read_all(_facts, [*training.files, *evaluated.files], "looking at files", AT_ONCE))
    is_read = np.array([each is not None for each in read]) & np.isfinite(colours).all(axis=1)
    to_fit, to_score = np.split(is_read, [len(training)])
    facts = file_features([each for each, is_known in zip(read, is_read, strict=True) if each and is_known])
    features = {"mean colour": colours[is_read], "file facts": np.array(facts, np.float64)}
    scores = {name: np.full(len(evaluated), 0.5) for name in TRIVIAL}
    with threadpool_limits(1):  # models of this size are too small for several threads, which would only wait
        for name, fit in TRIVIAL.items():
            model = fit(features[name][: to_fit.sum()], training.targets[to_fit])
            scores[name][to_score] = model.predict_proba(features[name][to_fit.sum() :])[:, 1]
    return scores


def _facts(file: Path) -> FileFacts | None:
    """Return what a file says about its image; None if it cannot be read."""
    try:
        with open_image(file) as image:
            return facts_of(image, file.stat().st_size)
    except BrokenImageError:
        return None


def few_of(targets: Integers, most: int = MOST_FITTED) -> Integers:
    """Return the indices of at most `most` images, sorted: half malignant ones, if there are so many, and benign ones.

    They are spread evenly over the images of their class. Ranking by a model does not depend on the prevalence.
    """
    if len(targets) <= most:
        return np.arange(len(targets))
    malignant, benign = (np.flatnonzero(targets == target) for target in (1, 0))
    number = min(len(malignant), max(most // 2, most - len(benign)))
    parts = ((malignant, number), (benign, most - number))
    spread = [every[np.linspace(0, len(every) - 1, count).astype(np.int64)] for every, count in parts]
    return np.sort(np.concatenate(spread))


def _fit_colour(colours: Floats, targets: Integers) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(colours, targets)


TRIVIAL: dict[str, Callable[[Floats, Integers], Any]] = {"mean colour": _fit_colour, "file facts": fit_trees}
"""Models that see no lesion: name → fitting function."""


def _sample_in_words(targets: Integers) -> str:
    """Return which training images the trivial models learn from; empty if from all of them."""
    chosen = few_of(targets)
    if len(chosen) == len(targets):
        return ""
    malignant = int(targets[chosen].sum())
    return f". Learnt from {len(chosen):,} of {len(targets):,} training images, {malignant:,} of them malignant"


def _shortcut(name: str, scores: Logits | None, own: RankedImages, sample: str) -> Shortcut:
    """Return a shortcut from its scores; `sample` says what the trivial models learnt from."""
    meaning = MEANINGS[name] + sample * (name in TRIVIAL)
    if scores is None:
        gone = Estimate(None, None, "the run's training images are not where they were")
        return Shortcut(name, meaning, gone, gone, "", False)
    without = own.with_scores(scores)
    reached, lost = without.auroc, own.auroc_minus(without)
    if name not in WITHOUT:
        return Shortcut(name, meaning, reached, lost, _control_verdict(own.auroc, lost), False)
    low = reached.interval[0] if reached.interval else 0.0
    is_better = low > CHANCE and lost.interval is not None and lost.interval[1] < 0
    is_problem = low > TELLING or is_better
    verdict = verdict_of(reached, own.auroc, lost, is_problem, WITHOUT[name])
    return Shortcut(name, meaning, reached, lost, verdict, is_problem)


def verdict_of(reached: Estimate, own: Estimate, lost: Estimate, is_problem: bool, without: str) -> str:
    """Return what a shortcut's AUROC means, in a sentence; empty if nothing can be said.

    Args:
        reached: AUROC of the shortcut.
        own: AUROC of the network on unchanged images.
        lost: Their paired difference.
        is_problem: Whether the network's result may come from the shortcut.
        without: What the shortcut does without, such as "the lesion".
    """
    if reached.value is None or own.value is None or lost.interval is None:
        return ""
    if is_problem and lost.interval[0] <= 0:
        return f"On these images it is as good as the network: the same result is possible without {without}."
    if is_problem:
        fraction = (reached.value - CHANCE) / (own.value - CHANCE) if own.value > CHANCE else 1.0
        return f"{100 * min(fraction, 1):.0f} % of the network's AUROC above chance level is reached without {without}."
    high = reached.interval[1] if reached.interval else 1.0
    if high < 1 - TELLING:
        return "It ranks the classes in reverse order, and so tells them apart."
    if high > TELLING:
        return "It may tell the classes apart: these images are too few to say."
    return "It hardly tells the classes apart."


def _control_verdict(own: Estimate, lost: Estimate) -> str:
    if lost.interval is None or own.interval is None:
        return ""
    if own.interval[0] <= CHANCE:
        return "On these images the network does not tell the classes apart in the first place."
    if lost.interval[0] > 0:
        return "The network needs what surrounds the lesion, or its absence misleads the network."
    return "On these images the network is as good with the centre alone."
