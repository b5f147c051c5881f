"""What can be typed after `melanoma-data`."""

import argparse
from pathlib import Path
from typing import TypeAlias

from melanoma_pl.data.cache.cache_files import DEFAULT_FOLDER

DESCRIPTION = "What has to be right before training: audits, splits, public sets, drawings, data cards, caches."
NAMES = ("kaggle-benign-malignant", "ham10000", "isic", "pad-ufes-20", "dermamnist")
TASKS = ("melanoma-vs-nevus", "malignant-vs-benign", "melanoma-vs-rest")
ON_PROBLEM = ("stop", "leave-out")
EXAMPLES = """examples:
  melanoma-data audit images                                   leaks, duplicates, labels that give themselves away
  melanoma-data audit images --group-column group --fix quarantine.csv
  melanoma-data split images clean --group-column group        train and test anew, no lesion on both sides
  melanoma-data split images clean --folds 5                   without a table: near-duplicates are kept together
  melanoma-data prepare ham10000 downloads/ham10000 ham10000   a public set's own download → our layout
  melanoma-data synthesize drawn --train 600 --test 120        images drawn by a program
  melanoma-data card images                                    a data card in Markdown
  melanoma-data cache list                                     decoded images that did not fit into memory
  melanoma-data cache clean --older-than 30                    remove those that were not used for thirty days
  melanoma-data audit --help                                   every option of one of them
"""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    formatter = argparse.RawDescriptionHelpFormatter
    parsing = argparse.ArgumentParser(
        "melanoma-data", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=formatter
    )
    commands = parsing.add_subparsers(required=True, dest="command", metavar="COMMAND")
    _audit_parser(commands)
    _split_parser(commands)
    _prepare_parser(commands)
    _synthesize_parser(commands)
    _card_parser(commands)
    _cache_parser(commands)
    return parsing


def _audit_parser(commands: Commands) -> None:
    parsing = commands.add_parser("audit", help="say what is wrong with a set of images; exit code 1 if anything is")
    _source_options(parsing, "ROOT")
    _split_option(parsing)
    _group_option(parsing)
    parsing.add_argument("--report", type=Path, metavar="FOLDER", help="default: outputs/audits/<name of ROOT>")
    parsing.add_argument("--fix", type=Path, metavar="CSV", help="write the list of images to leave out of training")
    parsing.add_argument("--exclude", type=Path, metavar="CSV", help="leave the images of such a list out")


def _split_parser(commands: Commands) -> None:
    parsing = commands.add_parser("split", help="train and test anew, stratified, no lesion on both sides")
    _source_options(parsing, "SOURCE")
    _target_option(parsing)
    _group_option(parsing)
    _test_and_seed_options(parsing)
    parsing.add_argument("--folds", type=int, metavar="K", help="cut the training images into K folds as well")
    parsing.add_argument("--copy", action="store_true", help="copy the images instead of linking them")


def _prepare_parser(commands: Commands) -> None:
    parsing = commands.add_parser("prepare", help="a public set's own download → our layout and metadata table")
    parsing.add_argument("name", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parsing.add_argument("source", type=Path, metavar="SOURCE", help="the download: a folder, a zip or an npz")
    _target_option(parsing)
    parsing.add_argument("--task", choices=TASKS, default=None, help="default: malignant-vs-benign")
    parsing.add_argument("--diagnoses", type=Path, metavar="CSV", help="a diagnosis table of your own")
    parsing.add_argument("--unknown", choices=ON_PROBLEM, default="stop", help="images of a diagnosis not in the table")
    parsing.add_argument("--missing", choices=ON_PROBLEM, default="stop", help="rows without an image, and the reverse")
    parsing.add_argument("--table-only", action="store_true", help="write the table alone, for data=table")
    parsing.add_argument("--copy", action="store_true", help="copy the images instead of linking them")
    _test_and_seed_options(parsing)


def _synthesize_parser(commands: Commands) -> None:
    parsing = commands.add_parser("synthesize", help="draw synthetic images")
    _target_option(parsing)
    for option, value in (("train", 600), ("test", 120), ("seed", 0), ("size", 224)):
        parsing.add_argument(f"--{option}", type=int, default=value, metavar="N", help="default: %(default)s")


def _card_parser(commands: Commands) -> None:
    parsing = commands.add_parser("card", help="write a data card in Markdown")
    _source_options(parsing, "ROOT")
    _split_option(parsing)
    parsing.add_argument("--to", type=Path, metavar="FILE", help="default: outputs/audits/<name of ROOT>/DATA_CARD.md")


def _cache_parser(commands: Commands) -> None:
    parsing = commands.add_parser("cache", help="decoded images on the disk, of sets that do not fit into memory")
    actions = parsing.add_subparsers(required=True, dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="what is there: images, size, when it was last used")
    cleaning = actions.add_parser("clean", help="remove it; training makes anew what it needs")
    for action in (listing, cleaning):
        action.add_argument(
            "folder", nargs="?", type=Path, default=DEFAULT_FOLDER, metavar="FOLDER", help="default: %(default)s"
        )
    cleaning.add_argument(
        "--older-than", type=float, default=0, metavar="DAYS", help="only what was not used for so many days"
    )


def _source_options(parsing: argparse.ArgumentParser, name: str) -> None:
    parsing.add_argument("source", type=Path, metavar=name, help="an image folder, or a CSV table of images")
    parsing.add_argument("--metadata", metavar="CSV", default="auto", help="default: <folder>/metadata.csv if there")
    parsing.add_argument("--image-column", default="image", metavar="NAME", help="default: %(default)s")
    parsing.add_argument("--label-column", default="label", metavar="NAME", help="of a table; default: %(default)s")


def _split_option(parsing: argparse.ArgumentParser) -> None:
    parsing.add_argument("--split-column", default="split", metavar="NAME", help="of a table; default: %(default)s")


def _group_option(parsing: argparse.ArgumentParser) -> None:
    parsing.add_argument(
        "--group-column", metavar="NAME", help="column of the metadata whose equal values mean one lesion or patient"
    )


def _target_option(parsing: argparse.ArgumentParser) -> None:
    parsing.add_argument("target", type=Path, metavar="TARGET", help="folder to make; it must be absent or empty")


def _test_and_seed_options(parsing: argparse.ArgumentParser) -> None:
    parsing.add_argument("--test", type=float, default=0.2, metavar="FRACTION", help="default: %(default)s")
    parsing.add_argument("--seed", type=int, default=0, metavar="N", help="of the split; default: %(default)s")
