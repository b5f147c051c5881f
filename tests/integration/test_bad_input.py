"""Mistakes of a user: one line, exit code 2, nothing left half-written."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from melanoma_pl import evaluate, predict, train
from tests.conftest import TINY, Command, draw_image, only_run

CASES = {
    "missing root": (["data=folder", "data.root=nowhere"], "data.root=nowhere does not exist"),
    "no root": (["data=folder"], "data.root is not set"),
    "root without data=folder": (["data.root=somewhere"], "add data=folder"),
    "empty root": (["data=folder", "data.root=empty"], "holds no folders"),
    "unknown key": (["data.batchsize=3"], "did you mean 'data.batch_size'"),
    "unknown section": (["optimiser.lr=3"], "did you mean 'optimizer.lr'"),
    "unknown option": (["optimizer=adamm"], "did you mean 'adam'"),
    "unknown experiment": (["experiment=tippe"], "did you mean 'tipe'"),
    "below its range": (["data.batch_size=0"], "data.batch_size=0 is not allowed"),
    "above its range": (["data.validation_fraction=1.5"], "data.validation_fraction=1.5 is not allowed"),
    "no number": (["optimizer.lr=fast"], "optimizer.lr=fast is not allowed"),
    "not among the values": (["data.on_broken=ignore"], "it should be 'stop' or 'skip'"),
    "workers": (["data.num_workers=-1"], "data.num_workers=-1 is not allowed"),
    "pos_weight": (["loss.pos_weight=heavy"], "loss.pos_weight=heavy is not allowed"),
    "grammar": (["data.root=/a (1)/b"], "'data.root=\"/my images (1)\"'"),
    "monitor": (["checkpoint.monitor=val/auc"], "did you mean 'val/auroc'"),
    "optimized on test": (["optimized_metric=test/auroc"], "would choose on the test images"),
    "half precision on a CPU": (["trainer=cpu", "trainer.precision=16-mixed"], "is for GPUs"),
    "threshold from test": (["data.validate_on=test"], "add threshold=fixed"),
    "table without data=table": (["data.table=t.csv"], "add data=table"),
    "missing table": (["data=table", "data.table=nowhere.csv"], "data.table=nowhere.csv does not exist"),
    "table that is a folder": (["data=table", "data.table=empty"], "take data=folder data.root=empty"),
    "no table": (["data=table"], "or a table of them, data=table data.table=<file>"),
    "table and root": (["data=table", "data.table=t.csv", "data.root=a"], "data.root=a and data.table=t.csv are both"),
    "fold of synthetic images": (["data.fold=0"], "data.fold=0 needs your own images: add data=folder"),
    "negative fold": (["data=folder", "data.root=empty", "data.fold=-1"], "data.fold=-1 is not allowed"),
    "fold and test": (
        ["data=folder", "data.root=empty", "data.fold=0", "data.validate_on=test", "threshold=fixed"],
        "data.fold=0 and data.validate_on=test exclude each other",
    ),
    "all images and the best epoch": (["data.validation_fraction=0"], "add checkpoint.evaluate=last"),
    "all images and a fold": (
        ["data=folder", "data.root=empty", "data.fold=0", "data.validation_fraction=0", "checkpoint.evaluate=last"],
        "data.validation_fraction=0 and data.fold=0 exclude each other",
    ),
    "all images and test": (
        ["experiment=tipe", "data.validation_fraction=0"],
        "data.validation_fraction=0 and data.validate_on=test exclude each other",
    ),
    "all images and early stopping": (
        ["experiment=baseline", "data.validation_fraction=0", "checkpoint.evaluate=last"],
        "add callbacks.early_stopping=null",
    ),
    "two sources of a decision": (["threshold.from=empty"], "add data.validation_fraction=0"),
    "no cross-validation": (
        ["data.validation_fraction=0", "checkpoint.evaluate=last", "threshold.from=empty"],
        "threshold.from=empty is no sweep",
    ),
    "key of threshold": (["threshold.form=empty"], "did you mean 'threshold.from'"),
    "missing list": (["data=folder", "data.root=empty", "data.exclude=no.csv"], "data.exclude=no.csv does not exist"),
    "list for synthetic images": (["data.exclude=no.csv"], "data.exclude=no.csv needs your own images"),
    "resume nothing": (["resume=auto"], "no unfinished run under outputs/"),
    "resume no folder": (["resume=nowhere"], "the run folder nowhere does not exist"),
    "resume no run": (["resume=empty"], "is not a run's folder"),
    "three classes": (["data.class_names=[a,b,c]"], "name two classes, the positive one last"),
    "positive class first": (["data.class_names=[malignant,benign]"], "data.class_names=[benign,malignant]"),
    "name that leads out of outputs": (["name=../../x"], "name=../../x is not allowed"),
    "absolute name": (["name=/tmp/x"], "hydra.run.dir=<folder>"),
    "empty name": (["name=''"], "name a folder below outputs/"),
    "name that is a list": (["name=[a]"], "name a folder below outputs/"),
    "override without a key": (["=3"], "the override =3 lacks a key"),
    "override without a value": (["seed"], "write key=value"),
    "unknown flag": (["--foo", "seed=1"], "--foo"),
    "flag without its value": (["seed=1", "--config-dir"], "--config-dir"),
    "two flags that exclude each other": (["-m", "seed=1", "--cfg", "job"], "--cfg"),
    "number for a group": (["optimizer=3"], "write <group>=<option>"),
    "mapping with a new key": (["data.folder_names={akiec: malignant}"], "+data.folder_names.akiec=<value>"),
    "key to be added": (["trainer.gradient_clip_val=1"], "to add it: +trainer.gradient_clip_val=<value>"),
    "trainer's logger": (["+trainer.logger=false"], "take logger=none"),
    "trainer's callbacks": (["+trainer.callbacks=[]"], "+callbacks.<name>._target_"),
    "trainer's folder": (["+trainer.default_root_dir=x"], "hydra.run.dir=<folder>"),
    "overfit_batches": (["+trainer.overfit_batches=2"], "debug=overfit"),
    "no step": (["+trainer.max_steps=0"], "trainer.max_steps=0 trains nothing"),
    "resume in a sweep": (["-m", "resume=auto"], "-m and resume=auto do not go together"),
}


LIGHTNING = "lightning.pytorch"


@pytest.mark.parametrize("case", CASES)
def test_said_in_one_line_before_anything_heavy(case: str, run_command: Command, work_folder: Path) -> None:
    overrides, expected = CASES[case]
    (work_folder / "empty").mkdir()
    result = run_command(train.command, *overrides)
    assert result.code == 2
    assert expected in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert result.error.startswith("error: ")
    assert sorted(path.name for path in work_folder.iterdir()) == ["empty"]


LATER = {
    "averages that nobody validates": (
        [f"+callbacks.a._target_={LIGHTNING}.callbacks.StochasticWeightAveraging", "+callbacks.a.swa_lrs=0.1"],
        f"take {LIGHTNING}.callbacks.EMAWeightAveraging",
    ),
    "learning rate finder": ([f"+callbacks.a._target_={LIGHTNING}.callbacks.LearningRateFinder"], "-m optimizer.lr="),
    "callback that needs a logger": ([f"+callbacks.a._target_={LIGHTNING}.callbacks.LearningRateMonitor"], "no logger"),
    "another optimizer": (["optimizer._target_=torch.optim.SGD"], "to leave out: ~optimizer.betas ~optimizer.eps"),
    "unknown argument of the trainer": (["+trainer.foo=1"], "does not take foo"),
    "no GPU": (["trainer.accelerator=gpu"], "a GPU is wanted"),
    "batch larger than the data": (["data.batch_size=999"], "larger than the 32 training images"),
    "no such class": (["model._target_=melanoma_pl.models.Nothing"], "cannot be imported"),
    "no network": (["model._target_=pathlib.Path"], "is not a Module"),
    "no such option": (["+model.depth=3"], "ThreeConvNet does not take"),
    "missing weights": (["model.weights=nowhere.ckpt"], "nowhere.ckpt does not exist"),
    "group column": (["data.group_column=lesion"], "has no column 'lesion'"),
    "no folds": (["data.fold=0"], "split.csv, which does not exist: cut folds: melanoma-data split"),
}


@pytest.mark.parametrize("case", LATER)
def test_said_before_training(case: str, run_command: Command, work_folder: Path, image_folder: Path) -> None:
    overrides, expected = LATER[case]
    if case == "no GPU" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    result = run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}", *overrides)
    assert result.code == 2
    assert expected in result.error
    assert "Traceback" not in result.error
    assert not list(work_folder.iterdir())


def test_bf16_where_the_cpu_cannot(
    run_command: Command, work_folder: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("melanoma_pl.inference.hardware.has_bf16", lambda accelerator: False)
    options = (*TINY, "data=folder", f"data.root={image_folder}")
    result = run_command(train.command, *options, "trainer.precision=bf16-mixed")
    assert result.code == 2
    assert "does not compute in bf16" in result.error
    result = run_command(train.command, *options, "trainer.precision=auto")
    assert result.code == 0
    assert "cpu, 32-true" in result.output


def test_names_that_look_like_numbers(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    Path("2024").symlink_to(image_folder)
    result = run_command(train.command, *TINY, "data=folder", "data.root=2024", "name=3")
    assert result.code == 0, result.error
    run = only_run(work_folder, "3")
    assert run_command(evaluate.command, f"run={run}", "split=validation").code == 0
    assert run_command(train.command, f"resume={run}", "trainer.max_epochs=3").code == 0


def test_nothing_is_decoded_for_a_setting_that_cannot_be_trained(
    run_command: Command, work_folder: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*arguments: object) -> None:
        raise AssertionError("images were decoded")

    monkeypatch.setattr("melanoma_pl.data.datamodule.load_images", load)
    for override in (
        "data.batch_size=999",
        "+model.depth=3",
        "optimizer._target_=torch.optim.SGD",
        "+trainer.foo=1",
        "+trainer.strategy=foo",
        "+callbacks.mine._target_=nowhere.Mine",
    ):
        result = run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}", override)
        assert result.code == 2, override


def test_a_logger_of_a_package_that_is_absent(
    run_command: Command, work_folder: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(self: object, **options: object) -> None:
        raise ModuleNotFoundError("Requirement 'wandb>=0.12.10' not met")

    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger.__init__", absent)
    wandb = f"+logger.wandb._target_={LIGHTNING}.loggers.WandbLogger"
    result = run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}", wandb)
    assert result.code == 2
    assert "logger.wandb needs wandb, which is not installed: pip install 'melanoma-pl[wandb]'" in result.error
    assert not list(work_folder.iterdir())


@pytest.mark.slow
def test_paths_with_spaces_and_parentheses(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    odd = work_folder / "my images (1), é=ü"
    odd.symlink_to(image_folder)
    override = f'data.root="{odd}"'
    result = run_command(train.command, *TINY, "data=folder", override)
    assert result.code == 0, result.error
    typed = json.loads((only_run(work_folder) / "run.json").read_text())["command"]
    assert override in shlex.split(typed), "the recorded command can be pasted"


@pytest.mark.slow
def test_images_changed_since(run_command: Command, work_folder: Path, own_image_folder: Path) -> None:
    options = (*TINY, "data=folder", f"data.root={own_image_folder}")
    assert run_command(train.command, *options).code == 0
    record = (only_run(work_folder) / "run.json").read_text()
    draw_image(own_image_folder / "train/benign/new.png", malignant=False, seed=99)
    result = run_command(train.command, f"resume={only_run(work_folder)}", "trainer.max_epochs=3")
    assert result.code == 2
    assert "1 added, 0 removed" in result.error
    assert (only_run(work_folder) / "run.json").read_text() == record, "the finished run stays what it is"
    (own_image_folder / "train/benign/new.png").unlink()
    assert run_command(train.command, f"resume={only_run(work_folder)}", "trainer.max_epochs=3").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "expected"),
    [("model.hidden=9", "model.hidden cannot change within a run"), ("seed=4", "seed cannot change within a run")],
)
def test_a_run_stays_what_it_is(
    override: str, expected: str, run_command: Command, work_folder: Path, image_folder: Path
) -> None:
    run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}")
    run = only_run(work_folder)
    before = (run / "run.json").read_text()
    result = run_command(train.command, f"resume={run}", "trainer.max_epochs=3", override)
    assert result.code == 2
    assert expected in result.error
    assert (run / "run.json").read_text() == before


@pytest.mark.slow
def test_a_configuration_that_nobody_typed(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}")
    record = only_run(work_folder) / "run.json"
    record.write_text(record.read_text().replace('"dropout": 0.2', '"dropout": 0.3'))
    result = run_command(train.command, f"resume={only_run(work_folder)}", "trainer.max_epochs=3")
    assert result.code == 2
    assert "model.dropout is different, although nobody typed it" in result.error


@pytest.mark.slow
def test_cut_checkpoint(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}")
    run = only_run(work_folder)
    best = run / "checkpoints/best.ckpt"
    best.write_bytes(best.read_bytes()[:1000])
    image = str(image_folder / "test/benign/000.png")
    for result in (
        run_command(evaluate.command, f"run={run}"),
        run_command(predict.command, "--run", str(run), image),
        run_command(predict.command, "--checkpoint", str(best), image),
    ):
        assert result.code == 2
        assert f"the checkpoint {best}" in result.error


@pytest.mark.slow
def test_two_processes_in_one_run(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    from filelock import FileLock

    run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}")
    run = only_run(work_folder)
    with FileLock(run / ".lock"):
        result = run_command(train.command, f"resume={run}", "trainer.max_epochs=3")
    assert result.code == 2
    assert "another process is training" in result.error


def test_evaluate(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    assert "run is not set" in run_command(evaluate.command).error
    assert "does not exist" in run_command(evaluate.command, "run=nowhere").error
    result = run_command(evaluate.command, "run=nowhere", "splitt=test")
    assert result.code == 2
    assert "did you mean 'split'" in result.error


def test_predict(run_command: Command, work_folder: Path) -> None:
    (work_folder / "empty").mkdir()
    (work_folder / "a.ckpt").write_bytes(b"")
    for arguments, expected in [
        (["--run", "nowhere", "a.png"], "the run folder nowhere does not exist"),
        (["--checkpoint", "nowhere.ckpt", "a.png"], "nowhere.ckpt does not exist"),
        (["--checkpoint", "a.ckpt", "nowhere.png"], "nowhere.png does not exist"),
        (["--checkpoint", "a.ckpt", "empty"], "empty holds no images"),
        (["--checkpoint", "a.ckpt", "--names", "one", "a.ckpt"], "should be two names"),
        (["--checkpoint", "a.ckpt", "--csv", "no/where.csv", "a.ckpt"], "the folder no does not exist"),
    ]:
        result = run_command(predict.command, *arguments)
        assert result.code == 2
        assert expected in result.error


HEAVY = ("torch", "lightning", "torchvision", "sklearn", "matplotlib", "scipy")


LIGHT = [
    ("train", "--help"),
    ("train", "data.rot=1"),
    ("train", "optimizer=adamm"),
    ("train", "data=folder", "data.root=nowhere"),
    ("train", "data=table", "data.table=nowhere.csv"),
    ("train", "resume=auto"),
    ("evaluate", "--help"),
    ("evaluate", "run=nowhere"),
    ("evaluate", "run=nowhere", "tta=eight"),
    ("predict", "--help"),
    ("predict", "--run", "nowhere", "image.jpg"),
]


@pytest.mark.slow
@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_answers_without_importing_anything_heavy(words: tuple[str, ...], work_folder: Path) -> None:
    module, *arguments = words
    code = (
        f"import sys\nfrom melanoma_pl.{module} import command\nfrom melanoma_pl.config.app import run_command\n"
        "try:\n    run_command(command, sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', [name for name in {HEAVY} if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert "heavy: []" in answer.stdout, answer.stderr


UNNEEDED = ("lightning", "torchmetrics", "torchvision", "torch._dynamo", "matplotlib", "sklearn.covariance", "captum")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--tta",)], ids=["plain", "tta"])
def test_predicts_without_importing_what_only_training_needs(
    options: tuple[str, ...], run_command: Command, work_folder: Path, image_folder: Path
) -> None:
    assert run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}").code == 0
    words = ["--run", str(only_run(work_folder)), str(image_folder / "test"), *options]
    code = (
        "import sys\nfrom melanoma_pl.predict import command\n"
        "assert command(sys.argv[1:]) == 0\n"
        f"print('unneeded:', [name for name in {UNNEEDED} if name in sys.modules], 'torch' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert "unneeded: [] True" in answer.stdout, answer.stdout + answer.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file size")
def test_full_disk(work_folder: Path, image_folder: Path) -> None:
    """A limit on file size stands for a full disk: the second epoch's checkpoint no longer fits."""
    code = (
        "import resource, signal, sys\nimport lightning.pytorch as pl\n"
        "class Fill(pl.Callback):\n"
        "    def on_train_epoch_start(self, trainer, module):\n"
        "        if trainer.current_epoch == 1:\n"
        "            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "            resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))\n"
    )
    (work_folder / "fill.py").write_text(code)
    command = [
        *TINY,
        "data=folder",
        f"data.root={image_folder}",
        "model.hidden=64",
        "+callbacks.fill._target_=fill.Fill",
    ]
    environment = {**os.environ, "PYTHONPATH": str(work_folder)}
    answer = subprocess.run(
        [sys.executable, "-m", "melanoma_pl.train", *command],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert answer.returncode == 2, answer.stderr
    assert "cannot be saved" in answer.stderr
    run = only_run(work_folder)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    checkpoint = torch.load(run / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] == 1


@pytest.mark.slow
def test_evaluating_images_that_changed_since(run_command: Command, work_folder: Path, own_image_folder: Path) -> None:
    run_command(train.command, *TINY, "data=folder", f"data.root={own_image_folder}")
    draw_image(own_image_folder / "train/benign/new.png", malignant=False, seed=99)
    draw_image(own_image_folder / "test/benign/000.png", malignant=True, seed=98)
    for split in ("validation", "test"):
        result = run_command(evaluate.command, f"run={only_run(work_folder)}", f"split={split}")
        assert result.code == 2
        assert "the images have changed since the run" in result.error


@pytest.mark.slow
def test_a_folder_with_other_things_in_it_stays(run_command: Command, work_folder: Path) -> None:
    (work_folder / "mine").mkdir()
    (work_folder / "mine/thesis.txt").write_text("years of work")
    result = run_command(train.command, "data=folder", "data.root=nowhere", "hydra.run.dir=mine")
    assert result.code == 2
    assert [path.name for path in (work_folder / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("overrides", [["optimizer=adam,adamm"], ["data.rot=1,2"]])
def test_mistakes_in_a_sweep(overrides: list[str], run_command: Command, work_folder: Path) -> None:
    result = run_command(train.command, "-m", *overrides)
    assert result.code == 2
    assert "did you mean" in result.error


def test_a_sweep_on_the_test_split(run_command: Command, work_folder: Path) -> None:
    result = run_command(train.command, "-m", "data.validate_on=test", "threshold=fixed", "seed=1,2")
    assert result.code == 2
    assert "would choose on the test images" in result.error


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimized_metric=test/auroc", "would choose on the test images"),
        ("name=../../x", "name=../../x is not allowed"),
        ("data.class_names=[malignant,benign]", "data.class_names=[benign,malignant]"),
        ("trainer.max_epochs=0,1", "trainer.max_epochs=0 is not allowed"),
    ],
)
def test_a_sweep_that_cannot_start_starts_no_job(
    override: str, expected: str, run_command: Command, work_folder: Path
) -> None:
    result = run_command(train.command, "-m", "seed=1,2", override)
    assert result.code == 2
    assert expected in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert not list(work_folder.iterdir())
