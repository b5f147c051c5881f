"""`melanoma-data`: what has to be right before training: audit, split, public sets, synthetic photos, data card."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from melanoma_pl.cli import FAILED, OK, run_command
from melanoma_pl.data.audit.record import AUDITS
from melanoma_pl.data.metadata import FILE_NAME
from melanoma_pl.errors import UserError
from melanoma_pl.overrides import hydra_word

if TYPE_CHECKING:
    from melanoma_pl.data.listing import Listing

NAMES = ("kaggle-benign-malignant", "ham10000", "isic", "pad-ufes-20", "dermamnist")
TASKS = ("melanoma-vs-nevus", "malignant-vs-benign", "melanoma-vs-rest")
ON_PROBLEM = ("stop", "leave-out")
EXAMPLES = """examples:
  melanoma-data audit photos                                   leaks, duplicates, labels that give themselves away
  melanoma-data audit photos --group-column group --fix quarantine.csv
  melanoma-data split photos clean --group-column group        train and test anew, no lesion on both sides
  melanoma-data split photos clean --folds 5                   without a table: near-duplicates are kept together
  melanoma-data prepare ham10000 downloads/ham10000 ham10000   a public set's own download → our layout
  melanoma-data synthesize drawn --train 600 --test 120        photos drawn by a program
  melanoma-data card photos                                    a data card in Markdown
  melanoma-data audit --help                                   every option of one of them
"""


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Run one of the subcommands.

    Returns:
        The exit code; of `audit` 1 where it found leaks or conflicts.
    """
    chosen = parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = chosen.run
    return run(chosen)


# The command line


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    formatter = argparse.RawDescriptionHelpFormatter
    parsing = argparse.ArgumentParser("melanoma-data", description=__doc__, epilog=EXAMPLES, formatter_class=formatter)
    commands = parsing.add_subparsers(required=True, metavar="COMMAND")
    _audit_parser(commands)
    _split_parser(commands)
    _prepare_parser(commands)
    _synthesize_parser(commands)
    _card_parser(commands)
    return parsing


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _audit_parser(commands: Commands) -> None:
    parsing = commands.add_parser("audit", help="say what is wrong with a set of photos; exit code 1 if anything is")
    _source_options(parsing, "ROOT")
    _group_option(parsing)
    parsing.add_argument("--report", type=Path, metavar="FOLDER", help="default: outputs/audits/<name of ROOT>")
    parsing.add_argument("--fix", type=Path, metavar="CSV", help="write the list of photos to leave out of training")
    parsing.add_argument("--exclude", type=Path, metavar="CSV", help="leave the photos of such a list out")
    parsing.set_defaults(run=audit)


def _split_parser(commands: Commands) -> None:
    parsing = commands.add_parser("split", help="train and test anew, stratified, no lesion on both sides")
    _source_options(parsing, "SOURCE")
    _target_option(parsing)
    _group_option(parsing)
    _test_and_seed_options(parsing)
    parsing.add_argument("--folds", type=int, metavar="K", help="cut the training photos into K folds as well")
    parsing.add_argument("--copy", action="store_true", help="copy the photos instead of linking them")
    parsing.set_defaults(run=split)


def _prepare_parser(commands: Commands) -> None:
    parsing = commands.add_parser("prepare", help="a public set's own download → our layout and metadata table")
    parsing.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parsing.add_argument("source", type=Path, metavar="SOURCE", help="the download: a folder, a zip or an npz")
    _target_option(parsing)
    parsing.add_argument("--task", choices=TASKS, default=None, help="default: malignant-vs-benign")
    parsing.add_argument("--diagnoses", type=Path, metavar="CSV", help="a diagnosis table of your own")
    parsing.add_argument("--unknown", choices=ON_PROBLEM, default="stop", help="photos of a diagnosis not in the table")
    parsing.add_argument("--missing", choices=ON_PROBLEM, default="stop", help="rows without a photo, and the reverse")
    parsing.add_argument("--table-only", action="store_true", help="write the table alone, for data=table")
    parsing.add_argument("--copy", action="store_true", help="copy the photos instead of linking them")
    _test_and_seed_options(parsing)
    parsing.set_defaults(run=prepare)


