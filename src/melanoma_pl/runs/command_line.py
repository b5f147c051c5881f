"""What can be typed after `melanoma-runs`."""

import argparse
from pathlib import Path

from melanoma_pl.runs.folder import OUTPUTS
from melanoma_pl.runs.listing import BY
from melanoma_pl.runs.sources import SPLITS

DESCRIPTION = "Runs side by side: which is best on validation, and whether two differ by more than chance."
EXAMPLES = """examples:
  melanoma-runs list                                   every finished run below outputs/, the best first
  melanoma-runs list outputs/sweeps --by val/log_loss
  melanoma-runs compare outputs/baseline/<A> outputs/baseline/<B>
  melanoma-runs compare <A> <B> --split validation --json
  melanoma-runs compare <A> <B>/report/other/test      reports on other photos, of ensembles, or a predictions.csv
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
    comparing = commands.add_parser("compare", help="two runs on the same photos: differences, intervals, tests")
    comparing.add_argument("first", type=Path, metavar="A", help="a run's folder, a report's folder, a predictions.csv")
    comparing.add_argument("second", type=Path, metavar="B", help="the other one; differences are B − A")
    comparing.add_argument("--split", choices=SPLITS, help="default: test if both were evaluated on it")
    for command in (listing, comparing):
        command.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parsing
