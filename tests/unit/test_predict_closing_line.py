"""The last line of `melanoma-predict`, and the record that it quotes."""

import json
from pathlib import Path

import pytest

from melanoma_pl.errors import UserError
from melanoma_pl.predict import RecordedDecisions, closing_line, decision_names, recorded_decisions
from tests.unit.runs.run_examples import write_run

NAMES = ("benign", "malignant")
TEST = RecordedDecisions("test", 218, 76, 182, 9)


@pytest.mark.parametrize(
    ("malignant", "n", "expected"),
    [
        (24, 24, "all 24 called malignant; at this threshold 35 % of 218 benign test images are too"),
        (2, 2, "both called malignant; at this threshold 35 % of 218 benign test images are too"),
        (0, 24, "none of 24 called malignant; at this threshold 5 % of 182 malignant test images are missed"),
        (
            7,
            24,
            "7 of 24 called malignant; at this threshold 35 % of 218 benign test images are too, and 5 % of 182 "
            "malignant test images are missed",
        ),
        (1, 1, "the image is called malignant; at this threshold 35 % of 218 benign test images are too"),
        (0, 1, "the image is called benign; at this threshold 5 % of 182 malignant test images are missed"),
    ],
)
def test_the_line_says_how_often_such_a_decision_is_wrong(malignant: int, n: int, expected: str) -> None:
    assert closing_line(malignant, n, NAMES, 0.25, TEST) == f"threshold 0.250000: {expected}"


def test_without_a_record_the_line_only_counts() -> None:
    assert closing_line(3, 24, NAMES, 0.5, None) == "threshold 0.500000: 3 of 24 called malignant"
    empty = RecordedDecisions("test", 0, 0, 3, 1)
    assert closing_line(3, 3, NAMES, 0.5, empty) == "threshold 0.500000: all 3 called malignant"


def test_small_rates_and_single_images() -> None:
    few = RecordedDecisions("validation", 1, 1, 300, 1)
    line = closing_line(1, 2, ("normal", "melanoma"), 0.5, few)
    assert "100 % of 1 normal validation image is too" in line
    assert "0.3 % of 300 melanoma validation images are missed" in line


def write_report(run: Path, name: str, tag: str, threshold: float) -> None:
    (run / "report" / name).mkdir(parents=True, exist_ok=True)
    counts = {"true_negatives": 142, "false_positives": 76, "true_positives": 173, "false_negatives": 9}
    metrics = {f"{tag}/{key}": value for key, value in {**counts, "threshold": threshold}.items()}
    (run / "report" / name / "metrics.json").write_text(json.dumps({"metrics": metrics}))


def test_the_record_is_that_of_test_or_else_of_validation(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    best = run / "checkpoints/best.ckpt"
    assert recorded_decisions(best, 0.25, tta=False) is None
    write_report(run, "validation", "val", 0.25)
    assert recorded_decisions(best, 0.25, tta=False) == RecordedDecisions("validation", 218, 76, 182, 9)
    write_report(run, "test", "test", 0.25)
    assert recorded_decisions(best, 0.25, tta=False) == TEST


def test_figures_of_another_decision_are_not_quoted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    best, last = (run / f"checkpoints/{name}.ckpt" for name in ("best", "last"))
    write_report(run, "test", "test", 0.25)
    assert recorded_decisions(best, 0.3, tta=False) is None, "another threshold"
    assert recorded_decisions(best, 0.25, tta=True) is None, "other views"
    assert recorded_decisions(last, 0.25, tta=False) is None, "another checkpoint"
    assert recorded_decisions(tmp_path / "best.ckpt", 0.25, tta=False) is None, "no run"
    write_report(run, "test_dihedral", "test", 0.25)
    assert recorded_decisions(best, 0.25, tta=True) == TEST
    write_report(run, "test_last", "test", 0.25)
    assert recorded_decisions(last, 0.25, tta=False) == TEST


@pytest.mark.parametrize(
    "text", ["", "a", "a,b,c", "a,a", "a,A", ",b", "melanoma,normal", "malignant,benign", "a,\x1b"]
)
def test_names_that_cannot_be_the_two_decisions_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="should be two names"):
        decision_names(text)


def test_names_may_have_spaces_around_them() -> None:
    assert decision_names("normal, melanoma") == ("normal", "melanoma")
