"""Labels that can be predicted without looking at the lesion, and labels that the diagnosis contradicts.

Boosted trees learn the label from what a network should not need, such as how a file was written, and predict images
that they did not see. An AUROC near 0.5 is what one hopes for. Where it is far above, a network may have learnt the
same shortcut, and its result on such images proves nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from melanoma_pl.data.audit.findings import TELLING, LabelConflict, LabelShortcut
from melanoma_pl.data.audit.scanning import FileFacts, Scan
from melanoma_pl.data.columns import telling_gaps
from melanoma_pl.data.labelled_images import LabelledImages, standard_label
from melanoma_pl.data.options import CLASS_NAMES
from melanoma_pl.data.public_sets.diagnoses import malignancies
from melanoma_pl.evaluation.intervals import delong
from melanoma_pl.evaluation.metrics import auroc

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Folds = list[tuple[Integers, Integers]]

FOLDS = 5
ROUNDS = 40  # trees
MOST_IMAGES = 20_000  # a sample says as much, and keeps large datasets affordable
STRONG = 0.75  # AUROC, lower end of the interval
MISSING = "missing metadata"
MEANINGS = {
    "file facts": "How the files were written (bytes, density, EXIF, compression), which reveals their source",
    "image size": "Width and height of the images",
    "mean colour": "The mean of red, green and blue, which reflects light, camera and skin, not the shape of the mole",
    "outer border": "The outermost eighth of the image, which shows hardly any mole",
    MISSING: "Which metadata are unknown (age, sex, site, …), which reveals the source of an image",
}
VERDICTS = (
    "It hardly predicts the label.",
    "It predicts the label to some degree: compare the AUROC of a network with this one.",
    "It predicts the label well: the AUROC of a network on these images can come from it.",
)
DIAGNOSIS = "diagnosis"  # column of the metadata
SEPARATOR = "|"  # between the diagnoses of several sources


def find_label_shortcuts(
    scanned: Scan,
    malignant: Integers,
    groups: Integers,
    seed: int = 0,
    missing: Mapping[str, NDArray[np.bool_]] | None = None,
    positive: str = CLASS_NAMES[1],
) -> tuple[LabelShortcut, ...]:
    """Measure how well the label is predicted from each kind of feature that a network should not need.

    Args:
        scanned: The images.
        malignant: int64 `(N,)`, 1 for the positive class.
        groups: int64 `(N,)`; images with equal numbers are in one fold.
        seed: Seed of the folds, and of the sample of very large datasets.
        missing: Column of the metadata → the images for which it is unknown, bool `(N,)`; as of `missing_metadata`.
        positive: Name of the positive class.
    """
    sample = np.arange(len(malignant))
    if len(sample) > MOST_IMAGES:
        sample = np.sort(np.random.default_rng(seed).choice(len(sample), MOST_IMAGES, replace=False))
    targets = malignant[sample]
    folds = cut(targets, groups[sample], seed)
    features = features_of(scanned)
    if missing:
        features[MISSING] = np.stack(list(missing.values()), axis=1).astype(np.float64)
    with threadpool_limits(1):  # trees of this size are too small for several threads, which would only wait
        found = [_measure(name, values[sample], targets, folds) for name, values in features.items()]
    if missing and (gaps := telling_gaps(missing, malignant, positive)):
        found[-1] = replace(found[-1], gaps=tuple(gaps), sentence=" ".join([found[-1].sentence, *gaps]))
    return tuple(found)


def features_of(scanned: Scan) -> dict[str, Floats]:
    """Return the features that might reveal the label: name → float64 `(N, D)`."""
    facts = [image.facts for image in scanned.images]
    features = {
        "file facts": file_features(facts),
        "image size": [[fact.width, fact.height] for fact in facts],
        "mean colour": [image.mean_colour for image in scanned.images],
        "outer border": [image.border for image in scanned.images],
    }
    return {name: np.array(values, dtype=np.float64) for name, values in features.items()}


def file_features(facts: Sequence[FileFacts]) -> list[list[int]]:
    """Return the features of N files, N lists of 5; the number of a file's format depends on all of them."""
    kinds = sorted({(fact.image_format, fact.mode) for fact in facts})
    return [
        [fact.size, fact.density, fact.exif_size, fact.quantisation, kinds.index((fact.image_format, fact.mode))]
        for fact in facts
    ]


def _measure(name: str, features: Floats, targets: Integers, folds: Folds | None) -> LabelShortcut:
    if (features == features[:1]).all():
        return LabelShortcut(name, None, None, f"{MEANINGS[name]}: the same for all images, so it predicts nothing.")
    if folds is None:
        return LabelShortcut(name, None, None, f"Not computable: a class has fewer than {FOLDS} lesions.")
    scores = cross_validated_scores(features, targets, folds)
    area, interval = auroc(scores, targets), delong(scores, targets)
    low = interval[0] if interval else 0.0
    verdict = VERDICTS[int(low >= TELLING) + int(low >= STRONG)]
    return LabelShortcut(name, area, interval, f"{MEANINGS[name]}. {verdict}")


def cut(targets: Integers, groups: Integers, seed: int) -> Folds | None:
    """Return the training and held-out indices of each fold; None where a class has fewer lesions than folds."""
    lesions, first, lesion_of = np.unique(groups, return_index=True, return_inverse=True)
    if np.bincount(targets[first], minlength=2).min() < FOLDS:
        return None
    # by lesion, each with its first image's label: like StratifiedGroupKFold, which takes a second for 2,000 lesions
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(lesions, targets[first])
    return [
        (np.flatnonzero(np.isin(lesion_of, learnt)), np.flatnonzero(np.isin(lesion_of, held))) for learnt, held in folds
    ]


def cross_validated_scores(features: Floats, targets: Integers, folds: Folds) -> Floats:
    """Return the out-of-fold probability of each image, float64 `(N,)`: the trees saw neither it nor its lesion."""
    scores = np.empty(len(targets))
    for learnt, held in folds:
        scores[held] = fit_trees(features[learnt], targets[learnt]).predict_proba(features[held])[:, 1]
    return scores


def fit_trees(features: Floats, targets: Integers) -> HistGradientBoostingClassifier:
    """Fit small boosted trees to targets, int64 `(N,)`, from features, float64 `(N, D)`."""
    leaf = int(np.clip(len(targets) // 40, 2, 20))  # scikit-learn's 20 would leave a small dataset undivided
    trees = HistGradientBoostingClassifier(
        max_iter=ROUNDS, learning_rate=0.15, max_leaf_nodes=8, min_samples_leaf=leaf, early_stopping=False
    )
    return trees.fit(features, targets)


def find_label_conflicts(
    listing: LabelledImages, rows: Mapping[str, Mapping[str, str]] | None
) -> tuple[LabelConflict, ...]:
    """Compare each label with the class that the image's diagnosis stands for.

    A label other than benign or malignant cannot be contradicted. A diagnosis that is unknown, uncertain or disputed
    among its sources contradicts nothing.

    Args:
        listing: The images.
        rows: Their metadata by path, with the diagnosis in the column `diagnosis`; or None.
    """
    known = malignancies()
    found = []
    for path, label, split in zip(listing.paths, listing.labels, listing.splits, strict=True):
        diagnosis = (rows or {}).get(path, {}).get(DIAGNOSIS, "")
        meanings = {known.get(part.strip().lower(), "unknown") for part in diagnosis.split(SEPARATOR)}
        if len(meanings) == 1 and {standard_label(label), *meanings} == set(CLASS_NAMES):
            found.append(LabelConflict(path, split, label, diagnosis, *meanings))
    return tuple(found)
