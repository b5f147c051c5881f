"""`melanoma-runs`: which run is best on validation, and whether two runs differ by more than chance."""

import argparse
import json
import sys

from melanoma_pl.cli import OK, run_command
from melanoma_pl.runs.command_line import parser


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Run one of the subcommands."""
    chosen = parser().parse_args(arguments)
    return show_list(chosen) if chosen.command == "list" else compare(chosen)


def show_list(chosen: argparse.Namespace) -> int:
    """Print the finished runs, the best first."""
    from melanoma_pl.runs.listing import list_runs
    from melanoma_pl.runs.showing import format_listing, listing_json

    listing = list_runs(chosen.folder, chosen.by)
    print(as_json(listing_json(listing)) if chosen.json else format_listing(listing, chosen.all))
    return OK


def compare(chosen: argparse.Namespace) -> int:
    """Print the differences between two runs' results on the same photos."""
    from melanoma_pl.runs.pairing import pair
    from melanoma_pl.runs.predictions import read_predictions
    from melanoma_pl.runs.sources import choose_split, find_source

    first, second = find_source(chosen.first), find_source(chosen.second)
    split = choose_split(first, second, chosen.split)
    found = pair(read_predictions(first, split), read_predictions(second, split))
    from melanoma_pl.reporting.comparison import comparison_json, format_comparison
    from melanoma_pl.runs.comparing import compare_pair

    comparison = compare_pair(found)
    print(as_json(comparison_json(comparison)) if chosen.json else format_comparison(comparison))
    return OK


def as_json(content: object) -> str:
    """Return one JSON object, as a person can read it."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


if __name__ == "__main__":
    main()
