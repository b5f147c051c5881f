"""`melanoma-evaluate` as its user types it, and `evaluate_run`: reports, other images, ensembles, and mistakes."""

import csv
import hashlib
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from melanoma_pl import evaluate, evaluate_run, train
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import auroc
from melanoma_pl.evaluation.resampling import TOO_FEW
from melanoma_pl.inference import prediction
from melanoma_pl.inference.extras import extras_file
from melanoma_pl.report import pipeline, provenance, shortcuts
from tests.conftest import TINY, Command, only_run, write_image_folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """A folder with two trained runs, `a` and `b`, on the tiny images; tests copy it."""
    folder = tmp_path_factory.mktemp("trained")
    options = [*TINY, "data=folder", f"data.root={image_folder}", "data.group_column=group", "optimizer.lr=1e-2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["command"])
        for seed, name in enumerate("ab"):
            assert train.command([*options, f"seed={seed}", f"name={name}"]) == 0
    return folder


@pytest.fixture
def runs(trained: Path, work_folder: Path) -> tuple[str, str]:
    """The two runs, to be evaluated in this test's own folder."""
    shutil.copytree(trained / "outputs", work_folder / "outputs")
    first, second = (only_run(work_folder, name).relative_to(work_folder).as_posix() for name in "ab")
    return first, second


def read(path: Path | str) -> dict:  # type: ignore[type-arg]
    found: dict = json.loads(Path(path).read_text())  # type: ignore[type-arg]
    return found


def hashes(run: Path | str) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in Path(run).glob("checkpoints/*.ckpt")}


def rows_of(path: Path | str) -> list[dict[str, str]]:
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def test_the_whole_report(run_command: Command, runs: tuple[str, str]) -> None:
    run, _ = runs
    result = run_command(evaluate.command, f"run={run}", "prevalence=0.02", "subgroups=[age,skin_tone]")
    assert result.code == 0, result.error
    report = Path(run) / "report"
    page = (report / "report.html").read_text()
    assert page == (report / "test/report.html").read_text()
    checklist = (report / "checklist.md").read_text()
    assert checklist == (report / "test/checklist.md").read_text() and 'href="checklist.md"' in page
    assert "lesions of column group kept together" in checklist and "TRIPOD+AI, 27 items in 52 parts" in checklist
    for expected in ("Discrimination", "Decisions", "Calibration", "Subgroups", "Shortcuts", "not a medical device"):
        assert expected in page
    assert "at a prevalence of 2\u00a0%" in page, "the predictive values at the prevalence"
    assert {file.suffix for file in (report / "test/figures").iterdir()} == {".png", ".svg"}
    assert (report / "test/figures/roc.svg").is_file()
    card = (Path(run) / "MODEL_CARD.md").read_text()
    assert "it makes no diagnosis" in card and "lesions of column group kept together" in card
    assert "- network: ThreeConvNet" in card and "[learning curves](report/test/figures/learning_curves.svg)" in card
    assert "The experiment" in page and (report / "test/figures/learning_curves.svg").is_file()
    told = read(report / "test/metrics.json")["report"]
    assert [table["column"] for table in told["subgroups"]] == ["age", "skin tone"]
    assert [decided["name"] for decided in told["decisions"]][-1] == "always benign"
    assert [shortcut["name"] for shortcut in told["shortcuts"]] == [
        "centre erased", "border erased", "mean colour", "file facts",
    ]  # fmt: skip
    for estimate in (told["shortcuts"][0]["auroc"], told["shortcuts"][0]["lost"]):
        assert estimate["interval"] is None and estimate["reason"] == TOO_FEW, "of six lesions with two images each"
    assert "net benefit, wrong decisions after referral, shortcuts, robustness and members account for this" in page
    assert told["prevalence"] == 0.02
    assert "always benign: sensitivity 0.000" in result.output


