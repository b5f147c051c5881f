"""Two models compared, as text for the terminal and as plain values for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from melanoma_pl.evaluation.comparison import LEVEL, Difference
from melanoma_pl.messages import DISCLAIMER, SYNTHETIC, amount, readable
from melanoma_pl.runs.comparing import FRACTIONS, Comparison, Model
from melanoma_pl.runs.ranking_text import NONE

WIDTH = 110  # columns
HEADER = ("", "A [95 % CI]", "B [95 % CI]", "B − A [95 % CI]", "p", "detectable")
IMAGES_OF = {"sensitivity": "malignant images", "specificity": "benign images", "accuracy": "all images"}
SIGN = "B − A: above 0, B is the better one; below 0, A is."
METHODS = (
    "Each decides at its own threshold. AUROC: DeLong, the difference paired; sensitivity, specificity and accuracy: "
    "Wilson, the difference paired after Newcombe, p by McNemar's exact test."
)
BY_LESION = (
    "By lesion: whole lesions are drawn again, the same for both; the other rows take each image to stand alone."
)
DETECTABLE = "detectable: the smallest true difference that images like these show in 4 of 5 sets, at p < 0.05."
TRADE = "One is more sensitive, the other more specific: that may be no more than another threshold."
SEVERAL = (
    "Several p-values: by chance one of them is below 0.05 more often than once in 20 comparisons. Choose beforehand "
    "the one that counts, and count every pair of runs that you compare."
)


def format_comparison(comparison: Comparison) -> str:
    """Return the figures of both models, their differences, a verdict in plain words, and what must be said."""
    blocks = [
        [*_titles(comparison), _images(comparison)],
        [line for warning in comparison.warnings for line in _wrapped(f"warning: {readable(warning)}")],
        _table([HEADER, *_rows(comparison)]),
        _table([("right, where the other is wrong", "A", "B"), *_discordant(comparison)]),
        [line for text in verdict(comparison) for line in _wrapped(text)],
        [line for note in _notes(comparison) for line in _wrapped(note)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return everything as plain values; `first` is A, `second` B, and differences are B − A."""
    return {**asdict(comparison), "verdict": list(verdict(comparison)), "notes": _notes(comparison)}


def verdict(comparison: Comparison) -> tuple[str, ...]:
    """Return what the differences mean: one sentence on ranking, one on each share that differs."""
    ranking = _verdict_on_ranking(comparison)
    if comparison.warnings:
        ranking += " Mind the warnings."
    differing = [name for name in FRACTIONS if _is_shown(comparison.differences[name])]
    better = [
        f"{_better(comparison.differences[name])} has the higher {name}, by more than chance." for name in differing
    ]
    return ranking, *better, *([TRADE] if differing and _is_trade(comparison) else [])


def _verdict_on_ranking(comparison: Comparison) -> str:
    found, images = comparison.ranking, amount(comparison.n, "image")
    if found.value is None or found.interval is None or found.detectable is None:
        return f"Whether one ranks better cannot be told from these {images}: {found.reason}."
    if _is_shown(found):
        return f"{_better(found)} ranks better: its AUROC is {abs(found.value):.3f} higher, more than chance explains."
    return (
        f"No difference in ranking that these {images} could show: it would have had to be about "
        f"{found.detectable:.3f} or more. That is no proof that there is none."
    )


def _is_trade(comparison: Comparison) -> bool:
    sensitivity, specificity = (comparison.differences[name].value or 0 for name in ("sensitivity", "specificity"))
    return sensitivity * specificity < 0


def _is_shown(difference: Difference) -> bool:
    return difference.p_value is not None and difference.p_value < LEVEL


def _better(difference: Difference) -> str:
    return "B" if (difference.value or 0) > 0 else "A"


def _titles(comparison: Comparison) -> list[str]:
    return [_title("A", comparison.first), _title("B", comparison.second)]


def _title(name: str, model: Model) -> str:
    threshold = NONE if model.threshold is None else f"{model.threshold:.3g}"
    return f"{name}  {readable(model.place)}, threshold {threshold}"


def _images(comparison: Comparison) -> str:
    lesions = "" if comparison.lesions is None else f", of {amount(comparison.lesions, 'lesion')}"
    return f"{amount(comparison.n, f'{comparison.split} image')}, {comparison.positives:,} malignant{lesions}"


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    first, second = comparison.first.figures, comparison.second.figures
    rows: list[tuple[str, ...]] = []
    for name, difference in comparison.differences.items():
        title = "AUROC" if name == "auroc" else name
        rows.append((title, str(first[name]), str(second[name]), *_cells(difference)))
    if comparison.auroc_by_lesion:
        rows.insert(1, ("AUROC, by lesion", "", "", *_cells(comparison.auroc_by_lesion)))
    return rows


def _cells(difference: Difference) -> tuple[str, str, str]:
    if difference.value is None:
        return difference.reason, NONE, NONE
    value = f"{difference.value:+.3f}"
    if difference.interval:
        value += f" [{difference.interval[0]:+.3f}, {difference.interval[1]:+.3f}]"
    elif difference.reason:
        value += f" ({difference.reason})"
    return value, _p(difference.p_value), NONE if difference.detectable is None else f"{difference.detectable:.3f}"


def _p(value: float | None) -> str:
    if value is None:
        return NONE
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def _discordant(comparison: Comparison) -> list[tuple[str, ...]]:
    counts = comparison.discordances
    return [(IMAGES_OF[name], str(counts[name].first_only), str(counts[name].second_only)) for name in FRACTIONS]


def _notes(comparison: Comparison) -> list[str]:
    notes = [SIGN, METHODS, *([BY_LESION] if comparison.auroc_by_lesion else []), DETECTABLE]
    if any(difference.p_value is not None for difference in comparison.differences.values()):
        notes.append(SEVERAL)
    return [*notes, *([SYNTHETIC] if comparison.is_synthetic else []), DISCLAIMER]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Set the columns side by side: the first flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{'>' if place else '<'}{widths[place]}}" for place, cell in enumerate(row)).rstrip()
        for row in rows
    ]


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
