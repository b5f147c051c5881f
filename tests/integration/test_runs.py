"""`melanoma-runs` as its user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from melanoma_pl import train
from melanoma_pl.runs import __main__ as runs
from tests.conftest import TINY, Command
from tests.integration.test_bad_input import HEAVY
from tests.unit.runs.run_examples import rows_of, tagged, write_images, write_predictions, write_run

LABELS = "mb" * 20


@pytest.fixture
def two_runs(work_folder: Path) -> list[str]:
    """Two made-up runs on the same images."""
    for name, shift in (("a", 0.0), ("b", 0.3)):
        run = write_run(work_folder / "outputs/baseline" / name, tagged("val", auroc=0.8 + shift / 10))
        values = [0.4 + (index % 7) / 20 + (shift if letter == "m" else 0) for index, letter in enumerate(LABELS)]
        rows = rows_of(values, LABELS)
        write_predictions(run / "report/test", rows)
        write_images(run, train=[("train/0.png", 0.0, "benign")], test=rows)
    return ["outputs/baseline/a", "outputs/baseline/b"]


def test_list(run_command: Command, two_runs: list[str]) -> None:
    result = run_command(runs.command, "list")
    assert result.code == 0, result.error
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["rank", "1", "2"]
    assert lines[2].endswith(two_runs[1])
    content = json.loads(run_command(runs.command, "list", "outputs/baseline", "--json").output)
    assert [run["folder"] for run in content["groups"][0]["runs"]] == two_runs[::-1]


def test_compare(run_command: Command, two_runs: list[str]) -> None:
    result = run_command(runs.command, "compare", *two_runs)
    assert result.code == 0, result.error
    assert "B ranks better" in result.output
    content = json.loads(run_command(runs.command, "compare", *two_runs, "--json").output)
    assert content["verdict"][0].startswith("B ranks better")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["list", "nowhere"], "nowhere does not exist"),
        (["list", "outputs/baseline/a/report"], "there is no run below"),
        (["list", "--by", "test/auroc"], "would choose on the test images"),
        (["list", "--by", "val/auc"], "did you mean 'val/auroc'"),
        (["compare", "nowhere", "outputs/baseline/a"], "nowhere does not exist"),
        (["compare", "outputs", "outputs/baseline/a"], "outputs is not a run's folder"),
        (["compare", "outputs/baseline/a", "outputs/baseline/a"], "A and B are the same predictions"),
        (
            ["compare", "outputs/baseline/a", "outputs/baseline/b", "--split", "validation"],
            "make them: melanoma-evaluate run=outputs/baseline/a split=validation and melanoma-evaluate run=outputs/ba",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_said_in_one_line(
    arguments: list[str], expected: str, run_command: Command, two_runs: list[str]
) -> None:
    result = run_command(runs.command, *arguments)
    assert result.code == 2
    assert expected in result.error
    assert result.error.startswith("error: ")
    assert len(result.error.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["compare", "--help"],
        ["list"],
        ["list", "--json"],
        ["list", "nowhere"],
        ["compare", "nowhere", "nowhere"],
        ["compare", "outputs/baseline/a", "outputs/baseline/b", "--split", "validation"],
    ],
    ids=" ".join,
)
def test_answers_without_importing_anything_heavy(arguments: list[str], two_runs: list[str]) -> None:
    code = (
        "import sys\nfrom melanoma_pl.runs.__main__ import command\nfrom melanoma_pl.config.app import run_command\n"
        "try:\n    run_command(command, sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', [name for name in {(*HEAVY, 'numpy')} if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert "heavy: []" in answer.stdout, answer.stderr


@pytest.mark.slow
def test_two_trained_runs(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    for seed in ("1", "2"):
        options = (*TINY, "data=folder", f"data.root={image_folder}", "data.group_column=group", f"seed={seed}")
        trained = run_command(train.command, *options)
        assert trained.code == 0, trained.error
    listed = run_command(runs.command, "list")
    assert listed.code == 0, listed.error
    assert "20 % of train by seed 0, lesions by group" in listed.output
    first, second = (str(path.parent) for path in sorted(work_folder.glob("outputs/*/*/run.json")))
    result = run_command(runs.command, "compare", first, second)
    assert result.code == 0, result.error
    assert "12 test images, 6 malignant, of 6 lesions" in result.output
    assert "warning: only 6 malignant images" in result.output
    result = run_command(runs.command, "compare", first, second, "--split", "validation")
    assert result.code == 0, result.error
    assert "A chose its epoch and its threshold on 8 of these 8 images" in result.output
    record = json.loads(Path(first, "run.json").read_text())
    (group,) = json.loads(run_command(runs.command, "list", "--json").output)["groups"]
    assert group["validation"]["seed"] == 0
    assert f"validation: 8 images ({group['validation']['listed'][:8]}), 20 %" in listed.output
    assert record["fingerprint"].startswith(listed.output.split("(")[1][:8])
