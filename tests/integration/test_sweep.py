"""Sweeps: a grid into one folder, validation only, a failing job leaves the others alone."""

import csv
import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest

from melanoma_pl import train
from tests.conftest import TINY, Command


@pytest.fixture
def sweep(run_command: Command, image_folder: Path) -> Command:
    """`melanoma-train -m` on the tiny images."""
    return lambda *arguments: run_command(
        train.command, "-m", *TINY, "trainer.max_epochs=1", "data=folder", f"data.root={image_folder}", *arguments
    )


def summary(work_folder: Path) -> list[dict[str, str]]:
    (path,) = work_folder.glob("outputs/sweeps/*/summary.csv")
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_grid(sweep: Command, work_folder: Path) -> None:
    result = sweep("optimizer.lr=1e-4,1e-3", "seed=1,2")
    assert result.code == 0, result.error
    rows = summary(work_folder)
    assert [(row["job"], row["optimizer.lr"], row["seed"]) for row in rows] == [
        ("0", "0.0001", "1"), ("1", "0.0001", "2"), ("2", "0.001", "1"), ("3", "0.001", "2"),
    ]  # fmt: skip
    assert {row["status"] for row in rows} == {"finished"}
    assert all(float(row["val/auroc"]) >= 0 for row in rows)
    assert not any(name.startswith("test/") for name in rows[0])
    table = [line for line in result.output.splitlines() if "optimizer.lr=" in line and "  2  " in line]
    assert len(table) == 2  # a setting a row; seeds are averaged
    assert "seed=" not in "".join(table)
    lines = result.output.splitlines()
    for number, (lr, seed) in enumerate([("0.0001", 1), ("0.0001", 2), ("0.001", 1), ("0.001", 2)]):
        figure = f"val/auroc {float(rows[number]['val/auroc']):.4f}"
        assert re.fullmatch(rf"job {number + 1}/4  optimizer\.lr={lr} seed={seed}  {figure}  \d+ s", lines[number])
    assert lines[4] == "", "nothing else of the jobs is shown"
    assert "calibration, temperature" in next(work_folder.glob("outputs/sweeps/*/0/train.log")).read_text()
    notice, table_of_jobs, setting, job, last = lines[-5:]
    assert "not a medical device" in notice
    assert Path(table_of_jobs.removeprefix("each job: ")).is_file()
    assert setting.startswith("best setting: melanoma-train ") and "seed=" not in setting
    assert f"optimizer.lr={table[0].split()[-1].partition('=')[2]}" in setting, "that of the table's first row"
    assert job.startswith("best job: outputs/sweeps/") and job.endswith("; the test split is still unopened)")
    assert last.startswith("to open the test split once: melanoma-evaluate run=outputs/sweeps/")


@pytest.mark.slow
def test_cross_validation(run_command: Command, work_folder: Path, own_image_folder: Path) -> None:
    images = sorted(path.relative_to(own_image_folder).as_posix() for path in own_image_folder.glob("train/*/*.png"))
    rows = "".join(f"{path},{index % 2}\n" for index, path in enumerate(images))
    (own_image_folder / "split.csv").write_text(f"image,fold\n{rows}")
    options = (*TINY, "trainer.max_epochs=1", "data=folder", f"data.root={own_image_folder}")
    result = run_command(train.command, "-m", *options, "data.fold=0,1", "seed=1,2")
    assert result.code == 0, result.error
    held = []
    for job in ("0", "2"):  # seed 1 of both folds
        (path,) = work_folder.glob(f"outputs/sweeps/*/{job}/images.csv")
        with path.open() as file:
            held += [row["path"] for row in csv.DictReader(file) if row["split"] == "validation"]
    assert sorted(held) == images
    header, row, note = result.output.split("\n\n")[-2].splitlines()
    assert header.split()[-5:] == ["n", "95", "%", "CI", "setting"]
    figures = [float(each["val/auroc"]) for each in summary(work_folder)]
    assert float(row.split()[0]) == pytest.approx(sum(figures) / 4, abs=1e-4)
    assert row.split()[2] == "2"
    assert "Nadeau and Bengio" in note
    *_, setting, last = result.output.strip().splitlines()
    assert "no fold's network is the result" in last
    once_more = shlex.split(setting.partition("melanoma-train ")[2])
    assert f"data.root={own_image_folder}" in once_more
    assert not [text for text in once_more if text.startswith("data.fold")]
    assert run_command(train.command, *once_more).code == 0


