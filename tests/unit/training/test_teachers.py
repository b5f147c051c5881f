"""Networks that teach: what they may have seen, and that a resumed run learns from the same ones."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.conftest import TINY, Command, only_run

from melanoma_pl import train


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """A run on the tiny images."""
    folder = tmp_path_factory.mktemp("teacher")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["command"])
        assert train.command([*TINY, "data=folder", f"data.root={image_folder}", "model.channels=[8,8,8]"]) == 0
    return only_run(folder)


@pytest.fixture
def command(run_command: Command, image_folder: Path) -> Command:
    """`melanoma-train` on the tiny images, one epoch."""
    options = [*TINY, "data=folder", f"data.root={image_folder}", "trainer.max_epochs=1"]
    return lambda *arguments: run_command(train.command, *options, *arguments)


@pytest.mark.slow
def test_a_student_learns_and_is_resumed(
    teacher: Path, command: Command, run_command: Command, work_folder: Path
) -> None:
    other = work_folder / "own/checkpoints/best.ckpt"
    other.parent.mkdir(parents=True)
    shutil.copy(teacher / "checkpoints/best.ckpt", other)
    taught = f"model.teacher=[{teacher},{other}]"
    result = command(taught, "hydra.run.dir=student")
    assert result.code == 0, result.error
    assert f"it is not known which images {other} learnt from" in result.output
    record = json.loads((work_folder / "student/run.json").read_text())
    assert [each["checkpoint"] for each in record["teachers"]] == [str(teacher / "checkpoints/best.ckpt"), str(other)]
    state = torch.load(work_folder / "student/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    alone = command("hydra.run.dir=alone")
    assert alone.code == 0, alone.error
    untaught = torch.load(work_folder / "alone/checkpoints/best.ckpt", weights_only=True)["state_dict"]
    assert state.keys() == untaught.keys()
    assert not torch.equal(state["network.dense_1.weight"], untaught["network.dense_1.weight"])

    assert run_command(train.command, "resume=student", "trainer.max_epochs=2").code == 0
    whole = command(taught, "hydra.run.dir=whole", "trainer.max_epochs=2")
    assert whole.code == 0, whole.error
    changed = torch.load(other, weights_only=True)
    changed["melanoma_pl"]["temperature"] += 1.0
    torch.save(changed, other)
    result = run_command(train.command, "resume=student", "trainer.max_epochs=3")
    assert result.code == 2
    assert "has changed since the run began" in result.error


@pytest.mark.slow
@pytest.mark.parametrize("split", ["test", "validation"])
def test_teachers_that_pass_on_labels_are_refused(
    split: str, image_folder: Path, command: Command, run_command: Command, work_folder: Path
) -> None:
    root, options = image_folder, ["data.split_seed=7"]
    if split == "test":
        root, options = work_folder / "images", ["test=false"]
        shutil.copytree(image_folder / "test", root / "train")
    taught = run_command(train.command, *TINY, "data=folder", f"data.root={root}", "hydra.run.dir=seen", *options)
    assert taught.code == 0, taught.error
    result = command("model.teacher=seen")
    assert result.code == 2
    assert "model.teacher: seen/checkpoints/best.ckpt trained on" in result.error
    assert f"{split} images" in result.error


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.image_size=48", "data.image_size=32, and this run 48"),
        ("data.class_names=[nevus,melanoma]", "data.class_names"),
    ],
)
def test_teachers_of_other_images_are_refused(
    override: str, told: str, teacher: Path, command: Command, work_folder: Path
) -> None:
    result = command(f"model.teacher={teacher}", override)
    assert result.code == 2
    assert told in result.error
    assert not list(work_folder.iterdir())


def test_a_missing_teacher_is_refused(command: Command, work_folder: Path) -> None:
    result = command("model.teacher=nowhere")
    assert result.code == 2
    assert "nowhere does not exist" in result.error
