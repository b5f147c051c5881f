"""An evaluation on the terminal: the main table, then decisions, calibration, shortcuts, members and remarks."""

from collections.abc import Mapping
from textwrap import wrap

from melanoma_pl.evaluation import Decisions, Estimate
from melanoma_pl.messages import amount, format_table, readable
from melanoma_pl.report.content import Content, ImageSet, SetFigures, Shortcut
from melanoma_pl.report.verdict import verdict, warning_of
from melanoma_pl.report.wording import (
    NOT_COMPUTABLE,
    beside,
    figure,
    named,
    percent,
    probability,
    sentence,
    told,
)

WIDTH, NAME_WIDTH = 120, 15
CI = "\n[95 % CI]"
HEADER = (
    *("", "n", "positives", f"AUROC{CI}", "average\nprecision"),
    *(f"{name}{CI}" for name in ("accuracy", "sensitivity", "specificity")),
    "threshold",
)
MARKS = {"problem": "! problem", "caution": "! caution", "neutral": "verdict"}
MEASURES = ("sensitivity", "specificity", "balanced_accuracy", "accuracy")


def format_report(content: Content) -> str:
    """Return the main figures as a table, then everything else in wrapped lines."""
    table = format_table([HEADER, *map(_row, content.sets)], rule=True)
    blocks = [
        [f"{own.title}: {_partial(own)}" for own in content.sets if content.is_rare],
        table,
        [line for figures in content.sets for line in _gaps(figures)],
        [f"Warning: {warning}" for warning in content.warnings],
        [*map(_decided, content.decisions), *_predictive(content)],
        list(map(_of_set, content.image_sets)),
        _calibrated(content),
        [_reached(shortcut) for shortcut in content.shortcuts],
        [
            f"{own.name}: AUROC {told(own.auroc)} alone, contribution {told(own.contribution)}"
            for own in content.members
        ],
        [*content.notes, content.disclaimer],
    ]
    shown = (block if block is table else map(_wrapped, block) for block in blocks if block)
    return "\n\n".join(map("\n".join, shown))


def format_closing(content: Content, commands: Mapping[str, str]) -> list[str]:
    """Return the lines with which a training ends: figures, the gravest finding, and what to do next.

    Args:
        content: The report on the split that the result is stated for.
        commands: Label → path or command to type.
    """
    main, positive = content.sets[0], readable(content.class_names[1])
    unseen = f"; on unseen lesions {told(content.sets[1].ranking.auroc)}" if len(content.sets) > 1 else ""
    decisions, own = main.decisions, verdict(content)
    counts = f"{decisions.counts.n:,} {content.split} images, {decisions.counts.positives:,} {positive}"
    if content.split == "test" and content.lesions and not (warning_of(content, "seen") or warning_of(content, "leak")):
        counts += ", all of unseen lesions"
    rows = [
        *([("pAUC", _partial(main))] if content.is_rare else []),
        ("AUROC", f"{told(main.ranking.auroc)}{unseen} ({counts})"),
        (
            f"at {probability(decisions.threshold or 0.0)}",
            f"sensitivity {told(decisions.sensitivity)}, specificity {told(decisions.specificity)}",
        ),
        *(
            [("decided on", readable(on))]
            if (on := content.facts.get("fitted on", "")) and "validation" not in on
            else []
        ),
        (MARKS[own.level], readable(own.sentence)),
        *commands.items(),
    ]
    return [f"Result on the {content.split} split. {content.disclaimer}", *format_table(rows, "<")]


def _partial(figures: SetFigures) -> str:
    """Return the partial AUROC, the score of ISIC 2024, with what it can be."""
    area = told(figures.ranking.partial_auroc)
    return f"partial AUROC {area} above 80 % sensitivity (0.02 at chance level, 0.2 at best)"


def _row(figures: SetFigures) -> list[str]:
    ranking, decisions = figures.ranking, figures.decisions
    precision, threshold = ranking.average_precision.value, decisions.threshold or 0.0
    return [
        "\n".join(wrap(readable(figures.title), NAME_WIDTH)),
        str(decisions.counts.n),
        str(decisions.counts.positives),
        _cell(ranking.auroc),
        NOT_COMPUTABLE.replace(" ", "\n") if precision is None else f"{precision:.3f}",
        *map(_cell, (decisions.accuracy, decisions.sensitivity, decisions.specificity)),
        f"{threshold:.3g}",  # three decimals would show a very small threshold as 0
    ]


