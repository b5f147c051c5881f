"""Run measurements in turn, because the speed of a machine drifts, and compare them by ratios."""

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

Rates = dict[str, list[float]]


def take_turns(measured: Mapping[str, Callable[[], float]], rounds: int) -> Rates:
    """Return the rates of each measurement, one a round."""
    rates: Rates = {name: [] for name in measured}
    for number in range(rounds):
        for name, measure in measured.items():
            rates[name].append(measure())
            print(f"  round {number + 1}/{rounds}  {name}: {rates[name][-1]:.1f}", file=sys.stderr, flush=True)
    return rates


def child(*words: str) -> float:
    """Run a benchmark in its own process, which keeps its settings to itself, and return the number it prints."""
    answer = subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.PIPE, text=True)
    return float(answer.stdout.split()[-1])


def show(title: str, rates: Rates, references: Sequence[str]) -> None:
    """Print medians and ranges, and the ratio of each median to those of the references that were measured."""
    present = [name for name in references if name in rates]
    width = max(len(name) for name in [title, *rates])
    print(f"\n{title:<{width}}  {'images/s':>20}" + "".join(f"  ÷ {name}" for name in present))
    for name, each in rates.items():
        median = statistics.median(each)
        line = f"{name:<{width}}  {f'{median:.1f} ({min(each):.1f}–{max(each):.1f})':>20}"
        for reference in present:
            line += f"{median / statistics.median(rates[reference]):>{len(reference) + 4}.2f}"
        print(line)
