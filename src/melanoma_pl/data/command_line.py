"""Prepare, audit and describe images before training.

Examples:
  melanoma-data audit images                                   leaks, duplicates, shortcuts to the label
  melanoma-data audit images --group-column group --fix quarantine.csv
  melanoma-data split images clean --group-column group        new train and test splits, no lesion in both
  melanoma-data split images clean --folds 5                   without a table: near-duplicates are kept together
  melanoma-data prepare ham10000 downloads/ham10000 ham10000   convert the download of a public dataset
  melanoma-data synthesize drawn --train 600 --test 120        images drawn by a program
  melanoma-data card images                                    a data card in Markdown
  melanoma-data cache list                                     decoded images that did not fit into memory
  melanoma-data cache clean --older-than 30                    remove those that were not used for 30 days
  melanoma-data audit --help                                   all options of one command
"""

import argparse
from pathlib import Path

from melanoma_pl.data.cache.cache_files import DEFAULT_FOLDER

DESCRIPTION, EXAMPLES = (__doc__ or "").split("\n\n", 1)
NAMES = ("kaggle-benign-malignant", "ham10000", "isic", "isic2024", "pad-ufes-20", "dermamnist")
TASKS = ("melanoma-vs-nevus", "malignant-vs-benign", "melanoma-vs-rest")
ON_PROBLEM = ("stop", "leave-out")
DEFAULT = "default: %(default)s"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parsing = argparse.ArgumentParser(
        "melanoma-data", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=formatter
    )
    commands = parsing.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for name, (description, add_options) in {
        "audit": ("find leaks, conflicts and shortcuts; exit code 1 if there are leaks or conflicts", _audit_options),
        "split": ("make new train and test splits, stratified, no lesion in both", _split_options),
        "prepare": ("convert the download of a public dataset into folders with a metadata table", _prepare_options),
        "synthesize": ("draw synthetic images", _synthesize_options),
        "card": ("write a data card in Markdown", _card_options),
        "cache": ("list or remove decoded images on the disk, of datasets that do not fit into memory", _cache_options),
    }.items():
        command = commands.add_parser(name, help=description, description=f"{description[0].upper()}{description[1:]}.")
        add_options(command)
    return parsing


def _audit_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    _source_options(command, with_splits=True)
    _group_column_option(command)
    add("--report", type=Path, metavar="FOLDER", help="default: outputs/audits/<name of ROOT>")
    add("--no-images", action="store_true", help="leave thumbnails out of the page, which names their files still")
    add("--fix", type=Path, metavar="CSV", help="write the list of images to leave out of training")
    add("--exclude", type=Path, metavar="CSV", help="ignore the images on such a list")


def _split_options(command: argparse.ArgumentParser) -> None:
    _source_options(command, with_splits=False)
    _target_option(command)
    _group_column_option(command)
    _cut_options(command)
    command.add_argument("--folds", type=int, metavar="K", help="also cut the training images into K folds")


def _prepare_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    add("source", type=Path, metavar="SOURCE", help="the download: a folder, a zip or an npz file")
    _target_option(command)
    add("--task", choices=TASKS, default="malignant-vs-benign", help=DEFAULT)
    add("--diagnoses", type=Path, metavar="CSV", help="a diagnosis table of your own")
    add("--unknown", choices=ON_PROBLEM, default="stop", help="images whose diagnosis is not in the table")
    add("--missing", choices=ON_PROBLEM, default="stop", help="rows without an image and images without a row")
    add("--table-only", action="store_true", help="write only the table, for data=table")
    _cut_options(command)


def _synthesize_options(command: argparse.ArgumentParser) -> None:
    _target_option(command)
    for option, value in (("train", 600), ("test", 120), ("seed", 0), ("size", 224)):
        command.add_argument(f"--{option}", type=int, default=value, metavar="N", help=DEFAULT)


def _card_options(command: argparse.ArgumentParser) -> None:
    _source_options(command, with_splits=True)
    command.add_argument("--to", type=Path, metavar="FILE", help="default: outputs/audits/<name of ROOT>/DATA_CARD.md")


def _cache_options(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(required=True, dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="show each dataset: images, size, last use")
    cleaning = actions.add_parser("clean", help="remove the decoded images; training decodes again what it needs")
    for action in (listing, cleaning):
        action.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER", help=DEFAULT)
    older = "only datasets that were not used for DAYS days"
    cleaning.add_argument("--older-than", type=float, default=0, metavar="DAYS", help=older)


def _source_options(command: argparse.ArgumentParser, *, with_splits: bool) -> None:
    add = command.add_argument
    name = "ROOT" if with_splits else "SOURCE"
    add("source", type=Path, metavar=name, help="an image folder, or a CSV table of images")
    add("--metadata", metavar="CSV", default="auto", help="default: <folder>/metadata.csv if present")
    add("--image-column", default="image", metavar="NAME", help=f"column with the image's path; {DEFAULT}")
    add("--label-column", default="label", metavar="NAME", help=f"column of a table with the class; {DEFAULT}")
    if with_splits:
        add("--split-column", default="split", metavar="NAME", help=f"column of a table with the split; {DEFAULT}")


def _group_column_option(command: argparse.ArgumentParser) -> None:
    meaning = "column of the metadata whose equal values mean one lesion or patient"
    command.add_argument("--group-column", metavar="NAME", help=meaning)


def _target_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("target", type=Path, metavar="TARGET", help="folder to make; it must be absent or empty")


def _cut_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--test", type=float, default=0.2, dest="test_fraction", metavar="FRACTION", help=DEFAULT)
    add("--seed", type=int, default=0, metavar="N", help=f"seed of the split; {DEFAULT}")
    add("--copy", action="store_true", help="copy the images instead of linking them")
