"""Progress where the output is not a terminal: a line now and then, so that no one takes a long pass for a hang."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from melanoma_pl import messages
from melanoma_pl.config.app import job_of_sweep
from melanoma_pl.data.__main__ import command
from melanoma_pl.image_files import read_all
from melanoma_pl.messages import Progress, counted
from melanoma_pl.train import command as train
from tests.conftest import TINY, Command


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that the test moves on."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Progress, "said", float("-inf"))
    monkeypatch.setattr(Progress, "active", float("-inf"))
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def test_a_line_every_half_minute(pass_time: Callable[[float], None], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in counted(range(2000), "reading"):
        pass_time(0.125)
    assert capsys.readouterr().err.splitlines() == [
        f"reading: {done:,} of 2,000 images" for done in range(240, 2000, 240)
    ]


def test_a_slow_step_is_told_at_once(pass_time: Callable[[float], None], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(3, "comparing", "pairs") as progress:
        for _ in range(3):
            pass_time(100)
            progress.advance()
    assert capsys.readouterr().err.count("\n") == 3


def test_short_passes_share_the_clock_until_something_else_happens(
    pass_time: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for title in ("first", "second", "third"):
        for _ in counted(range(10), title):
            pass_time(1.25)
    assert capsys.readouterr().err == "third: 4 of 10 images\n"
    pass_time(100)  # of training, which writes lines of its own
    for _ in counted(range(10), "report"):
        pass_time(1.25)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar(
    pass_time: Callable[[float], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(messages, "DELAY", 0)
    for _ in counted(range(100), "reading"):
        pass_time(1)
    shown = capsys.readouterr().err
    assert "reading   0% " in shown and " 0 of 100 images  ? left" in shown
    assert "\n" not in shown


def test_a_short_pass_shows_no_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(counted(range(3), "reading")) == [0, 1, 2]
    assert not capsys.readouterr().err.strip()


def test_jobs_at_the_same_time_show_no_bars_but_lines_with_their_number(
    pass_time: Callable[[float], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with job_of_sweep("job 2/4", is_alone=False):
        for _ in counted(range(100), "reading"):
            pass_time(0.5)
    assert capsys.readouterr().err == "job 2/4  reading: 60 of 100 images\n"


def test_decoding_scanning_and_prediction_tell_how_far_they_are(
    image_folder: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "EVERY", 0)
    assert list(read_all(str, ["a", "b"], "reading")) == ["a", "b"]
    audit = run_command(command, "audit", str(image_folder)).error
    assert "looking at images: 52 of 52 images" in audit
    told = run_command(train, "data=folder", f"data.root={image_folder}", *TINY).error
    for title, count in (("reading train images", 40), ("reading test images", 12), ("predicting test images", 12)):
        assert f"{title}: {count} of {count} images" in told
