"""`melanoma-data audit` as a user runs it, and the warning that training then gives."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from melanoma_pl import train
from melanoma_pl.data import __main__ as data
from melanoma_pl.data.synthetic.synthetic_images import write_images
from tests.conftest import TINY, Command, Result, only_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images without a leak, for all tests to copy."""
    return write_images(tmp_path_factory.mktemp("drawn") / "images", 40, 12, size=96)


@pytest.fixture
def images(drawn: Path, work_folder: Path) -> Path:
    """An image folder that the test may change."""
    for path in drawn.rglob("*.*"):
        target = work_folder / "images" / path.relative_to(drawn)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return work_folder / "images"


def plant(images: Path) -> None:
    """Put a mirrored copy of a training image into test."""
    with Image.open(images / "train/benign/0003.jpg") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(images / "test/benign/copy.jpg", quality=70)


def test_clean_images(images: Path, run_command: Command) -> None:
    result = run_command(data.command, "audit", "images")
    assert result.code == 0, result.output
    assert "report      outputs/audits/images/audit.html" in result.output
    report = json.loads(Path("outputs/audits/images/audit.json").read_text())
    assert report["summary"]["is_clean"] is True
    assert "<html" in Path("outputs/audits/images/audit.html").read_text()
    assert "not a medical device" in result.output