def _synthesize_parser(commands: Commands) -> None:
    parsing = commands.add_parser("synthesize", help="draw synthetic photos")
    _target_option(parsing)
    for option, value in (("train", 600), ("test", 120), ("seed", 0), ("size", 224)):
        parsing.add_argument(f"--{option}", type=int, default=value, metavar="N", help="default: %(default)s")
    parsing.set_defaults(run=synthesize)


def _card_parser(commands: Commands) -> None:
    parsing = commands.add_parser("card", help="write a data card in Markdown")
    _source_options(parsing, "ROOT")
    parsing.add_argument("--to", type=Path, metavar="FILE", help="default: outputs/audits/<name of ROOT>/DATA_CARD.md")
    parsing.set_defaults(run=card)


def _source_options(parsing: argparse.ArgumentParser, name: str) -> None:
    parsing.add_argument("source", type=Path, metavar=name, help="a photo folder, or a CSV table of photos")
    parsing.add_argument("--metadata", metavar="CSV", default="auto", help="default: <folder>/metadata.csv if there")
    parsing.add_argument("--image-column", default="image", metavar="NAME", help="default: %(default)s")
    parsing.add_argument("--label-column", default="label", metavar="NAME", help="of a table; default: %(default)s")
    parsing.add_argument("--split-column", default="split", metavar="NAME", help="of a table; default: %(default)s")


def _group_option(parsing: argparse.ArgumentParser) -> None:
    parsing.add_argument(
        "--group-column", metavar="NAME", help="column of the metadata whose equal values mean one lesion or patient"
    )


def _target_option(parsing: argparse.ArgumentParser) -> None:
    parsing.add_argument("target", type=Path, metavar="TARGET", help="folder to make; it must be absent or empty")


def _test_and_seed_options(parsing: argparse.ArgumentParser) -> None:
    parsing.add_argument("--test", type=float, default=0.2, metavar="SHARE", help="default: %(default)s")
    parsing.add_argument("--seed", type=int, default=0, metavar="N", help="of the split; default: %(default)s")


# The subcommands


def audit(chosen: argparse.Namespace) -> int:
    """Audit a set of photos; exit code 1 where it found leaks or conflicts."""
    listing, rows = read_source(chosen)
    from melanoma_pl.data.audit.auditing import audit_photos
    from melanoma_pl.data.audit.quarantine import Reason, read_quarantine, write_quarantine
    from melanoma_pl.data.audit.record import leave_record
    from melanoma_pl.reporting.audit_json import write_json
    from melanoma_pl.reporting.audit_page import write_page
    from melanoma_pl.reporting.audit_text import format_audit

    folder = chosen.report or default_folder(chosen.source)
    check_place(folder, chosen.fix)
    excluded = read_quarantine(chosen.exclude, listing.paths) if chosen.exclude else {}
    found, scanned = audit_photos(listing, rows, chosen.group_column, sorted(excluded))
    found = replace(found, words=typed(chosen))
    sha256 = {path: photo.sha256 for path, photo in zip(scanned.listing.paths, scanned.photos, strict=True)}
    write_json(found, folder)
    write_page(found, scanned.listing, folder)
    leave_record(found, scanned.listing.splits, tuple(sha256), tuple(sha256.values()), folder)
    print(format_audit(found))
    print(f"report      {folder / 'audit.html'}")
    if chosen.fix:
        listed = excluded | {path: Reason(why, sha256[path]) for path, why in found.quarantine.items()}
        write_quarantine(chosen.fix, listed)
        print(
            f"leave out   {chosen.fix}: {len(listed)} photos; obeyed by {hydra_word('data.exclude', str(chosen.fix))}"
        )
    return OK if found.is_clean else FAILED


def read_source(chosen: argparse.Namespace) -> "tuple[Listing, dict[str, Mapping[str, str]] | None]":
    """Return the photos that are asked for, and their metadata where there is any.

    Raises:
        UserError: If they, their table or its group column are not there.
    """
    from melanoma_pl.data.listing import list_source
    from melanoma_pl.data.metadata import find_table, read_table, require_column

    group_column = getattr(chosen, "group_column", None)
    listing = list_source(chosen.source, chosen.image_column, chosen.label_column, chosen.split_column)
    if chosen.source.is_file() and chosen.metadata == "auto":
        table: Path | None = chosen.source
    else:
        table = find_table(chosen.metadata, listing.root, "--metadata")
    if table is None:
        if group_column:
            raise UserError(f"--group-column {group_column} needs a metadata table", "name it with --metadata")
        return listing, None
    rows = read_table(table, chosen.image_column, "--image-column", set(listing.paths))
    if group_column and rows:
        require_column(table, list(next(iter(rows.values()))), group_column, "--group-column")
    return listing, rows