@pytest.mark.slow
def test_jobs_never_open_the_test_split(sweep: Command, work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from melanoma_pl.data.datamodule import MoleDataModule

    loaded = []
    list_split = MoleDataModule.list_split  # every way to the images begins with it
    monkeypatch.setattr(
        MoleDataModule, "list_split", lambda self, folder: loaded.append(folder) or list_split(self, folder)
    )
    assert sweep("seed=1,2", "data.group_column=group").code == 0
    assert set(loaded) == {"train"}
    reports = {path.name for path in work_folder.glob("outputs/sweeps/*/*/report/*")}
    assert reports == {"validation"}


@pytest.mark.slow
def test_a_resumed_job_does_not_open_it_either(sweep: Command, run_command: Command, work_folder: Path) -> None:
    sweep("seed=1,2")
    (job,) = work_folder.glob("outputs/sweeps/*/1")
    assert run_command(train.command, f"resume={job}", "trainer.max_epochs=2").code == 0
    assert sorted(path.name for path in (job / "report").iterdir()) == ["validation"]


def test_a_failing_job(sweep: Command, work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (work_folder / "failing.py").write_text(
        "import lightning.pytorch as pl\n"
        "class Failing(pl.Callback):\n"
        "    def on_train_start(self, trainer, module):\n"
        "        if trainer.limit_train_batches == 3:\n"
        "            raise RuntimeError('no luck')\n"
    )
    monkeypatch.syspath_prepend(work_folder)
    result = sweep("+trainer.limit_train_batches=2,3", "+callbacks.failing._target_=failing.Failing")
    assert result.code == 1
    assert [row["status"] for row in summary(work_folder)] == ["finished", "no luck"]
    assert "+trainer.limit_train_batches=3  failed: no luck" in result.output
    assert "/1 did not finish: no luck" in result.output
    (log,) = work_folder.glob("outputs/sweeps/*/1/train.log")
    assert "Traceback" in log.read_text()


def test_what_a_job_would_refuse_is_refused_before_the_first(sweep: Command, work_folder: Path) -> None:
    result = sweep("data.batch_size=8,999", "seed=1")
    assert result.code == 2
    assert "data.batch_size=999 is larger than the 32 training images" in result.error
    assert not list(work_folder.iterdir())


@pytest.mark.slow
def test_ranking_by_another_metric(sweep: Command) -> None:
    result = sweep("optimizer.lr=1e-4,1e-3", "optimized_metric=val/log_loss")
    assert result.code == 2
    result = sweep("optimizer.lr=1e-4,1e-3", "optimized_metric=val/loss")
    assert result.code == 0, result.error
    assert "val/loss: mean" in result.output


@pytest.mark.slow
def test_several_devices(sweep: Command) -> None:
    result = sweep("trainer.devices=2", "seed=1,2")
    assert result.code == 2
    assert "would start itself again" in result.output + result.error


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("joblib") is None or importlib.util.find_spec("hydra_plugins") is None,
    reason="needs the extra parallel",
)
def test_in_parallel(sweep: Command, work_folder: Path) -> None:
    result = sweep("sweep=parallel", "seed=1,2")
    assert result.code == 0, result.error
    assert [row["status"] for row in summary(work_folder)] == ["finished", "finished"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="needs the extra optuna")
def test_optuna(sweep: Command, work_folder: Path) -> None:
    result = sweep("sweep=optuna", "hydra.sweeper.n_trials=2")
    assert result.code == 0, result.error
    lines = result.output.splitlines()
    assert [line.partition("  ")[0] for line in lines[:3]] == ["job 1/2", "job 2/2", ""]
    assert "study" not in result.output + result.error
    (setting,) = (line for line in lines if line.startswith("best setting: "))
    assert "sweep=" not in setting and "optimizer.lr=0.0" in setting
    assert len(summary(work_folder)) == 2
    assert (work_folder / "outputs/sweeps/default/optuna.db").is_file()
    jobs = [json.loads(path.read_text()) for path in work_folder.glob("outputs/sweeps/*/*/run.json")]
    assert all(job["finished"] for job in jobs)


@pytest.mark.parametrize(
    ("swept", "problem"),
    [
        (["data.limit=40,8", "data.batch_size=8,16"], "data.batch_size=16 is larger than the 8 "),  # one job of four
        (["optimizer._target_=torch.optim.Adam,torch.optim.Adamm"], "torch.optim.Adamm"),
        (["model.channels=[4,4,4],[4,4]"], "channels=[4, 4]"),
        (["trainer.precision=32-true,16-mixed"], "16-mixed"),
        (["data.group_column=group,lesion"], "lesion"),
        (["optimizer.lr=1e-3,-1"], "optimizer.lr=-1"),
        (["seed=1,2", "model.weights=nowhere.ckpt"], "nowhere.ckpt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_each_job_is_checked_before_the_first(
    swept: list[str], problem: str, sweep: Command, work_folder: Path
) -> None:
    result = sweep(*swept)
    assert result.code == 2
    assert problem in result.error and result.error.count("\n") == 1
    assert not result.output and not list(work_folder.iterdir())
