"""Labels that give themselves away: told by what a network should not need, such as how a file was written.

A classifier that knows nothing of moles (boosted trees) learns the label from such things and predicts images that it
did not see. An area under the ROC curve near 0.5 is what one hopes for. Where it is far above, a network may have
learnt the same, and its result on such images is no result.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from melanoma_pl.data.audit.findings import TELLING, LabelConflict, LabelShortcut
from melanoma_pl.data.audit.scanning import Scan
from melanoma_pl.data.image_set import ImageListing, meaning
from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.data.public_sets.diagnoses import malignancies
from melanoma_pl.evaluation.intervals import delong
from melanoma_pl.evaluation.metrics import auroc

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Folds = list[tuple[Integers, Integers]]

FOLDS = 5
ROUNDS = 40  # trees
MOST_IMAGES = 20_000  # a sample says as much, and keeps large sets affordable
STRONG = 0.75  # AUROC, lower end of the interval
MEANINGS = {
    "file facts": "How the files were written (bytes, density, EXIF, compression), which tells where images came from",
    "picture size": "The pictures' width and height",
    "mean colour": "The mean of red, green and blue, that is light, camera and skin, not the mole's shape",
    "outer border": "The outermost eighth of the picture, where there is hardly any mole",
}
VERDICTS = (
    "It hardly tells the label.",
    "It tells the label to some degree: compare a network's figure with this one.",
    "It gives the label away: a network's figure on these images can come from it.",
)


def find_label_shortcuts(
    scanned: Scan, malignant: Integers, groups: Integers, seed: int = 0
) -> tuple[LabelShortcut, ...]:
    """Measure how well the label is told by each thing that should not tell it.

    Args:
        scanned: The images.
        malignant: int64 `(N,)`, 1 for the positive class.
        groups: int64 `(N,)`; equal numbers stay on one side of each cut.
        seed: Of the folds, and of the sample where there are very many images.
    """
    sample = _sample(len(malignant), seed)
    targets = malignant[sample]
    folds = cut(targets, groups[sample], seed)
    features = features_of(scanned)
    with threadpool_limits(1):  # trees of this size are too small for several threads, which would only wait
        return tuple(_label_shortcut(name, values[sample], targets, folds) for name, values in features.items())


def features_of(scanned: Scan) -> dict[str, Floats]:
    """Return what the label might be told by: name → float64 `(N, D)`."""
    facts = [image.facts for image in scanned.images]
    columns = [[fact.size, fact.density, fact.exif_size, fact.quantisation] for fact in facts]
    names = sorted({(fact.image_format, fact.mode) for fact in facts})
    kinds = [[names.index((fact.image_format, fact.mode))] for fact in facts]
    return {
        "file facts": np.hstack([np.array(columns, dtype=np.float64), np.array(kinds, dtype=np.float64)]),
        "picture size": np.array([[fact.width, fact.height] for fact in facts], dtype=np.float64),
        "mean colour": np.array([image.mean_colour for image in scanned.images], dtype=np.float64),
        "outer border": np.array([image.border for image in scanned.images], dtype=np.float64),
    }


def _label_shortcut(name: str, features: Floats, targets: Integers, folds: Folds | None) -> LabelShortcut:
    if (features == features[:1]).all():
        return LabelShortcut(name, None, None, f"{MEANINGS[name]}: the same for all images, so it tells nothing.")
    if folds is None:
        return LabelShortcut(name, None, None, f"Not computable: a class has fewer than {FOLDS} lesions.")
    scores = cross_validated_scores(features, targets, folds)
    area, interval = auroc(scores, targets), delong(scores, targets)
    low = interval[0] if interval else 0.0
    verdict = VERDICTS[int(low >= TELLING) + int(low >= STRONG)]
    return LabelShortcut(name, area, interval, f"{MEANINGS[name]}. {verdict}")


def cut(targets: Integers, groups: Integers, seed: int) -> Folds | None:
    """Return for each fold which images to learn from and which to predict; None where a class has too few lesions."""
    lesions, first, lesion_of = np.unique(groups, return_index=True, return_inverse=True)
    if np.bincount(targets[first], minlength=2).min() < FOLDS:
        return None
    # by lesion, each with its first image's label: like StratifiedGroupKFold, which takes a second for 2,000 lesions
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(lesions, targets[first])
    return [
        (np.flatnonzero(np.isin(lesion_of, learnt)), np.flatnonzero(np.isin(lesion_of, held))) for learnt, held in folds
    ]


def cross_validated_scores(features: Floats, targets: Integers, folds: Folds) -> Floats:
    """Return the probability of each image by trees that saw neither it nor its lesion: float64 `(N,)`."""
    scores = np.empty(len(targets))
    for learnt, predicted in folds:
        scores[predicted] = grow(features[learnt], targets[learnt]).predict_proba(features[predicted])[:, 1]
    return scores


def grow(features: Floats, targets: Integers) -> HistGradientBoostingClassifier:
    """Return small boosted trees that learnt targets, int64 `(N,)`, from features, float64 `(N, D)`."""
    leaf = int(np.clip(len(targets) // 40, 2, 20))  # scikit-learn's 20 would leave a small set undivided
    trees = HistGradientBoostingClassifier(
        max_iter=ROUNDS, learning_rate=0.15, max_leaf_nodes=8, min_samples_leaf=leaf, early_stopping=False
    )
    return trees.fit(features, targets)


def _sample(count: int, seed: int) -> Integers:
    if count <= MOST_IMAGES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, MOST_IMAGES, replace=False))


DIAGNOSIS = "diagnosis"
SEPARATOR = "|"  # between the diagnoses of several sources


def find_label_conflicts(
    listing: ImageListing, rows: Mapping[str, Mapping[str, str]] | None
) -> tuple[LabelConflict, ...]:
    """Compare each label with what the image's diagnosis means.

    Only a label that means benign or malignant can be contradicted; a diagnosis that is unknown, uncertain or disputed
    among its sources contradicts nothing.

    Args:
        listing: The images.
        rows: Their metadata by path, or None; its column `diagnosis` is what counts.
    """
    if rows is None:
        return ()
    known = malignancies()
    found = []
    for path, label, split in zip(listing.paths, listing.labels, listing.splits, strict=True):
        diagnosis = rows.get(path, {}).get(DIAGNOSIS, "")
        meanings = {known.get(part.strip().lower(), "unknown") for part in diagnosis.split(SEPARATOR)}
        means = meanings.pop() if len(meanings) == 1 else "disputed"
        if {meaning(label), means} == set(CLASS_NAMES):
            found.append(LabelConflict(path, split, label, diagnosis, means))
    return tuple(found)