def typed(chosen: argparse.Namespace) -> tuple[str, ...]:
    """Return the source and the options that go with it, as they would be typed."""
    options = (
        ("--metadata", chosen.metadata, "auto"),
        ("--image-column", chosen.image_column, "image"),
        ("--label-column", chosen.label_column, "label"),
        ("--split-column", chosen.split_column, "split"),
        ("--group-column", chosen.group_column, None),
        ("--exclude", chosen.exclude, None),
    )
    words = [word for option, value, default in options if value != default for word in (option, str(value))]
    return (str(chosen.source), *words)


def check_place(folder: Path, fix: Path | None) -> None:
    """Refuse places that could not be written to, before anything is read.

    Raises:
        UserError: If one of them is something else already, or the list's folder is missing.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--report {folder} is a file", "name a folder")
    for place in (folder, AUDITS):
        nearest = next(parent for parent in (place.absolute(), *place.absolute().parents) if parent.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise UserError(f"{place} cannot be made in {nearest}", "name another place with --report, or go elsewhere")
    check_file("--fix", fix)
    if fix is not None and not fix.resolve().parent.is_dir():
        raise UserError(f"--fix {fix}: the folder {fix.parent} does not exist", "make it first")


def check_file(option: str, path: Path | None) -> None:
    """Refuse a folder where a file is to be written.

    Raises:
        UserError: If it is one.
    """
    if path is not None and path.is_dir():
        raise UserError(f"{option} {path} is a folder", "name a file in it")


def default_folder(source: Path) -> Path:
    """Return where an audit is written; that of a `metadata.csv`, as every prepared table is called, by its folder."""
    resolved = source.resolve()
    if resolved.is_dir():
        return AUDITS / resolved.name
    return AUDITS / (resolved.parent.name if resolved.name == FILE_NAME else resolved.stem)


def split(chosen: argparse.Namespace) -> int:
    """Make a split of one's own."""
    from melanoma_pl.data.listing import require_source

    require_source(chosen.source)
    from melanoma_pl.data.partition import partition

    made = partition(
        chosen.source,
        chosen.target,
        test_share=chosen.test,
        folds=chosen.folds,
        seed=chosen.seed,
        metadata=chosen.metadata,
        image_column=chosen.image_column,
        label_column=chosen.label_column,
        group_column=chosen.group_column,
        copy=chosen.copy,
    )
    print(made.text())
    return OK


def prepare(chosen: argparse.Namespace) -> int:
    """Bring a public set into the layout."""
    from melanoma_pl.data.public_sets import prepare_set

    prepared = prepare_set(
        chosen.name,
        chosen.source,
        chosen.target,
        task=chosen.task,
        diagnoses=chosen.diagnoses,
        unknown=chosen.unknown,
        missing=chosen.missing,
        table_only=chosen.table_only,
        copy=chosen.copy,
        test_share=chosen.test,
        seed=chosen.seed,
    )
    print(prepared.text())
    return OK


def synthesize(chosen: argparse.Namespace) -> int:
    """Draw synthetic photos."""
    from melanoma_pl.data.synthetic import write_photos

    write_photos(chosen.target, chosen.train, chosen.test, chosen.seed, chosen.size)
    print(f"{chosen.train} training and {chosen.test} test photos, drawn by a program: {chosen.target}")
    print(f"next: melanoma-train data=folder {hydra_word('data.root', str(chosen.target))} data.group_column=group")
    return OK


def card(chosen: argparse.Namespace) -> int:
    """Write a data card; an audit of the same photos, where one was made, goes into it."""
    check_file("--to", chosen.to)
    listing, rows = read_source(chosen)
    from melanoma_pl.reporting.audit_json import FILE_NAME as AUDIT
    from melanoma_pl.reporting.data_card import FILE_NAME, data_card, read_audit, write_card

    folder = default_folder(chosen.source)
    written = write_card(data_card(listing, rows, read_audit(folder / AUDIT)), chosen.to or folder / FILE_NAME)
    print(f"data card   {written}")
    return OK


if __name__ == "__main__":
    main()
