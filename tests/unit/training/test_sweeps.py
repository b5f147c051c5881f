"""A sweep's table: which jobs belong to one setting, and what is said of folds."""

import shlex
from pathlib import Path

import pytest
from tests.unit.runs.run_examples import CONFIG, DATA, write_run

from melanoma_pl.evaluation import corrected_resampled_t
from melanoma_pl.training.sweeps import (
    Job,
    figures_of,
    format_interval,
    format_ranking,
    is_cross_validation,
    next_step,
    rank,
)


def job(value: float | None, metric: str = "val/auroc", **overrides: str) -> Job:
    named = {key.replace("__", "."): setting for key, setting in overrides.items()}
    return Job(Path("0"), named, {} if value is None else {metric: value}, "finished", metric)


FOLDS = [job(value, data__fold=str(fold), lr="1") for fold, value in enumerate((0.8, 0.9, 0.7, 0.8, 0.85))]


def test_seeds_and_folds_belong_to_one_setting() -> None:
    jobs = [
        job(0.5 + int(lr) / 10, seed=seed, data__fold=fold, lr=lr) for lr in "12" for fold in "012" for seed in "34"
    ]
    (best, best_jobs), (_, other_jobs) = rank(jobs)
    assert best == (("lr", "2"),)
    assert len(best_jobs) == len(other_jobs) == 6
    assert is_cross_validation(best_jobs)


def test_seeds_are_averaged_within_a_fold_first() -> None:
    jobs = [job(value, data__fold=fold) for fold, value in [("0", 0.2), ("0", 0.4), ("0", 0.6), ("1", 0.8)]]
    assert figures_of(jobs) == pytest.approx([0.4, 0.8])
    assert format_ranking(jobs).splitlines()[1].split()[:3] == ["0.6000", "0.2828", "2"]


def test_without_folds_the_table_is_what_it_was() -> None:
    jobs = [job(value, seed=seed, lr=lr) for lr, seed, value in [("1", "1", 0.5), ("1", "2", 0.7), ("2", "1", 0.9)]]
    assert format_ranking(jobs) == (
        "val/auroc: mean      SD  n  setting\n"
        "         0.9000       –  1  lr=2\n"
        "         0.6000  0.1414  2  lr=1"
    )  # fmt: skip


def test_folds_get_an_interval() -> None:
    interval = corrected_resampled_t([0.8, 0.9, 0.7, 0.8, 0.85], 1 / 4)
    assert interval is not None
    table = format_ranking(FOLDS).splitlines()
    assert table[0] == "val/auroc: mean      SD  n        95 % CI  setting"
    assert table[1] == f"         0.8100  0.0742  5  {interval[0]:.4f}–{interval[1]:.4f}  (as configured)"
    assert "Nadeau and Bengio" in table[2]


def test_the_interval_stays_within_the_metric() -> None:
    wide = [job(value, data__fold=fold) for fold, value in (("0", 0.9), ("1", 1.0))]
    assert format_interval(wide) == "0.0000–1.0000"
    losses = [job(value, "val/loss", data__fold=fold) for fold, value in (("0", 0.9), ("1", 1.0))]
    low, high = format_interval(losses).split("–")
    assert (low, float(high) > 1) == ("0.0000", True)


@pytest.mark.parametrize(
    "jobs",
    [
        [job(0.9, seed="1", data__fold="0"), job(0.8, seed="2", data__fold="0")],
        [job(0.9, seed="1", data__fold="null"), job(0.8, seed="2", data__fold="null")],
        [job(0.9, data__fold="0"), job(None, data__fold="1")],
    ],
    ids=["one fold", "no fold", "one fold left"],
)
def test_one_fold_alone_is_no_cross_validation(jobs: list[Job]) -> None:
    assert "95 % CI" not in format_ranking(jobs)


def test_all_images_beside_folds_are_a_setting_of_their_own() -> None:
    jobs = [*FOLDS, job(0.99, data__fold="null", lr="1")]
    assert [len(members) for _, members in rank(jobs)] == [1, 5]
    rows = format_ranking(jobs).splitlines()
    assert rows[1].split()[:4] == ["0.9900", "–", "1", "–"]
    assert rows[1].endswith("data.fold=null")