def test_a_leak_is_found_listed_and_left_out(images: Path, run_command: Command) -> None:
    plant(images)
    result = run_command(data.command, "audit", "images", "--fix", "quarantine.csv", "--report", "mine")
    assert result.code == 1
    with Path("quarantine.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["train/benign/0003.jpg"]
    assert json.loads(Path("mine/audit.json").read_text())["summary"]["leaking_test_images"] == 1
    for text in (result.output, Path("mine/audit.html").read_text()):
        assert "melanoma-data audit images" not in text, "a list was just written"
        assert "melanoma-train data=folder data.root=images data.exclude=quarantine.csv" in re.sub(r"<[^>]+>", "", text)
    again = run_command(data.command, "audit", "images", "--exclude", "quarantine.csv")
    assert again.code == 0, again.output
    run_command(data.command, "audit", "images", "--exclude", "quarantine.csv", "--fix", "quarantine.csv")
    with Path("quarantine.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == rows, "what was on the list stays on it"
    assert len(list(images.rglob("*.jpg"))) == 53, "an audit changes no image"


def test_lesions_by_metadata(images: Path, run_command: Command) -> None:
    table = images / "metadata.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    first, last = next(row for row in rows if "train" in row["image"]), rows[-1]
    last["group"] = first["group"]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert run_command(data.command, "audit", "images").code == 0, "pixels do not tell"
    result = run_command(data.command, "audit", "images", "--group-column", "group")
    assert result.code == 1
    assert "lesions in two splits         1 (column 'group')" in result.output


def test_a_table(images: Path, run_command: Command) -> None:
    lines = [f"{path.relative_to(images.parent)},{path.parent.name},{path.parts[-3]}" for path in images.rglob("*.jpg")]
    Path("table.csv").write_text("\n".join(["image,label,split", *lines]))
    result = run_command(data.command, "audit", "table.csv")
    assert result.code == 0, result.error
    assert "report      outputs/audits/table/audit.html" in result.output
    Path("metadata.csv").write_text(Path("table.csv").read_text())
    folder = Path.cwd().name
    assert f"outputs/audits/{folder}/audit.html" in run_command(data.command, "audit", "metadata.csv").output


WRONG = {
    "nowhere": (["audit", "nowhere"], "nowhere does not exist"),
    "an empty folder": (["audit", "empty"], "holds no labelled images"),
    "no table": (["audit", "images", "--metadata", "nowhere.csv"], "--metadata=nowhere.csv does not exist"),
    "no such column": (["audit", "images", "--group-column", "grup"], "did you mean 'group'"),
    "an image column": (["audit", "images", "--image-column", "file"], "has no column 'file' (--image-column)"),
    "no list": (["audit", "images", "--exclude", "nowhere.csv"], "--exclude nowhere.csv does not exist"),
    "a list elsewhere": (["audit", "images", "--fix", "no/where.csv"], "the folder no does not exist"),
    "a folder for a card": (["card", "images", "--to", "empty"], "--to empty is a folder"),
    "a card behind a file": (["card", "images", "--to", "images/metadata.csv/card.md"], "images/metadata.csv"),
    "a report in a file": (["audit", "images", "--report", "images/metadata.csv"], "is a file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use(case: str, images: Path, run_command: Command, work_folder: Path) -> None:
    arguments, expected = WRONG[case]
    (work_folder / "empty").mkdir()
    result = run_command(data.command, *arguments)
    assert result.code == 2
    assert expected in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert sorted(path.name for path in work_folder.iterdir()) == ["empty", "images"], "nothing is left half-written"


def test_help_and_mistakes_are_light() -> None:
    code = (
        "import sys\nfrom melanoma_pl.data.__main__ import command\nfrom melanoma_pl.config.app import run_command\n"
        "try:\n    run_command(command, sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('heavy:', [name for name in ('torch', 'sklearn', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    for arguments in (["--help"], ["audit", "nowhere"], ["split", "nowhere", "clean"]):
        answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert "heavy: []" in answer.stdout, (arguments, answer.stdout, answer.stderr)


def test_an_audit_needs_no_torch(images: Path) -> None:
    code = "import sys\nfrom melanoma_pl.data.__main__ import command\ncommand(sys.argv[1:])\n"
    words = [sys.executable, "-c", code + "print('torch' in sys.modules)", "audit", "images"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.stdout.splitlines()[-1] == "False", answer.stderr


def test_training_warns_once(images: Path, run_command: Command) -> None:
    plant(images)

    def train_once(*more: str) -> list[str]:
        result: Result = run_command(train.command, *TINY, "data=folder", "data.root=images", *more)
        assert result.code == 0, result.error
        return [line for line in result.output.splitlines() if line.startswith("audit ")]

    (line,) = train_once("trainer.max_epochs=1")
    assert "no audit of these images was found; melanoma-data audit images" in line
    run_command(data.command, "audit", "images", "--fix", "quarantine.csv")
    (line,) = train_once("trainer.max_epochs=1")
    assert "the audit found 1 training images that show the same as test images" in line
    assert train_once("trainer.max_epochs=1", "data.exclude=quarantine.csv") == []


def test_synthetic_images_need_no_audit(run_command: Command, work_folder: Path) -> None:
    small = ["data.synthetic.train=40", "data.synthetic.test=12", "trainer.max_epochs=1"]
    result = run_command(train.command, *TINY, *small)
    assert result.code == 0, result.error
    assert "audit " not in result.output
    assert only_run(work_folder)


@pytest.mark.real_data
def test_real_images(shared_images: Path, run_command: Command) -> None:
    """The leaks of a public set: 55 test images by its metadata, two more by their pixels alone."""
    result = run_command(data.command, "audit", str(shared_images / "isic_moles"), "--group-column", "group")
    assert result.code == 1
    report = json.loads(Path("outputs/audits/isic_moles/audit.json").read_text())
    assert report["summary"]["leaking_test_images"] == 57
    assert sorted(Path(each["path"]).stem for each in report["label_conflicts"]) == ["149", "153"]
    exact = [pair for pair in report["pairs"] if pair["kind"] == "exact"]
    assert [(Path(pair["first"]).stem, Path(pair["second"]).stem) for pair in exact] == [("768", "769")]
    unknown = {pair["first"] for pair in report["pairs"] if pair["same_lesion"] is False}
    assert len(unknown) > 0, "near-duplicates that the metadata overlooks"
    shortcuts = {each["name"]: each["auroc"] for each in report["shortcuts"]}
    assert shortcuts["file facts"] > 0.8
    assert shortcuts["mean colour"] > 0.8


def test_data_card(images: Path, run_command: Command) -> None:
    before = run_command(data.command, "card", "images")
    assert before.code == 0, before.error
    assert "data card   outputs/audits/images/DATA_CARD.md" in before.output
    assert "not audited" in Path("outputs/audits/images/DATA_CARD.md").read_text()
    run_command(data.command, "audit", "images")
    assert run_command(data.command, "card", "images", "--to", "card.md").code == 0
    card = Path("card.md").read_text()
    assert "40" in card
    assert "AUROC" in card


def test_synthesize(work_folder: Path, run_command: Command) -> None:
    arguments = ["synthesize", "drawn", "--train", "12", "--test", "4", "--size", "48"]
    result = run_command(data.command, *arguments)
    assert result.code == 0, result.error
    assert len(list(work_folder.glob("drawn/*/*/*.jpg"))) == 16
    assert "melanoma-train data=folder data.root=drawn" in result.output
    assert run_command(data.command, *arguments, "--seed", "1").code == 2, "another set is there"
