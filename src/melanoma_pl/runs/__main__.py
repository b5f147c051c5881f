"""Runs side by side: which is best on validation, and whether two differ by more than chance.

Examples:
  melanoma-runs list                                   every finished run below outputs/, the best first
  melanoma-runs list outputs/sweeps --by val/log_loss
  melanoma-runs compare outputs/baseline/<A> outputs/baseline/<B>
  melanoma-runs compare <A> <B> --split validation --json
  melanoma-runs compare <A> latest                     latest: the newest finished run below outputs/
  melanoma-runs compare <A> <B>/report/other/test      reports on other images, of ensembles, or a predictions.csv
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from melanoma_pl.config.app import OK, run_command
from melanoma_pl.messages import json_text
from melanoma_pl.runs.pairing import pair
from melanoma_pl.runs.predictions import SPLITS, choose_split, find_source, read_predictions
from melanoma_pl.runs.ranking import BY, format_listing, listing_json, rank_runs
from melanoma_pl.runs.run_folder import OUTPUTS

DESCRIPTION, EXAMPLES = (__doc__ or "").split("\n\n", 1)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parsing = argparse.ArgumentParser(
        "melanoma-runs", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=formatter
    )
    commands = parsing.add_subparsers(required=True, dest="command", metavar="COMMAND")
    listing = commands.add_parser("list", help="the finished runs below a folder, ranked by a figure of validation")
    add = listing.add_argument
    add("folder", nargs="?", type=Path, default=OUTPUTS, metavar="FOLDER", help="default: %(default)s, with sweeps")
    add("--by", default=BY, metavar="FIGURE", help="of validation; default: %(default)s")
    add("--all", action="store_true", help="name the runs that did not finish, too")
    comparing = commands.add_parser("compare", help="two runs on the same images: differences, intervals, tests")
    add = comparing.add_argument
    add("first", type=Path, metavar="A", help="a run's folder or latest, a report's folder, a predictions.csv")
    add("second", type=Path, metavar="B", help="the other one; differences are B − A")
    add("--split", choices=SPLITS, help="default: test if both were evaluated on it")
    for command in (listing, comparing):
        command.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parsing


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Print the ranking of runs or the comparison of two runs, and return the exit code."""
    chosen = parser().parse_args(arguments)
    content, text = show_list(chosen) if chosen.command == "list" else compare(chosen)
    print(json_text(content, indent=2) if chosen.json else text)
    return OK


def show_list(chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Return the runs, the best first, as plain values and as text."""
    listing = rank_runs(chosen.folder, chosen.by)
    return listing_json(listing), format_listing(listing, chosen.all)


def compare(chosen: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Return the differences between two runs on the same images, as plain values and as text."""
    first, second = find_source(chosen.first), find_source(chosen.second)
    split = choose_split(first, second, chosen.split)
    found = pair(read_predictions(first, split), read_predictions(second, split))
    from melanoma_pl.runs.comparing import compare_pair, comparison_json, format_comparison  # NumPy and SciPy

    comparison = compare_pair(found)
    return comparison_json(comparison), format_comparison(comparison)


if __name__ == "__main__":
    main()
