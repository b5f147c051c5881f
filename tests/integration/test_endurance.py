"""Trainings that are killed, find the disk full or lose power end with the same bits; the tests heed SIGINT."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.endurance import NotSurvivedError
from benchmarks.endurance_cluster import count_survived

ROOT = Path(__file__).parents[2]
IGNORING = (
    "import signal, sys, pytest\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"  # as a shell does for its jobs in the background
    "sys.exit(pytest.main(sys.argv[1:]))\n"
)


def python(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the repository."""
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limits and notes of open files are Linux's")
def test_every_kind_of_strike_is_survived() -> None:
    answer = python("-m", "benchmarks.endurance", "--kills", "3", "--seed", "1")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert len([line for line in answer.stdout.splitlines() if "/" in line and "survived" not in line]) == 5


def test_an_unknown_kind_is_refused() -> None:
    answer = python("-m", "benchmarks.endurance", "--kinds", "flood")
    assert answer.returncode == 2
    assert "no kind flood: available are kill, term, int, full, power" in answer.stderr


def test_strikes_are_counted_over_several_trainings(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple[int, int]] = []

    def struck(number: int, left: int) -> Iterator[None]:
        """The first is missed, the second survives two, the third breaks at its second, the fourth without any."""
        asked.append((number, left))
        yield from [None] * (0, 2, 2, 0, 1)[number]
        if number in (2, 3):
            raise NotSurvivedError(f"training {number} broke")

    assert count_survived(6, struck) == (3, 6)
    assert asked == [(0, 6), (1, 6), (2, 4), (3, 2), (4, 1)]
    assert capsys.readouterr().err.splitlines() == ["training 2 broke", "training 3 broke"]


@pytest.mark.slow
def test_the_tests_run_in_the_background_of_a_shell() -> None:
    chosen = ("tests/unit/config/test_app.py", "-k", "a_stop_is_found")
    answer = python("-c", IGNORING, "-q", "-p", "no:cacheprovider", *chosen)
    assert answer.returncode == 0, answer.stdout
