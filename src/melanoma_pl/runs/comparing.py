"""The difference between two models on the same images: figures, verdict, text for the terminal, and JSON values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melanoma_pl import evaluation
from melanoma_pl.evaluation import LEVEL, NO_NEGATIVES, NO_POSITIVES, Difference, Discordance, Estimate
from melanoma_pl.messages import DISCLAIMER, SYNTHETIC, amount, brackets, decimal, format_table, readable
from melanoma_pl.runs.pairing import PairedPredictions
from melanoma_pl.runs.predictions import Predictions

NONE = "–"
WIDTH = 110  # columns
HEADER = ("", "A [95 % CI]", "B [95 % CI]", "B − A [95 % CI]", "p", "detectable")
IMAGES_OF = {"sensitivity": "malignant images", "specificity": "benign images", "accuracy": "all images"}
REASONS = {"sensitivity": NO_POSITIVES, "specificity": NO_NEGATIVES, "accuracy": ""}  # why a proportion is missing
SIGN = "B − A: above 0, B is the better one; below 0, A is."
METHODS = (
    "Each model decides at its own threshold. AUROC: DeLong, the difference paired; sensitivity, specificity and "
    "accuracy: Wilson, the difference paired after Newcombe, p by McNemar's exact test."
)
BY_LESION = (
    "By lesion: whole lesions are resampled, the same for both; the other rows take the images to be independent."
)
DETECTABLE = (
    "detectable: the smallest true difference that 4 of 5 datasets of this size and composition show at p < 0.05."
)
TRADE = "One is more sensitive, the other more specific: that may only reflect different thresholds."
SEVERAL = (
    "Several p-values: by chance one of them is below 0.05 more often than once in 20 comparisons. Choose beforehand "
    "the one that counts, and count every pair of runs that you compare."
)


@dataclass(frozen=True)
class Model:
    """One of the two models.

    Attributes:
        path: The place of its predictions, as typed.
        threshold: Its own threshold, in [0, 1]; None if unknown.
        figures: `auroc`, `sensitivity`, `specificity`, `accuracy`.
    """

    path: str
    threshold: float | None
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Comparison:
    """The differences between two models.

    Attributes:
        split: `test` or `validation`.
        n: Number of images.
        positives: Number of malignant images.
        lesions: Number of lesions that the images show; None if unknown.
        first: A.
        second: B.
        differences: B − A of `auroc`, `sensitivity`, `specificity` and `accuracy`, for independent images.
        auroc_by_lesion: B − A, resampling lesions; None if they are unknown or have one image each.
        discordances: For each proportion, the number of images that only A or only B decides correctly.
        warnings: Reasons why the figures may mislead.
        is_synthetic: Whether the images were drawn by a program.
    """

    split: str
    n: int
    positives: int
    lesions: int | None
    first: Model
    second: Model
    differences: Mapping[str, Difference]
    auroc_by_lesion: Difference | None
    discordances: Mapping[str, Discordance]
    warnings: tuple[str, ...]
    is_synthetic: bool

    @property
    def ranking(self) -> Difference:
        """The difference of the AUROCs, allowing for lesions with several images if there are any."""
        return self.auroc_by_lesion or self.differences["auroc"]


def compare_pair(pair: PairedPredictions, replicates: int | None = None) -> Comparison:
    """Return how B differs from A.

    Args:
        pair: Predictions of the same images.
        replicates: Number of bootstrap replicates over lesions; None: as many as suit the number of images.
    """
    paths, sides = tuple(pair.first.images), (pair.first, pair.second)
    targets = np.array([pair.first.images[path].is_malignant for path in paths], dtype=np.int64)  # (N,)
    first, second = (np.array([side.images[path].probability for path in paths]) for side in sides)  # (N,)
    right_first, right_second = (
        np.array([side.images[path].is_called_malignant for path in paths]) == (targets == 1) for side in sides
    )
    chosen = {"sensitivity": targets == 1, "specificity": targets == 0, "accuracy": np.ones(targets.shape, dtype=bool)}
    lesions = len(set(pair.groups)) if pair.groups else None
    by_lesion = None
    if pair.groups and lesions != targets.size:
        by_lesion = evaluation.paired_auroc_by_lesion(second, first, targets, pair.groups, replicates)

    differences, discordances = {"auroc": evaluation.paired_delong(second, first, targets)}, {}
    for name, mask in chosen.items():
        differences[name] = evaluation.paired_proportion_difference(right_second[mask], right_first[mask])
        discordances[name] = evaluation.mcnemar(right_first[mask], right_second[mask])

    def model(side: Predictions, probabilities: NDArray[np.float64], right: NDArray[np.bool_]) -> Model:
        figures = {"auroc": evaluation.auroc_with_delong(probabilities, targets)}
        for name, mask in chosen.items():
            figures[name] = evaluation.proportion(int(right[mask].sum()), int(mask.sum()), REASONS[name])
        return Model(str(side.source.path), side.threshold, figures)

    return Comparison(
        split=pair.first.split,
        n=targets.size,
        positives=int(targets.sum()),
        lesions=lesions,
        first=model(pair.first, first, right_first),
        second=model(pair.second, second, right_second),
        differences=differences,
        auroc_by_lesion=by_lesion,
        discordances=discordances,
        warnings=(*pair.warnings, *evaluation.scarcity_warnings(targets)),
        is_synthetic=pair.first.is_synthetic or pair.second.is_synthetic,
    )


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return everything as plain values; `first` is A, `second` is B, and differences are B − A."""
    return {**asdict(comparison), "verdict": list(verdict(comparison)), "notes": _notes(comparison)}


