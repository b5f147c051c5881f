"""What an audit found, as plain text for the terminal, at most 100 columns wide."""

from collections.abc import Iterable, Sequence
from textwrap import wrap

from melanoma_pl.data.audit.findings import Audit, ImagePair, LabelShortcut
from melanoma_pl.messages import DISCLAIMER, amount, count_table, listed, percentage, readable, size_in_bytes
from melanoma_pl.report.data.audit_page import describe_clusters, pair_table
from melanoma_pl.report.data.audit_summary import KINDS, facts, figure, held_out, in_order, verdict, ways_out

WIDTH = 100  # columns
NAMED = 5  # of each finding; the others stand in audit.json
PAIRS = 3  # of leaks and of conflicts
NAME = 30  # columns of a fact's name

Lines = list[str]


def format_audit(audit: Audit) -> str:
    """Return the tables, what was found by name, and a verdict with the way out.

    Lines are at most `WIDTH` columns wide, but for commands, which must not be broken.
    """
    blocks = [
        _title(audit),
        _images(audit),
        _files(audit),
        _pairs(audit),
        _together(audit),
        _label_conflicts(audit),
        _label_shortcuts(audit.shortcuts),
        _examples("leaks", audit.leaks),
        _examples("conflicts within a split", [pair for pair in audit.conflicts if not pair.is_leak]),
        [line for note in audit.notes for line in _wrapped(readable(note))],
        _verdict(audit),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _title(audit: Audit) -> Lines:
    images = amount(audit.inventory["images"], "image")
    facts = [images, size_in_bytes(audit.inventory["bytes"]), f"{audit.seconds:.1f} s"]
    excluded = [f"{amount(audit.excluded, 'image')} left out beforehand"] if audit.excluded else []
    return _wrapped(f"Audit of {readable(audit.root)}: {', '.join([*facts, *excluded])}")


def _images(audit: Audit) -> Lines:
    columns, rows = count_table(audit.inventory["per_split"])
    return _table(["images", *columns], [[label, *counts] for label, counts in rows])


def _files(audit: Audit) -> Lines:
    inventory = audit.inventory
    different = inventory["different_sizes"]
    sizes = listed(inventory["sizes"]) if different <= 1 else f"{different:,} different: {listed(inventory['sizes'])}"
    facts = {"formats": listed(inventory["formats"]), "colours": listed(inventory["modes"]), "sizes": sizes}
    broken = [f"{path}: {reason}" for path, reason in audit.broken.items()]
    return [
        *(line for name, text in facts.items() for line in _wrapped(f"{name:<{NAME}}{text}", " " * NAME)),
        *_named("broken", broken),
        *_named("other files", audit.others),
    ]


def _pairs(audit: Audit) -> Lines:
    return _table(
        ["pairs: one image or one lesion", *KINDS, "all"], [[title, *counts] for title, counts in pair_table(audit)]
    )


def _together(audit: Audit) -> Lines:
    images, total = held_out(audit)
    leaking = len(audit.leaking_test_images)
    lesions = f"{len(audit.shared_groups):,} (column '{readable(audit.group_column)}')" if audit.group_column else ""
    told = {
        f"{images} that leak": f"{leaking:,} of {total:,} ({percentage(leaking, total)})",
        "lesions in two splits": lesions or "not known: no column of the metadata tells",
        "images alike": describe_clusters(audit),
    }
    return [f"{name:<{NAME}}{text}" for name, text in told.items()]


def _label_conflicts(audit: Audit) -> Lines:
    conflicts = [
        f"{found.path} ({found.split or 'no split'}): labelled {found.label}, yet {found.diagnosis} means {found.means}"
        for found in audit.label_conflicts
    ]
    return _named("labels against the diagnosis", conflicts)


def _label_shortcuts(shortcuts: Sequence[LabelShortcut]) -> Lines:
    if not shortcuts:
        return []
    rows = [[shortcut.name, figure(shortcut)] for shortcut in shortcuts]
    header, rule, *body = _table(["what tells the label", "AUROC [95 % CI]"], rows)
    sentences = [_wrapped(f"  {readable(shortcut.sentence)}", "  ") for shortcut in shortcuts]
    return [header, rule, *(line for row, said in zip(body, sentences, strict=True) for line in [row, *said])]


def _examples(name: str, pairs: Sequence[ImagePair]) -> Lines:
    if not pairs:
        return []
    shown = in_order(pairs)[:PAIRS]
    lines = [f"{name}, {len(shown)} of {len(pairs):,}:"]
    for pair in shown:
        labels = [f"{pair.labels[0]} against {pair.labels[1]}"] if pair.is_conflict else []
        lines += [f"  {_fitted(pair.first, 2)}", f"    = {_fitted(pair.second, 6)}"]
        lines += _wrapped(" " * 6 + ", ".join([*facts(pair), *labels]), " " * 6)
    return lines


def _verdict(audit: Audit) -> Lines:
    ways = [line for sentence, command in ways_out(audit).items() for line in (f"  {sentence}:", f"    {command}")]
    return [DISCLAIMER, *_wrapped(verdict(audit), "  "), *ways]


def _named(name: str, findings: Sequence[str]) -> Lines:
    if not findings:
        return [f"{name:<{NAME}}none"]
    more = [f"  … and {len(findings) - NAMED:,} more in audit.json"] if len(findings) > NAMED else []
    return [f"{name}: {len(findings):,}", *(f"  {_fitted(found, 2)}" for found in findings[:NAMED]), *more]


def _table(header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> Lines:
    cells = [[f"{cell:,}" if isinstance(cell, int) else _fitted(cell, 60) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    header_line, *body = (
        "  ".join(f"{cell:{'>' if place else '<'}{widths[place]}}" for place, cell in enumerate(row)).rstrip()
        for row in cells
    )
    return [header_line, "  ".join("-" * width for width in widths), *body]


def _wrapped(text: str, indent: str = "  ") -> Lines:
    return wrap(text, WIDTH, subsequent_indent=indent)


def _fitted(text: str, indent: int) -> str:
    """Return one line: of a long path the beginning and the end, which tell most."""
    shown, room = readable(text), WIDTH - indent
    if len(shown) <= room:
        return shown
    tail = 2 * room // 3
    return f"{shown[: room - tail - 1]}…{shown[-tail:]}"
