"""Findings of an audit as plain text for the terminal, at most 100 columns wide."""

from collections.abc import Iterable, Sequence
from textwrap import wrap

from melanoma_pl.data.audit.findings import Audit, ImagePair, LabelShortcut
from melanoma_pl.data.labelled_images import not_read
from melanoma_pl.messages import (
    DISCLAIMER,
    amount,
    count_table,
    format_table,
    listed,
    percentage,
    readable,
    size_in_bytes,
)
from melanoma_pl.report.data import audit_summary as summary

WIDTH = 100  # columns
NAMED = 5  # of each finding; audit.json holds the others
PAIRS = 3  # of leaks and of conflicts
NAME = 30  # columns of a finding's name

Lines = list[str]


def format_audit(audit: Audit) -> str:
    """Return the tables, the findings by name, and the verdict with the commands that mend them.

    Lines are at most `WIDTH` columns wide, except for commands, which must not be broken.
    """
    images, total = summary.held_out(audit)
    leaking, column = len(audit.leaking_test_images), readable(audit.group_column or "")
    shared = f"{len(audit.shared_groups):,} (column '{column}')" if column else "not known: no --group-column was given"
    columns, rows = count_table(audit.inventory["per_split"])
    conflicts = [
        f"{found.path} ({found.split or 'no split'}): label {found.label}, but {found.diagnosis} means {found.means}"
        for found in audit.label_conflicts
    ]
    ways = [
        line for sentence, command in summary.ways_out(audit).items() for line in (f"  {sentence}:", f"    {command}")
    ]
    blocks = [
        _title(audit),
        _table(["images", *columns], ([label, *counts] for label, counts in rows)),
        _files(audit),
        _table(
            ["pairs: one image or one lesion", *summary.KINDS, "all"],
            ([name, *counts] for name, counts in summary.pair_table(audit)),
        ),
        [
            f"{f'{images} that leak':<{NAME}}{leaking:,} of {total:,} ({percentage(leaking, total)})",
            f"{'lesions in two splits':<{NAME}}{shared}",
            f"{'duplicate images':<{NAME}}{summary.describe_clusters(audit)}",
        ],
        _named("labels against the diagnosis", conflicts),
        _label_shortcuts(audit.shortcuts),
        _examples("leaks", audit.leaks),
        _examples("conflicts within a split", [pair for pair in audit.conflicts if not pair.is_leak]),
        [line for note in audit.notes for line in _wrapped(readable(note))],
        [DISCLAIMER, *_wrapped(summary.verdict(audit)), *ways],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _title(audit: Audit) -> Lines:
    about = [
        amount(audit.inventory["images"], "image"),
        size_in_bytes(audit.inventory["bytes"]),
        f"{audit.seconds:.1f} s",
    ]
    about += [f"{amount(len(audit.left_out), 'image')} left out before"] if audit.left_out else []
    return _wrapped(f"Audit of {readable(audit.root)}: {', '.join(about)}")


def _files(audit: Audit) -> Lines:
    inventory = audit.inventory
    different = f"{inventory['different_sizes']:,} different: " if inventory["different_sizes"] > 1 else ""
    counts = {
        "formats": listed(inventory["formats"]),
        "colours": listed(inventory["modes"]),
        "sizes": f"{different}{listed(inventory['sizes'])}",
    }
    return [
        *(line for name, text in counts.items() for line in _wrapped(f"{name:<{NAME}}{text}", " " * NAME)),
        *_named("broken", [f"{path}: {reason}" for path, reason in audit.broken.items()]),
        *_named("other files", audit.others),
        *_wrapped(readable(not_read(audit.others))),
    ]


def _label_shortcuts(shortcuts: Sequence[LabelShortcut]) -> Lines:
    if not shortcuts:
        return []
    rows = [[shortcut.name, summary.figure(shortcut.auroc, shortcut.interval)] for shortcut in shortcuts]
    header, rule, *body = _table(["label predicted from", "AUROC [95 % CI]"], rows)
    sentences = [_wrapped(f"  {readable(shortcut.sentence)}") for shortcut in shortcuts]
    return [header, rule, *(line for row, said in zip(body, sentences, strict=True) for line in [row, *said])]


def _examples(name: str, pairs: Sequence[ImagePair]) -> Lines:
    if not pairs:
        return []
    shown = summary.in_order(pairs)[:PAIRS]
    lines = [f"{name}, {len(shown)} of {len(pairs):,}:"]
    for pair in shown:
        labels = [f"{pair.labels[0]} against {pair.labels[1]}"] if pair.is_conflict else []
        lines += [f"  {_fitted(pair.first, 2)}", f"    = {_fitted(pair.second, 6)}"]
        lines += _wrapped(" " * 6 + ", ".join([*summary.facts(pair), *labels]), " " * 6)
    return lines


def _named(name: str, findings: Sequence[str]) -> Lines:
    if not findings:
        return [f"{name:<{NAME}}none"]
    more = [f"  … and {len(findings) - NAMED:,} more in audit.json"] if len(findings) > NAMED else []
    return [f"{name}: {len(findings):,}", *(f"  {_fitted(found, 2)}" for found in findings[:NAMED]), *more]


def _table(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> Lines:
    cells = [[f"{cell:,}" if isinstance(cell, int) else _fitted(cell, 60) for cell in row] for row in [header, *rows]]
    return format_table(cells, rule=True)


def _wrapped(text: str, indent: str = "  ") -> Lines:
    return wrap(text, WIDTH, subsequent_indent=indent)


def _fitted(text: str, indent: int) -> str:
    """Return one line, a long path without its middle: its beginning and end say most."""
    shown, room = readable(text), WIDTH - indent
    if len(shown) <= room:
        return shown
    tail = 2 * room // 3
    return f"{shown[: room - tail - 1]}…{shown[-tail:]}"