def verdict(comparison: Comparison) -> tuple[str, ...]:
    """Return the meaning of the differences: one sentence on ranking, one on each proportion that differs."""
    ranking = _verdict_on_ranking(comparison)
    if comparison.warnings:
        ranking += " Mind the warnings."
    shown = {name: comparison.differences[name] for name in IMAGES_OF if _is_shown(comparison.differences[name])}
    better = [f"{_better(found)} has the higher {name}, by more than chance." for name, found in shown.items()]
    sensitivity, specificity = (comparison.differences[name].value or 0 for name in ("sensitivity", "specificity"))
    return ranking, *better, *([TRADE] if shown and sensitivity * specificity < 0 else [])


def _verdict_on_ranking(comparison: Comparison) -> str:
    found, images = comparison.ranking, amount(comparison.n, "image")
    if found.value is None or found.interval is None or found.detectable is None:
        return f"Whether one ranks better cannot be told from these {images}: {found.reason}."
    if _is_shown(found):
        return f"{_better(found)} ranks better: its AUROC is {abs(found.value):.3f} higher, more than chance explains."
    return (
        f"No difference in ranking that these {images} could show: it would have had to be about "
        f"{found.detectable:.3f} or more. This does not prove that there is none."
    )


def _is_shown(difference: Difference) -> bool:
    return difference.p_value is not None and difference.p_value < LEVEL


def _better(difference: Difference) -> str:
    return "B" if (difference.value or 0) > 0 else "A"


def format_comparison(comparison: Comparison) -> str:
    """Return the figures of both models, their differences, the verdict, warnings and notes."""
    counts = comparison.discordances
    discordant = [(IMAGES_OF[name], counts[name].first_only, counts[name].second_only) for name in counts]
    blocks = [
        _header(comparison),
        [line for warning in comparison.warnings for line in _wrapped(f"warning: {readable(warning)}")],
        format_table([HEADER, *_rows(comparison)]),
        format_table([("right, where the other is wrong", "A", "B"), *discordant]),
        [line for text in verdict(comparison) for line in _wrapped(text)],
        [line for note in _notes(comparison) for line in _wrapped(note)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _header(comparison: Comparison) -> list[str]:
    lines = []
    for name, model in (("A", comparison.first), ("B", comparison.second)):
        threshold = NONE if model.threshold is None else f"{model.threshold:.3g}"
        lines.append(f"{name}  {readable(model.path)}, threshold {threshold}")
    lesions = "" if comparison.lesions is None else f", of {amount(comparison.lesions, 'lesion')}"
    images = amount(comparison.n, f"{comparison.split} image")
    return [*lines, f"{images}, {comparison.positives:,} malignant{lesions}"]


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    first, second = comparison.first.figures, comparison.second.figures
    rows: list[tuple[str, ...]] = [
        ("AUROC" if name == "auroc" else name, _cell(first[name]), _cell(second[name]), *_cells(difference))
        for name, difference in comparison.differences.items()
    ]
    if comparison.auroc_by_lesion:
        rows.insert(1, ("AUROC, by lesion", "", "", *_cells(comparison.auroc_by_lesion)))
    return rows


def _cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"not computable: {estimate.reason}"
    return " ".join([decimal(estimate.value), *([brackets(estimate.interval)] if estimate.interval else [])])


def _cells(difference: Difference) -> tuple[str, str, str]:
    if difference.value is None:
        return difference.reason, NONE, NONE
    value, p = f"{difference.value:+.3f}", difference.p_value
    if difference.interval:
        value += f" [{difference.interval[0]:+.3f}, {difference.interval[1]:+.3f}]"
    elif difference.reason:
        value += f" ({difference.reason})"
    p_value = NONE if p is None else "<0.001" if p < 0.0005 else f"{p:.3f}"
    return value, p_value, NONE if difference.detectable is None else f"{difference.detectable:.3f}"


def _notes(comparison: Comparison) -> list[str]:
    notes = [SIGN, METHODS, *([BY_LESION] if comparison.auroc_by_lesion else []), DETECTABLE]
    if any(difference.p_value is not None for difference in comparison.differences.values()):
        notes.append(SEVERAL)
    return [*notes, *([SYNTHETIC] if comparison.is_synthetic else []), DISCLAIMER]


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