def test_a_sample_of_very_many_training_images_is_told(
    run_command: Command, runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = runs
    run_command(evaluate.command, f"run={run}")
    assert "earnt from" not in (Path(run) / "report/test/report.html").read_text(), "from all images"
    monkeypatch.setattr(shortcuts, "few_of", partial(shortcuts.few_of, most=30))
    for module in (prediction, provenance):
        monkeypatch.setattr(module, "MOST_FITTED", 20)
    extras_file(Path(run) / "checkpoints/best.ckpt").unlink()
    result = run_command(evaluate.command, f"run={run}")
    assert result.code == 0, result.error
    told = read(Path(run) / "report/test/metrics.json")
    sampled = [own["name"] for own in told["report"]["shortcuts"] if "Learnt from 30 of 40" in own["meaning"]]
    assert sampled == ["mean colour", "file facts"]
    of_detector = "The detector learnt from 20 of 32 training images."
    assert any("out of distribution" in note and of_detector in note for note in told["notes"])
    page = (Path(run) / "report/test/report.html").read_text()
    assert "Learnt from 30 of 40 training images, 15 of them malignant." in page and of_detector in page
    assert of_detector in " ".join(result.output.split())
    assert of_detector in (Path(run) / "report/checklist.md").read_text()


def test_predictions_hold_what_the_figures_were_computed_from(run_command: Command, runs: tuple[str, str]) -> None:
    run_command(evaluate.command, f"run={runs[0]}")
    report = Path(runs[0]) / "report/test"
    rows, told = rows_of(report / "predictions.csv"), read(report / "metrics.json")
    assert {"path", "group", "label", "logit", "probability", "decision", "out_of_distribution"} <= set(rows[0])
    targets = [int(row["label"] == "malignant") for row in rows]
    assert auroc([float(row["probability"]) for row in rows], targets) == told["metrics"]["test/auroc"]
    temperature = told["temperature"]
    for row in rows:
        expected = 1 / (1 + np.exp(-float(row["logit"]) / temperature))
        assert float(row["probability"]) == pytest.approx(expected, rel=1e-12)
        assert row["decision"] == ("malignant" if expected >= told["threshold"] else "benign")


def test_consequences_are_those_of_unseen_lesions(run_command: Command, runs: tuple[str, str]) -> None:
    run_command(evaluate.command, f"run={runs[0]}")
    report = Path(runs[0]) / "report/test"
    rows, told = rows_of(report / "predictions.csv"), read(report / "metrics.json")
    unseen = [row for row in rows if row["shares_lesion_with_train"] == "0"] or rows
    counts, found = told["report"]["sets"][-1]["decisions"]["counts"], told["report"]["consequences"]
    assert found["n"] == len(unseen) == sum(counts.values()) and found["is_part"] == (len(unseen) < len(rows))
    assert 0 < found["prior"] < 1, "of the training images"
    people = found["in_people"]
    assert (people["prevalence"], people["images"], people["malignant"]) == (0.02, 1000, 20)
    sensitivity = counts["true_positives"] / (counts["true_positives"] + counts["false_negatives"])
    assert people["found"]["expected"] == pytest.approx(20 * sensitivity)
    assert [curve["is_standardised"] for curve in found["decision_curves"]] == [True, False]
    wrong = (counts["false_positives"] + counts["false_negatives"]) / found["n"]
    assert found["risk_coverage"]["points"][0]["wrong"]["value"] == pytest.approx(wrong)
    assert told["report"]["prevalence"] is None, "2 % is assumed for the counts alone"
    run_command(evaluate.command, f"run={runs[0]}", "prevalence=0.1")
    assert read(report / "metrics.json")["report"]["consequences"]["in_people"]["malignant"] == 100
    assert "100 of them malignant (10\u00a0%)" in (report / "report.html").read_text()


def test_validation_does_not_take_the_place_of_test(run_command: Command, runs: tuple[str, str]) -> None:
    report = Path(runs[0]) / "report"
    run_command(evaluate.command, f"run={runs[0]}", "split=validation")
    assert (report / "report.html").read_text() == (report / "validation/report.html").read_text()
    run_command(evaluate.command, f"run={runs[0]}")
    run_command(evaluate.command, f"run={runs[0]}", "split=validation")
    assert (report / "report.html").read_text() == (report / "test/report.html").read_text()


@pytest.mark.slow
def test_robustness(run_command: Command, runs: tuple[str, str]) -> None:
    assert run_command(evaluate.command, f"run={runs[0]}", "robustness=true").code == 0
    steps = read(Path(runs[0]) / "report/test/metrics.json")["report"]["robustness"]
    assert len(steps) == 36
    assert {step["name"] for step in steps} > {"blur", "JPEG", "hairs", "dark corners"}
    for step in steps:
        assert step["to_benign"] + step["to_malignant"] == round(step["flipped"]["value"] * 12)
    assert (Path(runs[0]) / "report/test/figures/robustness.png").is_file()


def test_test_time_augmentation_fits_a_decision_of_its_own(run_command: Command, runs: tuple[str, str]) -> None:
    run = Path(runs[0])
    before = read(run / "report/test/metrics.json")
    result = run_command(evaluate.command, f"run={run}", "tta=dihedral")
    assert result.code == 0, result.error
    told = read(run / "report/test_dihedral/metrics.json")
    extras = torch.load(run / "checkpoints/best.inference.pt", weights_only=True)
    assert extras["augmented_decision"] == {key: told[key] for key in ("temperature", "threshold")}
    assert "ood_detector" in extras, "what was fitted before stays"
    assert read(run / "report/test/metrics.json") == before
    assert told["report"]["facts"]["fitted on"] == "8 validation images"


def test_looking_at_a_run_never_changes_its_checkpoints(
    run_command: Command, work_folder: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: dict[str, str] = {}
    evaluate_trained_run = pipeline.evaluate_trained_run

    def note_hashes(settings, run, *arguments):  # type: ignore[no-untyped-def]
        saved.update(hashes(run.folder))  # as the last save of the training left them
        return evaluate_trained_run(settings, run, *arguments)

    monkeypatch.setattr(pipeline, "evaluate_trained_run", note_hashes)
    assert run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}").code == 0
    run = only_run(work_folder)
    assert set(saved) == {"best.ckpt", "last.ckpt"} and hashes(run) == saved, "the end of training"
    for options in (["tta=dihedral"], ["checkpoint=last"]):
        assert run_command(evaluate.command, f"run={run}", *options).code == 0
        assert hashes(run) == saved, options
    assert {file.name for file in run.glob("checkpoints/*.pt")} == {"best.inference.pt", "last.inference.pt"}


@pytest.mark.parametrize("combine", ["logit", "rank"])
def test_an_ensemble_of_networks(combine: str, run_command: Command, runs: tuple[str, str]) -> None:
    first, second = runs
    result = run_command(
        evaluate.command, f"run=[{first},{second}]", f"combine={combine}", "output=together", "mistakes=1"
    )
    assert result.code == 0, result.error
    told = read("together/metrics.json")
    assert told["runs"] == [str(Path(run).resolve()) for run in runs]
    members = told["report"]["members"]
    assert [member["name"] for member in members] == [f"{Path(run).parts[-2]}/{Path(run).name}" for run in runs]
    alone = [read(Path(run) / "report/test/metrics.json")["metrics"]["test/auroc"] for run in runs]
    assert [member["auroc"]["value"] for member in members] == pytest.approx(alone)
    # without the one network of two, the other is left
    for member, other in zip(members, reversed(alone), strict=True):
        assert member["contribution"]["value"] == pytest.approx(told["metrics"]["test/auroc"] - other)
    logits = [[float(row["logit"]) for row in rows_of(f"{run}/report/test/predictions.csv")] for run in runs]
    if combine == "logit":
        together = [float(row["logit"]) for row in rows_of("together/predictions.csv")]
        np.testing.assert_allclose(together, np.mean(logits, axis=0), rtol=1e-5)
    assert Path("together/report.html").is_file() and Path("together/MODEL_CARD.md").is_file()
    assert "An ensemble of 2 networks" in Path("together/checklist.md").read_text()


@pytest.mark.slow
def test_an_ensemble_has_a_folder_of_its_own(run_command: Command, runs: tuple[str, str]) -> None:
    assert run_command(evaluate.command, f"run=[{runs[0]},{runs[1]}]").code == 0
    assert len(list(Path("outputs/ensembles").glob("*/test/report.html"))) == 1


@pytest.mark.slow
def test_networks_of_different_cuts_are_not_calibrated_on_each_others_training_images(
    run_command: Command, runs: tuple[str, str], image_folder: Path
) -> None:
    options = [*TINY, "data=folder", f"data.root={image_folder}", "data.split_seed=5", "name=c"]
    assert run_command(train.command, *options).code == 0
    other = only_run(Path.cwd(), "c")
    assert run_command(evaluate.command, f"run=[{runs[0]},{other}]", "output=together").code == 0
    told = read("together/metrics.json")
    assert (told["temperature"], told["threshold"]) == (1.0, 0.5)
    assert told["report"]["facts"]["fitted on"].startswith("nothing")
    refused = run_command(evaluate.command, f"run=[{runs[0]},{other}]", "split=validation")
    assert refused.code == 2
    assert "of the 8 validation images" in refused.error and "data.split_seed" in refused.error


def test_other_images_of_one_class_say_what_cannot_be_computed(
    run_command: Command, runs: tuple[str, str], work_folder: Path
) -> None:
    other = write_image_folder(work_folder / "other", train=2, test=8)
    shutil.rmtree(other / "test/benign")
    result = run_command(evaluate.command, f"run={runs[0]}", f"data.root={other}")
    assert result.code == 0, result.error
    told = read(f"{runs[0]}/report/other/test/metrics.json")["report"]
    assert told["sets"][0]["ranking"]["auroc"] == {"value": None, "interval": None, "reason": "no negative images"}
    assert told["decisions"][0]["specificity"]["reason"] == "no negative images"
    assert told["decisions"][0]["sensitivity"]["value"] is not None
    assert {each["kind"] for each in told["warnings"]} == {"few"}
    assert any("no benign images" in each["text"] for each in told["warnings"])
    assert "computable" in result.output


def test_images_that_trained_the_network_are_marked(
    run_command: Command, runs: tuple[str, str], work_folder: Path, image_folder: Path
) -> None:
    other = write_image_folder(work_folder / "other", train=2, test=12)
    shutil.copy(image_folder / "train/benign/000.png", other / "test/benign/again.png")
    result = run_command(evaluate.command, f"run={runs[0]}", f"data.root={other}", "subgroups=[skin_tone]")
    assert result.code == 0, result.error
    told = read(f"{runs[0]}/report/other/test/metrics.json")
    assert "The network trained or chose on 1 of these 13 images." in told["notes"]
    assert [row["n"] for row in told["rows"].values()] == [13, 12]


def test_validating_on_test_is_marked_and_fits_nothing(
    run_command: Command, work_folder: Path, image_folder: Path
) -> None:
    options = ["data=folder", f"data.root={image_folder}", "data.validate_on=test", "threshold=fixed"]
    assert run_command(train.command, *TINY, *options, "checkpoint.evaluate=last").code == 0
    run = only_run(work_folder)
    saved = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["melanoma_pl"]
    assert (saved["temperature"], saved["threshold"]) == (1.0, 0.5)
    result = run_command(evaluate.command, f"run={run}", "tta=dihedral")
    assert result.code == 0, result.error
    assert "Validated on the test images" in result.output
    told = read(run / "report/test_dihedral/metrics.json")
    assert (told["temperature"], told["threshold"]) == (1.0, 0.5)
    assert not extras_file(run / "checkpoints/last.ckpt").exists(), "it would be fitted on test images"
    assert "Validated on the test images" in (run / "report/test_dihedral/report.html").read_text()


def test_another_checkpoint_leaves_the_runs_report(run_command: Command, runs: tuple[str, str]) -> None:
    before = (Path(runs[0]) / "report/test/predictions.csv").read_text()
    assert run_command(evaluate.command, f"run={runs[0]}", "checkpoint=last").code == 0
    assert (Path(runs[0]) / "report/test_last/report.html").is_file()
    assert (Path(runs[0]) / "report/test/predictions.csv").read_text() == before
    assert not (Path(runs[0]) / "report/report.html").exists() and not (Path(runs[0]) / "MODEL_CARD.md").exists()


def test_other_metadata_do_not_change_the_validation_images(
    run_command: Command, runs: tuple[str, str], work_folder: Path, image_folder: Path
) -> None:
    """Cut anew by another column, most of the validation images would be training images of the run."""
    with (image_folder / "metadata.csv").open() as file:
        rows = [
            {**row, "other": f"{index % 7}{row['image'].split('/')[1]}"}
            for index, row in enumerate(csv.DictReader(file))
        ]
    with (work_folder / "other.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    options = ("tta=dihedral", "data.metadata=other.csv", "data.group_column=other")
    assert run_command(evaluate.command, f"run={runs[0]}", *options, "output=out").code == 0
    assert read("out/metrics.json")["report"]["facts"]["fitted on"] == "8 validation images"
    plain = ("tta=dihedral", "output=plain")
    assert run_command(evaluate.command, f"run={runs[0]}", *plain).code == 0
    assert read("out/metrics.json")["temperature"] == read("plain/metrics.json")["temperature"]


def test_a_table_of_something_else_does_not_stop_the_evaluation(
    run_command: Command, runs: tuple[str, str], work_folder: Path
) -> None:
    other = write_image_folder(work_folder / "other", train=2, test=12)
    (other / "metadata.csv").write_text("isic_id,age\nISIC_1,40\n")
    result = run_command(evaluate.command, f"run={runs[0]}", f"data.root={other}")
    assert result.code == 0, result.error
    (table,) = read(f"{runs[0]}/report/other/test/metrics.json")["report"]["subgroups"]
    assert table["column"] == "skin tone" and "has no column 'image'" in table["note"]


@pytest.mark.slow
def test_every_members_warnings_and_lesions_count_in_any_order(
    run_command: Command, work_folder: Path, own_image_folder: Path
) -> None:
    table = own_image_folder / "metadata.csv"
    table.write_text(table.read_text().replace("testFalse0", "trainFalse0"))
    options = [*TINY, "data=folder", f"data.root={own_image_folder}"]
    on_test = ["data.validate_on=test", "threshold=fixed", "checkpoint.evaluate=last"]
    assert run_command(train.command, *options, "name=a", "data.group_column=group").code == 0
    assert run_command(train.command, *options, "name=b", *on_test).code == 0
    a, b = only_run(work_folder, "a"), only_run(work_folder, "b")
    for index, order in enumerate(([a, b], [b, a])):
        result = run_command(evaluate.command, f"run=[{order[0]},{order[1]}]", f"output=out{index}", "mistakes=0")
        assert result.code == 0, result.error
        told = read(f"out{index}/metrics.json")
        assert any(f"{b.parent.name}/{b.name}: Validated on the test images" in note for note in told["notes"])
        assert any("decide at 0.5" in note for note in told["notes"])
        assert [row["n"] for row in told["rows"].values()] == [12, 10]
        assert told["report"]["facts"]["threshold"] == "0.5 (nothing was fitted)"


@pytest.mark.slow
def test_a_run_without_an_ood_detector_gets_one_when_it_is_evaluated(
    run_command: Command, runs: tuple[str, str]
) -> None:
    path = extras_file(Path(runs[0]) / "checkpoints/best.ckpt")
    fitted = torch.load(path, weights_only=True)["ood_detector"]
    path.unlink()  # the jobs of a sweep have none
    assert run_command(evaluate.command, f"run={runs[0]}").code == 0
    again = torch.load(path, weights_only=True)["ood_detector"]
    torch.testing.assert_close(again["mean"], fitted["mean"])
    assert again["threshold"] == pytest.approx(fitted["threshold"])


def test_the_function_gives_what_the_command_gives(run_command: Command, runs: tuple[str, str]) -> None:
    assert run_command(evaluate.command, f"run={runs[0]}", "prevalence=0.02", "data.metadata=null").code == 0
    told, rows = read(f"{runs[0]}/report/test/metrics.json"), rows_of(f"{runs[0]}/report/test/predictions.csv")
    report = evaluate_run(Path(runs[0]), prevalence=0.02, data={"metadata": None}, output=Path("elsewhere"))
    assert report.folder == Path("elsewhere") and (report.folder / "report.html").is_file()
    assert report.figures == told["metrics"] and "AUROC" in report.text
    assert rows_of("elsewhere/predictions.csv") == rows
    mistakes = {"prevalance": {"prevalance": 0.1}, "prevalence=2": {"prevalence": 2}, "nowhere": {"run": "nowhere"}}
    for expected, options in mistakes.items():
        with pytest.raises(UserError, match=expected):
            evaluate_run(**{"run": runs[0], **options})


MISTAKES = {
    "no run": (["run=nowhere"], "the run folder nowhere does not exist"),
    "no run at all": (["run=[]"], "run=[] names no run"),
    "not given": ([], "run is not set"),
    "twice": (["run=[{run},{run}/]"], "names a run twice"),
    "ranks of one": (["run={run}", "combine=rank"], "combine=rank is for several runs"),
    "no checkpoint": (["run={run}", "checkpoint=last"], "has no checkpoints/last.ckpt"),
    "prevalence": (["run={run}", "prevalence=2"], "prevalence=2 is not allowed"),
    "no such column": (["run={run}", "subgroups=[sxe]"], "has no column 'sxe' (subgroups)"),
    "no table": (["run={run}", "data.metadata=no.csv"], "no.csv does not exist"),
    "unknown key": (["run={run}", "robust=true"], "did you mean 'robustness'"),
    "validation of another set": (["run={run}", "split=validation", "data.root=x"], "has no validation split"),
    "output in a run": (["run={run}", "output={run}/report"], "lies in the run"),
    "output without a name": (["run={run}", "output="], "output= names no folder"),
    "output is a file": (["run={run}", "output={run}/../../../file/x"], "cannot be made"),
    "an option of another command": (["--run", "{run}"], "--run is not of the form key=value"),
    "a sweep": (["-m", "run={run},{run}"], "has no sweeps (-m)"),
    "a key of training": (["run={run}", "trainer=cpu"], "there is no key trainer"),
    "no such views": (["run={run}", "tta=eight"], "should be 'none' or 'dihedral'"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line(case: str, run_command: Command, runs: tuple[str, str]) -> None:
    (Path(runs[0]) / "checkpoints/last.ckpt").unlink()
    Path("file").write_text("")
    before = sorted(Path().rglob("*"))
    overrides, expected = MISTAKES[case]
    result = run_command(evaluate.command, *(text.format(run=runs[0]) for text in overrides))
    assert result.code == 2
    assert expected in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert sorted(Path().rglob("*")) == before


def test_a_table_that_lacks_images(run_command: Command, runs: tuple[str, str], work_folder: Path) -> None:
    other = write_image_folder(work_folder / "other", train=2, test=12)
    lines = (other / "metadata.csv").read_text().splitlines()
    (other / "metadata.csv").write_text("\n".join(lines[:9]))
    arguments = (f"run={runs[0]}", f"data.root={other}", "subgroups=[age]")
    refused = run_command(evaluate.command, *arguments)
    assert refused.code == 2
    assert "has no row for 6 of 12 images" in refused.error and "data.without_row=own_group" in refused.error
    assert run_command(evaluate.command, *arguments, "data.without_row=own_group").code == 0


def test_image_folders_of_one_name_have_a_report_each(
    run_command: Command, runs: tuple[str, str], work_folder: Path, image_folder: Path
) -> None:
    for root in ("a/same", "b/same", "test"):
        shutil.copytree(image_folder / "test", work_folder / root / "test")
        arguments = (f"run={runs[0]}", f"data.root={root}", "mistakes=0")
        assert run_command(evaluate.command, *arguments).code == 0
    reports = (Path(runs[0]) / "report").glob("*/test/metrics.json")
    roots = {str(work_folder / root) for root in ("a/same", "b/same", "test")}
    assert {read(path)["images"] for path in reports} == roots
    assert not (Path(runs[0]) / "report/test/test").exists()


def test_synthetic_images_of_another_folder_are_called_so(
    run_command: Command, runs: tuple[str, str], work_folder: Path, image_folder: Path
) -> None:
    shutil.copytree(image_folder / "test", work_folder / "drawn/test")
    (work_folder / "drawn/synthetic.json").write_text("{}")
    result = run_command(evaluate.command, f"run={runs[0]}", "data.root=drawn", "mistakes=0")
    assert "these figures say nothing about patients" in result.output


def test_other_class_folder_names(run_command: Command, runs: tuple[str, str], work_folder: Path) -> None:
    other = write_image_folder(work_folder / "other", train=2, test=12)
    (other / "test/malignant").rename(other / "test/bad")
    refused = run_command(evaluate.command, f"run={runs[0]}", f"data.root={other}")
    assert refused.code == 2
    assert "+data.folder_names.bad=<class>" in refused.error
    arguments = (f"run={runs[0]}", f"data.root={other}", "+data.folder_names.bad=malignant", "subgroups=[skin_tone]")
    assert run_command(evaluate.command, *arguments).code == 0


def test_a_network_with_non_finite_logits(run_command: Command, runs: tuple[str, str]) -> None:
    path = Path(runs[0]) / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["state_dict"]["network.dense_2.bias"].fill_(float("nan"))
    torch.save(checkpoint, path)
    result = run_command(evaluate.command, f"run={runs[0]}")
    assert result.code == 2
    assert "non-finite logits" in result.error
