"""`melanoma-data`: audits, splits, public datasets, synthetic images, data cards and caches."""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from melanoma_pl.config.app import FAILED, OK, run_command
from melanoma_pl.data.audit.audit_record import AUDITS
from melanoma_pl.data.audit.findings import NO_IMAGES
from melanoma_pl.data.command_line import parser
from melanoma_pl.data.metadata import METADATA_FILE
from melanoma_pl.errors import UserError
from melanoma_pl.files import check_file_target, check_folder_target
from melanoma_pl.messages import amount, hydra_word, readable

if TYPE_CHECKING:
    from melanoma_pl.data.labelled_images import LabelledImages


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Run one of the subcommands.

    Returns:
        The exit code: 1 if `audit` found leaks or conflicts, else 0.
    """
    chosen = parser().parse_args(arguments)
    name = vars(chosen).pop("command")
    return {each.__name__: each for each in (audit, split, prepare, synthesize, card, cache)}[name](chosen)


def audit(chosen: argparse.Namespace) -> int:
    """Audit images, write the report and print a summary."""
    listing, rows = read_source(chosen, chosen.group_column)
    from melanoma_pl.data.audit.audit_record import leave_record, read_quarantine, write_quarantine
    from melanoma_pl.data.audit.auditing import audit_images
    from melanoma_pl.report.data.audit_page import write_page
    from melanoma_pl.report.data.audit_summary import write_json
    from melanoma_pl.report.data.audit_terminal import format_audit

    folder = chosen.report or default_folder(chosen.source)
    check_folder_target(folder, f"--report {folder}")
    check_folder_target(AUDITS, f"the folder of all audits, {AUDITS},")
    if chosen.fix:
        check_file_target(chosen.fix, f"--fix {chosen.fix}")
    excluded = read_quarantine(chosen.exclude, listing.paths) if chosen.exclude else {}
    found, scanned = audit_images(listing, rows, chosen.group_column, sorted(excluded))
    found = replace(found, words=typed(chosen))
    write_json(found, folder)
    write_page(found, scanned.listing, folder, with_images=not chosen.no_images)
    leave_record(found, scanned, folder)
    show(format_audit(found))
    show(f"report      {folder / 'audit.html'}")
    if chosen.fix:
        sha256 = {path: image.sha256 for path, image in zip(scanned.listing.paths, scanned.images, strict=True)}
        listed = {path: {"reason": why, "sha256": sha256[path]} for path, why in found.quarantine.items()}
        write_quarantine(chosen.fix, excluded | listed)
        images = amount(len(excluded | listed), "image")
        show(f"quarantine  {chosen.fix}: {images}, left out by {hydra_word('data.exclude', str(chosen.fix))}")
    return OK if found.is_clean else FAILED


def show(text: str) -> None:
    """Print a text of one or more lines."""
    print(readable(text, keep="\n"))


def read_source(
    chosen: argparse.Namespace, group_column: str | None = None
) -> "tuple[LabelledImages, dict[str, Mapping[str, str]] | None]":
    """Return the images of the source, and the rows of their metadata table by path, or None without a table.

    Raises:
        UserError: If the images, their table or its group column do not exist.
    """
    from melanoma_pl.data.labelled_images import list_images
    from melanoma_pl.data.metadata import find_metadata, read_table, require_column

    listing = list_images(chosen.source, chosen.image_column, chosen.label_column, chosen.split_column)
    table = find_metadata(chosen.source, chosen.metadata)
    if table is None and group_column:
        raise UserError(f"--group-column {group_column} needs a metadata table", "name it with --metadata")
    if table is None:
        return listing, None
    rows = read_table(table, chosen.image_column, "--image-column", set(listing.paths))
    if group_column and rows:
        require_column(table, list(next(iter(rows.values()))), group_column, "--group-column")
    return listing, rows


def typed(chosen: argparse.Namespace) -> tuple[str, ...]:
    """Return the source and the options that concern it, as the user would type them."""
    defaults = {"metadata": "auto", "image_column": "image", "label_column": "label", "split_column": "split"}
    words = [str(chosen.source)]
    for name in (*defaults, "group_column", "exclude", "fix"):
        if (value := vars(chosen)[name]) != defaults.get(name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return (*words, *[NO_IMAGES] * chosen.no_images)


def default_folder(source: Path) -> Path:
    """Return the folder of an audit's report, named after the source; for a `metadata.csv`, after its folder."""
    resolved = source.resolve()
    if resolved.is_dir():
        return AUDITS / resolved.name
    return AUDITS / (resolved.parent.name if resolved.name == METADATA_FILE else resolved.stem)


def split(chosen: argparse.Namespace) -> int:
    """Make new train and test splits."""
    from melanoma_pl.data.labelled_images import require_source

    require_source(chosen.source)
    from melanoma_pl.data.partition.partitioning import partition

    show(partition(**vars(chosen)).text())
    return OK


def prepare(chosen: argparse.Namespace) -> int:
    """Convert the download of a public dataset into the layout that training reads."""
    from melanoma_pl.data.public_sets.preparing import prepare_dataset

    show(prepare_dataset(**vars(chosen)).text())
    return OK


def synthesize(chosen: argparse.Namespace) -> int:
    """Draw synthetic images."""
    from melanoma_pl.data.synthetic.synthetic_images import write_images

    write_images(chosen.target, chosen.train, chosen.test, chosen.seed, chosen.size)
    show(f"{chosen.train} training and {chosen.test} test images, drawn by a program: {chosen.target}")
    show(f"next: melanoma-train data=folder {hydra_word('data.root', str(chosen.target))} data.group_column=group")
    return OK


def card(chosen: argparse.Namespace) -> int:
    """Write a data card; it includes the audit of the same images, where there is one."""
    if chosen.to and chosen.to.is_dir():
        raise UserError(f"--to {chosen.to} is a folder", "name a file in it")
    target = chosen.to or default_folder(chosen.source)
    check_folder_target(target.parent if chosen.to else target, f"--to {chosen.to}" if chosen.to else str(target))
    listing, rows = read_source(chosen)
    from melanoma_pl.report.data.audit_summary import AUDIT_JSON
    from melanoma_pl.report.data.data_card import DATA_CARD, data_card, read_audit, write_card

    folder = default_folder(chosen.source)
    written = write_card(data_card(listing, rows, read_audit(folder / AUDIT_JSON)), chosen.to or folder / DATA_CARD)
    show(f"data card   {written}")
    return OK


def cache(chosen: argparse.Namespace) -> int:
    """List or remove the decoded images on the disk."""
    from melanoma_pl.data.cache.cache_files import clean, format_cached

    show(format_cached(chosen.folder) if chosen.action == "list" else clean(chosen.folder, chosen.older_than))
    return OK


if __name__ == "__main__":
    main()
