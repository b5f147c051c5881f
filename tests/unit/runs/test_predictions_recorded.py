"""The decisions that a run's evaluation has recorded for a checkpoint."""

import json
from pathlib import Path

from tests.unit.runs.run_examples import write_run

from melanoma_pl.evaluation.metrics import Counts
from melanoma_pl.runs.predictions import recorded_decisions

COUNTS = Counts(true_positives=173, false_positives=76, true_negatives=142, false_negatives=9)


def write_report(run: Path, name: str, tag: str, threshold: float) -> None:
    (run / "report" / name).mkdir(parents=True, exist_ok=True)
    counts = {"true_negatives": 142, "false_positives": 76, "true_positives": 173, "false_negatives": 9}
    metrics = {f"{tag}/{key}": value for key, value in {**counts, "threshold": threshold}.items()}
    (run / "report" / name / "metrics.json").write_text(json.dumps({"metrics": metrics}))


def test_the_record_is_that_of_test_or_else_of_validation(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    best = run / "checkpoints/best.ckpt"
    assert recorded_decisions(best, 0.25) is None
    write_report(run, "validation", "val", 0.25)
    assert recorded_decisions(best, 0.25) == ("validation", COUNTS)
    write_report(run, "test", "test", 0.25)
    assert recorded_decisions(best, 0.25) == ("test", COUNTS)


def test_figures_of_another_decision_are_not_quoted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    best, last = (run / f"checkpoints/{name}.ckpt" for name in ("best", "last"))
    write_report(run, "test", "test", 0.25)
    assert recorded_decisions(best, 0.3) is None, "another threshold"
    assert recorded_decisions(best, 0.25, "dihedral") is None, "other views"
    assert recorded_decisions(last, 0.25) is None, "another checkpoint"
    assert recorded_decisions(tmp_path / "best.ckpt", 0.25) is None, "no run"
    write_report(run, "test_dihedral", "test", 0.25)
    assert recorded_decisions(best, 0.25, "dihedral") == ("test", COUNTS)
    write_report(run, "test_last", "test", 0.25)
    assert recorded_decisions(last, 0.25) == ("test", COUNTS)
