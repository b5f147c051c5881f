"""What is measured takes turns within one run, because a machine's speed drifts: compare by ratios."""

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

Rates = dict[str, list[float]]


def take_turns(measured: Mapping[str, Callable[[], float]], rounds: int) -> Rates:
    """Return what each gave in each round."""
    rates: Rates = {name: [] for name in measured}
    for number in range(rounds):
        for name, measure in measured.items():
            rates[name].append(measure())
            print(f"  round {number + 1}/{rounds}  {name}: {rates[name][-1]:.1f}", file=sys.stderr, flush=True)
    return rates


def child(*words: str) -> float:
    """Return the number that a benchmark's own command prints: what it sets for its process ends with it."""
    answer = subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.PIPE, text=True)
    return float(answer.stdout.split()[-1])


def show(title: str, rates: Rates, references: Sequence[str]) -> None:
    """Print medians and ranges, and each median's ratio to those of the references that were measured."""
    present = [name for name in references if name in rates]
    width = max(len(name) for name in [title, *rates])
    print(f"\n{title:<{width}}  {'images/s':>20}" + "".join(f"  ÷ {name}" for name in present))
    for name, each in rates.items():
        median = statistics.median(each)
        line = f"{name:<{width}}  {f'{median:.1f} ({min(each):.1f}–{max(each):.1f})':>20}"
        for reference in present:
            line += f"{median / statistics.median(rates[reference]):>{len(reference) + 4}.2f}"
        print(line)
