"""What can be typed after `melanoma-runs`.

`melanoma-runs`: which run is best on validation, and whether two runs differ by more than chance.
"""

import argparse
import json
import sys
from pathlib import Path

from melanoma_pl.config.app import OK, run_command
from melanoma_pl.runs.predictions import SPLITS
from melanoma_pl.runs.ranking import BY
from melanoma_pl.runs.run_folder import OUTPUTS

DESCRIPTION = "Runs side by side: which is best on validation, and whether two differ by more than chance."
EXAMPLES = """examples:
  melanoma-runs list                                   every finished run below outputs/, the best first
  melanoma-runs list outputs/sweeps --by val/log_loss
  melanoma-runs compare outputs/baseline/<A> outputs/baseline/<B>
  melanoma-runs compare <A> <B> --split validation --json
  melanoma-runs compare <A> <B>/report/other/test      reports on other images, of ensembles, or a predictions.csv
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    formatter = argparse.RawDescriptionHelpFormatter
    parsing = argparse.ArgumentParser(
        "melanoma-runs", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=formatter
    )
    commands = parsing.add_subparsers(required=True, dest="command", metavar="COMMAND")
    listing = commands.add_parser("list", help="the finished runs below a folder, ranked by a figure of validation")
    listing.add_argument(
        "folder", nargs="?", type=Path, default=OUTPUTS, metavar="FOLDER", help="default: %(default)s, with sweeps"
    )
    listing.add_argument("--by", default=BY, metavar="FIGURE", help="of validation; default: %(default)s")
    listing.add_argument("--all", action="store_true", help="name the runs that did not finish, too")
    comparing = commands.add_parser("compare", help="two runs on the same images: differences, intervals, tests")
    comparing.add_argument("first", type=Path, metavar="A", help="a run's folder, a report's folder, a predictions.csv")
    comparing.add_argument("second", type=Path, metavar="B", help="the other one; differences are B − A")
    comparing.add_argument("--split", choices=SPLITS, help="default: test if both were evaluated on it")
    for command in (listing, comparing):
        command.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parsing


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Run one of the subcommands."""
    chosen = parser().parse_args(arguments)
    return show_list(chosen) if chosen.command == "list" else compare(chosen)


def show_list(chosen: argparse.Namespace) -> int:
    """Print the finished runs, the best first."""
    from melanoma_pl.runs.ranking import rank_runs
    from melanoma_pl.runs.ranking_text import format_listing, listing_json

    listing = rank_runs(chosen.folder, chosen.by)
    print(as_json(listing_json(listing)) if chosen.json else format_listing(listing, chosen.all))
    return OK


def compare(chosen: argparse.Namespace) -> int:
    """Print the differences between two runs' results on the same images."""
    from melanoma_pl.runs.pairing import pair
    from melanoma_pl.runs.predictions import choose_split, find_source, read_predictions

    first, second = find_source(chosen.first), find_source(chosen.second)
    split = choose_split(first, second, chosen.split)
    found = pair(read_predictions(first, split), read_predictions(second, split))
    from melanoma_pl.runs.comparing import compare_pair
    from melanoma_pl.runs.comparison_text import comparison_json, format_comparison

    comparison = compare_pair(found)
    print(as_json(comparison_json(comparison)) if chosen.json else format_comparison(comparison))
    return OK


def as_json(content: object) -> str:
    """Return one JSON object, as a person can read it."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


if __name__ == "__main__":
    main()
