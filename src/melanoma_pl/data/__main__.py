"""`melanoma-data`: what has to be right before training: audits, splits, public sets, drawings, data cards, caches."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from melanoma_pl.config.app import FAILED, OK, run_command
from melanoma_pl.data.audit.audit_record import AUDITS
from melanoma_pl.data.command_line import parser
from melanoma_pl.data.metadata import METADATA_FILE
from melanoma_pl.errors import UserError
from melanoma_pl.messages import hydra_word

if TYPE_CHECKING:
    from melanoma_pl.data.image_set import ImageListing


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Run one of the subcommands.

    Returns:
        The exit code; of `audit` 1 where it found leaks or conflicts.
    """
    chosen = parser().parse_args(arguments)
    run: dict[str, Callable[[argparse.Namespace], int]] = {
        "audit": audit,
        "split": split,
        "prepare": prepare,
        "synthesize": synthesize,
        "card": card,
        "cache": cache,
    }
    return run[chosen.command](chosen)


def audit(chosen: argparse.Namespace) -> int:
    """Audit a set of images; exit code 1 where it found leaks or conflicts."""
    listing, rows = read_source(chosen)
    from melanoma_pl.data.audit.audit_record import Reason, leave_record, read_quarantine, write_quarantine
    from melanoma_pl.data.audit.auditing import audit_images
    from melanoma_pl.report.data.audit_page import write_page
    from melanoma_pl.report.data.audit_summary import write_json
    from melanoma_pl.report.data.audit_terminal import format_audit

    folder = chosen.report or default_folder(chosen.source)
    check_place(folder, chosen.fix)
    excluded = read_quarantine(chosen.exclude, listing.paths) if chosen.exclude else {}
    found, scanned = audit_images(listing, rows, chosen.group_column, sorted(excluded))
    found = replace(found, words=typed(chosen))
    sha256 = {path: image.sha256 for path, image in zip(scanned.listing.paths, scanned.images, strict=True)}
    write_json(found, folder)
    write_page(found, scanned.listing, folder)
    leave_record(found, scanned.listing.splits, tuple(sha256), tuple(sha256.values()), folder)
    print(format_audit(found))
    print(f"report      {folder / 'audit.html'}")
    if chosen.fix:
        listed = excluded | {path: Reason(why, sha256[path]) for path, why in found.quarantine.items()}
        write_quarantine(chosen.fix, listed)
        print(
            f"leave out   {chosen.fix}: {len(listed)} images; obeyed by {hydra_word('data.exclude', str(chosen.fix))}"
        )
    return OK if found.is_clean else FAILED


def read_source(chosen: argparse.Namespace) -> "tuple[ImageListing, dict[str, Mapping[str, str]] | None]":
    """Return the images that are asked for, and their metadata where there is any.

    Raises:
        UserError: If they, their table or its group column are not there.
    """
    from melanoma_pl.data.image_set import list_source
    from melanoma_pl.data.metadata import find_metadata, read_table, require_column

    group_column = getattr(chosen, "group_column", None)
    listing = list_source(chosen.source, chosen.image_column, chosen.label_column, chosen.split_column)
    table = find_metadata(chosen.source, chosen.metadata)
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
    return AUDITS / (resolved.parent.name if resolved.name == METADATA_FILE else resolved.stem)


def split(chosen: argparse.Namespace) -> int:
    """Make a split of one's own."""
    from melanoma_pl.data.image_set import require_source

    require_source(chosen.source)
    from melanoma_pl.data.partition.partitioning import partition

    made = partition(
        chosen.source,
        chosen.target,
        test_fraction=chosen.test,
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
    from melanoma_pl.data.public_sets import prepare_dataset

    prepared = prepare_dataset(
        chosen.name,
        chosen.source,
        chosen.target,
        task=chosen.task,
        diagnoses=chosen.diagnoses,
        unknown=chosen.unknown,
        missing=chosen.missing,
        table_only=chosen.table_only,
        copy=chosen.copy,
        test_fraction=chosen.test,
        seed=chosen.seed,
    )
    print(prepared.text())
    return OK


def synthesize(chosen: argparse.Namespace) -> int:
    """Draw synthetic images."""
    from melanoma_pl.data.synthetic.synthetic_images import write_images

    write_images(chosen.target, chosen.train, chosen.test, chosen.seed, chosen.size)
    print(f"{chosen.train} training and {chosen.test} test images, drawn by a program: {chosen.target}")
    print(f"next: melanoma-train data=folder {hydra_word('data.root', str(chosen.target))} data.group_column=group")
    return OK


def card(chosen: argparse.Namespace) -> int:
    """Write a data card; an audit of the same images, where one was made, goes into it."""
    check_file("--to", chosen.to)
    listing, rows = read_source(chosen)
    from melanoma_pl.report.data.audit_summary import AUDIT_JSON
    from melanoma_pl.report.data.data_card import DATA_CARD, data_card, read_audit, write_card

    folder = default_folder(chosen.source)
    written = write_card(data_card(listing, rows, read_audit(folder / AUDIT_JSON)), chosen.to or folder / DATA_CARD)
    print(f"data card   {written}")
    return OK


def cache(chosen: argparse.Namespace) -> int:
    """List or remove the decoded images that are kept on the disk."""
    from melanoma_pl.data.cache.cache_files import clean, format_entries

    print(format_entries(chosen.folder) if chosen.action == "list" else clean(chosen.folder, chosen.older_than))
    return OK


if __name__ == "__main__":
    main()