def test_folds_that_failed_make_the_interval_wider() -> None:
    interval = corrected_resampled_t([0.8, 0.9, 0.7], 1 / 2)
    assert interval is not None
    assert format_interval(FOLDS[:3]) == f"{interval[0]:.4f}–{min(interval[1], 1):.4f}"


def recorded(folder: Path, data: dict[str, object], *overrides: str, fold: str | None = None) -> Job:
    write_run(folder, data={"root": None, "table": None, "synthetic": None} | data, overrides=overrides)
    named = {} if fold is None else {"data.fold": fold}
    return Job(folder, named, {"val/auroc": 0.5}, "finished", "val/auroc")


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_after_folds_comes_a_training_on_all(sign: str, tmp_path: Path, image_folder: Path) -> None:
    places = {"root": str(image_folder)}
    jobs = [recorded(tmp_path / fold, places, "seed=1", f"{sign}data.fold={fold}", fold=fold) for fold in "01"]
    step = next_step(jobs)
    assert step.startswith("best setting, to train once more on all folds")
    assert (
        ": melanoma-train\n" in step and "the test split is still unopened, and no fold's network is the result" in step
    )


def test_after_folds_all_images_can_be_trained_on(tmp_path: Path, image_folder: Path) -> None:
    places = {"root": str(image_folder)}
    stopping = CONFIG | {"data": DATA | places, "callbacks": {"stop": {"monitor": "val/auroc"}, "other": None}}
    jobs = [recorded(tmp_path / fold, places, f"data.fold={fold}", fold=fold) for fold in "01"]
    for each in jobs:
        write_run(each.folder, overrides=["data.fold=0"], config=stopping)
    options = "data.validation_fraction=0 checkpoint.evaluate=last callbacks.stop=null"
    assert f"add: {options} threshold.from={tmp_path}" in next_step(jobs)
    again = recorded(tmp_path / "2", places, "seed=2", "data.fold=1", fold="1")
    assert "threshold.from" not in next_step([*jobs, again]), "its image would be predicted twice"


@pytest.mark.parametrize("typed", [[], ["test=true"], ["test=false"]])
def test_without_a_test_folder_the_final_training_does_not_test(typed: list[str], tmp_path: Path) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    places = {"root": str(tmp_path / "images")}
    jobs = [recorded(tmp_path / fold, places, "seed=1", *typed, f"data.fold={fold}", fold=fold) for fold in "01"]
    assert "there is no test split, and no fold's network is the result" in next_step(jobs)
    assert ": melanoma-train test=false\n" in next_step(jobs)
    alone = next_step([recorded(tmp_path / "2", places, "optimizer.lr=0.01", "seed=3")])
    assert alone == (
        "best setting: melanoma-train optimizer.lr=0.01 test=false\n"
        f"best job: {tmp_path / '2'} (val/auroc 0.5000; there is no test split)"
    )


@pytest.mark.parametrize("data", [{"table": "t.csv", "root": "nowhere"}, {"synthetic": {"seed": 0}, "root": "nowhere"}])
def test_tables_and_drawn_images_have_a_test_split(data: dict[str, object], tmp_path: Path) -> None:
    step = next_step([recorded(tmp_path / "0", data)])
    assert "; the test split is still unopened)" in step
    assert step.endswith(f"melanoma-evaluate run={tmp_path / '0'} split=test")


def test_the_best_setting_is_a_command_without_seed_and_sweep_but_with_its_own_configuration(tmp_path: Path) -> None:
    overrides = ["sweep=parallel", "seed=3", "experiment=mine", "data.root='/my images'"]
    places = {"root": None, "table": None, "synthetic": None}
    write_run(tmp_path / "0", data=places, overrides=overrides, config_dirs=["/my conf"])
    step = next_step([Job(tmp_path / "0", {"seed": "3"}, {"val/auroc": 0.5}, "finished", "val/auroc")])
    (command,) = (line for line in step.splitlines() if line.startswith("best setting: "))
    words = shlex.split(command.removeprefix("best setting: "))
    assert words == ["melanoma-train", "--config-dir", "/my conf", "experiment=mine", "data.root='/my images'"]
