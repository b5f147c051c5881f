"""Text that a person reads or pastes: notices, counts and sizes, tables, progress, overrides for a shell. Light.

The terminal, the pages and the cards all take their words from here, so that each is written in one way.
"""

import json
import re
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

DISCLAIMER = "Research software, not a medical device: it makes no diagnosis."
SYNTHETIC = "Synthetic images, drawn by a program: these figures say nothing about patients."

DESTINATION = "destination"  # an attribute of log records
IN_FILE, ON_SCREEN = {DESTINATION: "file"}, {DESTINATION: "screen"}
"""`extra` of a log line that only the log file holds, and of a line of a sweep's job that the screen shows as well."""

EVERY = 30.0  # seconds between two lines of progress
DELAY = 0.5  # seconds before a pass shows a bar: shorter ones would only flicker

Thing = TypeVar("Thing")

SPLITS = ("train", "validation", "test")


# Names, counts, sizes and numbers


def readable(text: object, keep: str = "") -> str:
    r"""Return a text with control characters and undecodable bytes escaped, as in `\x1b`.

    A file's name may hold a line break, a terminal's commands or a mark that reverses the reading direction. Everything
    that prints a name prints it through this function.

    Args:
        text: A text, or a path.
        keep: Characters to leave as they are, such as the line breaks of a text of several lines.
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode("ascii")
        for letter in shown
    )


def json_text(value: object, indent: int | None = None) -> str:
    r"""Return a value as JSON that a terminal shows safely: other than accents, odd letters are written `\u001b`."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return "".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text)


def amount(count: int, thing: str, things: str = "") -> str:
    """Return "1 image" or "2,637 images"."""
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"


def shown_path(path: Path) -> str:
    """Return a path as a word of a shell, relative to the working folder if it lies there."""
    folder = Path.cwd()
    whole = path.resolve()
    return shlex.quote(str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole))


def percentage(part: int, whole: int) -> str:
    """Return "13.8 %", or an empty text if the whole is 0."""
    return f"{100 * part / whole:.1f} %" if whole else ""


def listed(counts: Mapping[str, int], most: int = 6) -> str:
    """Return counts as "JPEG 2,637, PNG 3", the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{readable(name) or 'unknown'} {count:,}" for name, count in ordered[:most]]
    return ", ".join([*shown, "…"] if len(ordered) > most else shown) or "none"


def size_in_bytes(count: int) -> str:
    """Return a file size with the unit that fits, in powers of 1000."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def decimal(value: float) -> str:
    """Return "0.915" or "−0.008", with a minus sign: a hyphen beside a dash is hard to read."""
    return f"{value:z.3f}".replace("-", "−")


def brackets(interval: tuple[float, float]) -> str:
    """Return an interval as "[0.884–0.938]", or as "[−0.014 to 0.030]": a dash after a minus is hard to read."""
    low, high = map(decimal, interval)
    return f"[{low}{' to ' if '−' in low + high else '–'}{high}]"


# Tables


def format_table(rows: Sequence[Sequence[object]], align: str = "<>", *, rule: bool = False) -> list[str]:
    """Return the lines of a text table whose columns are two spaces apart.

    Args:
        rows: The cells of each row, as many in every row. A header is a row like any other; a cell may hold several
            lines.
        align: `<` (left), `>` (right) or `^` (centre) for each column; the last one serves all further columns.
        rule: Whether to draw a line of dashes below the first row.

    Returns:
        The lines without trailing spaces; none if there are no rows.
    """
    cells = [[str(cell).split("\n") for cell in row] for row in rows]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*cells, strict=True)]
    if rule:
        cells.insert(1, [["-" * width] for width in widths])
    sides = align.ljust(len(widths), align[-1])
    return [
        "  ".join(f"{text:{side}{width}}" for text, side, width in zip(line, sides, widths, strict=False)).rstrip()
        for row in cells
        for line in zip_longest(*row, fillvalue="")
    ]