def _cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return NOT_COMPUTABLE.replace(" ", "\n")
    interval = estimate.interval
    return f"{estimate.value:.3f}\n" + (f"[{interval[0]:.3f}-{interval[1]:.3f}]" if interval else f"[{NOT_COMPUTABLE}]")


def _gaps(figures: SetFigures) -> list[str]:
    """Return a line for each reason why the table has gaps."""
    decisions, found = figures.decisions, dict[tuple[str, str], list[str]]()
    for name, estimate in {
        "AUROC": figures.ranking.auroc,
        "accuracy": decisions.accuracy,
        "sensitivity": decisions.sensitivity,
        "specificity": decisions.specificity,
    }.items():
        if estimate.reason and estimate.interval is None:
            gap = NOT_COMPUTABLE if estimate.value is None else "no interval"
            found.setdefault((gap, estimate.reason), []).append(name)
    return [f"{figures.title}, {gap}: {', '.join(names)} ({reason})" for (gap, reason), names in found.items()]


def _decided(decisions: Decisions) -> str:
    values = (f"{name.replace('_', ' ')} {_value(getattr(decisions, name))}" for name in MEASURES)
    return f"{_named(decisions)}: {', '.join(values)}"


def _named(decisions: Decisions) -> str:
    name, threshold = named(decisions)
    return f"{name} ({threshold})" if threshold else name


def _predictive(content: Content) -> list[str]:
    """Return the predictive values of the chosen threshold at the prevalence that the user gave."""
    chosen = content.decisions[0]
    values = {
        "positive predictive value": chosen.positive_predictive_value_at,
        "negative predictive value": chosen.negative_predictive_value_at,
    }
    shown = [f"{name} {told(own)}" for name, own in values.items() if own is not None]
    if content.prevalence is None or not shown:
        return []
    return [f"{_named(chosen)}, at a prevalence of {percent(content.prevalence)}: {', '.join(shown)}"]


def _of_set(own: ImageSet) -> str:
    figures = {
        "AUROC": own.auroc,
        "sensitivity": own.sensitivity,
        "specificity": own.specificity,
        "out of distribution": own.out_of_distribution,
    }
    shown = (f"{name} {told(estimate)}" for name, estimate in figures.items() if estimate is not None)
    note = f"; {own.note}" if own.note else ""
    return f"{own.name} ({amount(own.n, 'image')}, {own.positives:,} positive{note}): {', '.join(shown)}"


def _calibrated(content: Content) -> list[str]:
    before, after = content.calibration
    expected = after.ece_if_calibrated
    chance = (
        f"  perfectly calibrated networks of this size: ECE {expected[0]:.2f} to {expected[1]:.2f}" if expected else ""
    )
    fitted = "" if content.is_scaled else ", not fitted"
    was = [f"{_value(own)} → " if content.is_scaled else "" for own in (before.ece, before.brier, before.log_loss)]
    return [
        f"calibration, temperature {after.temperature:.3g}{fitted}: ECE {was[0]}{told(after.ece)}",
        *([chance] if chance else []),
        f"  Brier score {was[1]}{_value(after.brier)}, log loss {was[2]}{_value(after.log_loss)}",
    ]


def _reached(shortcut: Shortcut) -> str:
    mark = "! " if shortcut.is_problem else ""
    said = "".join(f" {sentence(each)}" for each in (shortcut.verdict, *shortcut.gaps) if each)
    return f"{mark}{shortcut.name}: AUROC {told(shortcut.auroc)}{'.' if said else ''}{said}"


def _value(estimate: Estimate) -> str:
    if estimate.value is not None:
        return f"{estimate.value:.3f}"
    return f"{figure(estimate)} ({beside(estimate)})" if estimate.reason else figure(estimate)


def _wrapped(line: str) -> str:
    return "\n".join(wrap(readable(line), WIDTH, subsequent_indent="  "))
