"""Measure a whole training command, from its start to its end, beside the import of Lightning.

python -m benchmarks.whole_command IMAGES
python -m benchmarks.whole_command IMAGES --rounds 5 trainer.max_epochs=1
"""

import argparse
import statistics
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import describe
from benchmarks.start_up import REFERENCES, python, training
from benchmarks.turns import take_turns
from melanoma_pl.runs.run_folder import OUTPUTS, all_runs

COMMAND, REFERENCE = "melanoma-train", REFERENCES[1]
NETWORK = ("training", "validation", "evaluation", "variants", "detector", "heat_maps")  # parts in `run.json`
OTHERS = {"imports": "imports", "reading": "listing and decoding", "figures": "figures", "page": "page"}

Parts = dict[str, float]


def whole_command(folder: Path, words: list[str], parts: list[Parts]) -> float:
    """Run the command once, append the seconds of its parts, and return those of the whole."""
    whole = python(folder, *words)
    recorded = next(all_runs(folder / OUTPUTS)).read()["seconds"]
    found = {"network": sum(recorded.get(part, 0.0) for part in NETWORK)}
    found |= {title: recorded[part] for part, title in OTHERS.items()}
    parts.append({**found, "rest": whole - sum(found.values())})
    return whole


def main() -> None:
    """Run command and import in turn, and print the medians."""
    parsing = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsing.add_argument("images", type=Path, help="folder of images")
    parsing.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parsing.add_argument("overrides", nargs="*", help="of melanoma-train")
    chosen = parsing.parse_intermixed_args()
    words = [*training(chosen.images.resolve()), "experiment=tipe", "report=page", *chosen.overrides]
    parts: list[Parts] = []
    with TemporaryDirectory() as name:
        measured = {
            REFERENCE: partial(python, Path(name), "-c", REFERENCE),
            COMMAND: partial(whole_command, Path(name), words, parts),
        }
        seconds = take_turns(measured, chosen.rounds)
    print(f"{describe()}; {chosen.rounds} rounds in turn; seconds\n")
    show(seconds[REFERENCE], seconds[COMMAND], parts)


def show(reference: list[float], whole: list[float], parts: list[Parts]) -> None:
    """Print the medians and ranges, and the ratio of all that is not the network's to the import of Lightning."""
    without = [seconds - each["network"] for seconds, each in zip(whole, parts, strict=True)]
    rows = {title: [each[title] for each in parts] for title in parts[0]}
    for title, each in {REFERENCE: reference, COMMAND: whole, **rows, f"{COMMAND} without network": without}.items():
        print(f"{title:<30} {statistics.median(each):>7.2f}  ({min(each):.2f}–{max(each):.2f})")
    ratio = statistics.median(own / other for own, other in zip(without, reference, strict=True))
    print(f"{f'without network ÷ {REFERENCE}':<46} {ratio:.2f}")


if __name__ == "__main__":
    main()