def split_names(per_split: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the names of splits: train, validation and test first, then the others by name."""
    return sorted(per_split, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name))


def count_table(per_split: Mapping[str, Mapping[str, int]]) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """Return a table of image counts: one column for each split and the total, one row for each class and the total.

    Args:
        per_split: Split → class → number of images. If none of them is a known split, only the total has a column.

    Returns:
        The headings of the columns, and a pair of class and counts for each row.
    """
    names = split_names(per_split)
    splits = names if set(names) & set(SPLITS) else []
    labels = sorted({label for counts in per_split.values() for label in counts})
    classes = [(label, {name: per_split[name].get(label, 0) for name in names}) for label in labels]
    classes.append(("total", {name: sum(per_split[name].values()) for name in names}))
    rows = [(label, [*(counts[split] for split in splits), sum(counts.values())]) for label, counts in classes]
    return [*(split or "no split" for split in splits), "total"], rows


# Progress


class Progress:
    """A progress bar on a terminal; elsewhere, such as in a log file, a line every `EVERY` seconds.

    Passes that follow each other at once share the clock, so that many short ones are not silent together.

    Args:
        total: Number of things.
        title: What is done with them.
        unit: What they are.
    """

    said = active = float("-inf")  # seconds, when the last line was written and when anything last went on
    job = ""  # what each line begins with, such as "job 2/4  ", in a sweep
    has_bars = True  # False where several processes write to one terminal, and would overwrite each other's bars

    def __init__(self, total: int, title: str, unit: str = "images") -> None:
        self._bar = tqdm(
            total=total, desc=title, leave=False, disable=None if self.has_bars else True, delay=DELAY,
            mininterval=0.25, dynamic_ncols=True,
            bar_format=f"{{desc}} {{percentage:3.0f}}% {{bar}}  {{n_fmt}} of {{total_fmt}} {unit}  {{remaining}} left",
        )  # fmt: skip
        self._done, self._line = 0, f"{title}: {{:,}} of {amount(total, unit, unit)}"
        if time.monotonic() - Progress.active > EVERY:
            Progress.said = Progress.active = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def advance(self, count: int = 1) -> None:
        """Count things that are done."""
        self._done += count
        self._bar.update(count)
        Progress.active = time.monotonic()
        if self._bar.disable and Progress.active - Progress.said >= EVERY:
            Progress.said = Progress.active
            print(f"{self.job}{self._line.format(self._done)}", file=sys.stderr, flush=True)


spent: defaultdict[str, float] = defaultdict(float)
"""Seconds of this process by part, such as `training`; `run.json` records those of a training."""


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Add the seconds within the context to those of a part."""
    began = time.monotonic()
    try:
        yield
    finally:
        spent[part] += time.monotonic() - began


def counted(things: Sequence[Thing], title: str, unit: str = "images") -> Iterator[Thing]:
    """Yield things one by one with `Progress`."""
    with Progress(len(things), title, unit) as progress:
        for thing in things:
            yield thing
            progress.advance()


# Overrides that can be pasted into a shell

FOLDER_NAMES = "data.folder_names"
BARE = re.compile(r"[\w./-]+", re.ASCII)
CONSTANTS = ("null", "true", "false")
KEY = re.compile(r"[a-z_][\w-]*|0|[1-9][0-9]*", re.ASCII | re.IGNORECASE)
MAPPED_KEY = re.compile(r"[\w\-+.%*@?|/ ()\[\]{}:=,]+", re.ASCII)  # Hydra's grammar does not allow quoted keys
ESCAPED = re.compile(r"[ ()\[\]{}:=,]")


def hydra_word(key: str, value: str) -> str:
    """Return `key=value` as one word of a shell command that Hydra reads as this very text.

    Args:
        key: A key of the configuration, such as `data.root`.
        value: Any text. Unless it is plain, it is quoted twice: in Hydra's grammar and for the shell.
    """
    if BARE.fullmatch(value) and not _has_another_type(value):
        return f"{key}={value}"
    return shlex.quote(f"{key}={literal(value)}")


def literal(value: str) -> str:
    """Return a text in the double quotes of Hydra's grammar."""
    # within quotes, Hydra keeps a backslash except before a quote, and OmegaConf except before an interpolation
    escaped = re.sub(r'(\\*)("|\Z)', lambda match: match[1] * 2 + match[2].replace('"', '\\"'), value)
    return '"' + escaped.replace("${", "\\${") + '"'


def class_word(name: str, meant: str) -> str | None:
    """Return the override that tells training which class a label or class folder stands for.

    Args:
        name: The label, or the name of the folder.
        meant: The class, or a placeholder such as `<class>`.

    Returns:
        One word of a shell command, or None if Hydra's grammar cannot express the name.
    """
    if KEY.fullmatch(name):
        return shlex.quote(f"+{FOLDER_NAMES}.{name}={meant}")
    if not MAPPED_KEY.fullmatch(name) or name != name.strip() or _has_another_type(name):
        return None
    escaped = ESCAPED.sub(r"\\\g<0>", name)
    return shlex.quote(f"+{FOLDER_NAMES}={{{escaped}: {meant}}}")


def _has_another_type(text: str) -> bool:
    """Tell whether Hydra reads an unquoted text as a number, a truth value or null."""
    try:
        float(text)
    except ValueError:
        return text.lower() in CONSTANTS
    return True
