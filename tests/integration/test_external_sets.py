"""How far a run carries: external sets and one source, as a user types them, and the table of results."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import pytest
from benchmarks.accuracy import rebuild
from benchmarks.accuracy.__main__ import main as accuracy

from melanoma_pl import evaluate, train
from melanoma_pl.evaluation import auroc
from tests.conftest import TINY, Command, draw_image


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """A folder with the runs `a` and `b`, the images of both, and the external sets `flat` and `other`."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(image_folder, folder / "images")
    with (folder / "images/metadata.csv").open() as file:
        rows = [{**row, "clinic": f"{int(row['image'][-5]) // 5}"} for row in csv.DictReader(file)]
    with (folder / "images/metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["command"])
        options = [*TINY, "data=folder", "data.root=images", "data.group_column=group", "optimizer.lr=1e-2"]
        for seed in range(2):
            assert train.command([*options, f"seed={seed}", f"hydra.run.dir=runs/{'ab'[seed]}", "name=tiny"]) == 0
    rows = []
    for index in range(16):  # in two splits, with two images of each lesion
        path = f"{('train', 'test')[index // 8]}/{('benign', 'malignant')[index % 2]}/{index:03d}.png"
        draw_image(folder / "other" / path, index % 2 == 1, seed=700 + index)
        rows.append(f"{path},{index // 4}{index % 2}\n")
    (folder / "other/metadata.csv").write_text(f"image,lesion_id\n{''.join(rows)}")
    for index in range(10):
        draw_image(folder / f"flat/{('rest', 'melanoma')[index % 2]}/{index}.png", index % 2 == 1, seed=500 + index)
    return folder


@pytest.fixture
def folder(trained: Path, work_folder: Path) -> Path:
    """The working folder of the test, with copies of all of them."""
    shutil.copytree(trained, work_folder, dirs_exist_ok=True)
    return work_folder


BOTH = ("external=[flat,other]", "+data.folder_names.rest=benign")


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def test_external_sets_stand_beside_the_test_images(folder: Path, run_command: Command) -> None:
    before = json.loads(Path("runs/a/report/test/metrics.json").read_text())
    result = run_command(evaluate.command, "run=runs/a", *BOTH, "source=clinic=0", "images_in_report=false")
    assert result.code == 0, result.error
    rows = rows_of("runs/a/report/test/image_sets.csv")
    assert [(row["set"], row["images"], row["malignant"]) for row in rows] == [
        ("test", "12", "6"), ("clinic=0", "7", "3"), ("flat", "10", "5"), ("other", "16", "8"),
    ]  # fmt: skip
    told = json.loads(Path("runs/a/report/test/metrics.json").read_text())
    assert told["threshold"] == before["threshold"] and told["temperature"] == before["temperature"]
    assert told["metrics"]["test/auroc"] == before["metrics"]["test/auroc"], "those of the run's own test images"
    assert [own["lesions"] for own in told["report"]["image_sets"]] == [6, 5, None, 8], "its own column of lesions"
    of_set = rows_of("runs/a/report/test/external/other/predictions.csv")
    assert {row["path"].split("/")[0] for row in of_set} == {"train", "test"} and len(of_set) == 16
    targets = [row["label"] == "malignant" for row in of_set]
    assert float(rows[3]["auroc"]) == auroc([float(row["logit"]) for row in of_set], targets)
    called = [float(row["probability"]) >= told["threshold"] for row in of_set]
    found = sum(own and is_positive for own, is_positive in zip(called, targets, strict=True))
    assert float(rows[3]["sensitivity"]) == found / 8
    assert Path("runs/a/report/test/figures/image_sets.svg").is_file()
    page, card = Path("runs/a/report/report.html").read_text(), Path("runs/a/MODEL_CARD.md").read_text()
    for text in (page, card):
        assert "How far it carries" in text and "Nothing was fitted on an external set" in text and "flat" in text
    assert "data:image/jpeg" not in page
    assert "other (16 images, 8 positive): AUROC" in result.output.replace("\n", " ")
    assert run_command(evaluate.command, "run=runs/a").code == 0
    assert not Path("runs/a/report/test/image_sets.csv").exists(), "the table of an earlier evaluation"
    assert "How far it carries" not in Path("runs/a/report/report.html").read_text()


def test_images_that_the_run_was_trained_on_are_left_out(folder: Path, run_command: Command) -> None:
    for index in (0, 1, 2):
        source = next(Path("images/train").glob(f"*/{index:03d}.png"))
        shutil.copy(source, f"other/train/{source.parent.name}/copy{index}.png")
    result = run_command(evaluate.command, "run=[runs/a,runs/b]", "external=other", "output=together")
    assert result.code == 0, result.error
    row = rows_of("together/image_sets.csv")[-1]
    assert (row["images"], row["out_of_distribution"]) == ("16", "")
    assert row["note"].startswith("3 images that a network has seen left out (train/benign/copy0.png")
    marked = [
        own for own in rows_of("together/external/other/predictions.csv") if own["shares_lesion_with_train"] == "1"
    ]
    assert sorted(own["path"][-9:] for own in marked) == ["copy0.png", "copy1.png", "copy2.png"]
    assert "it needs a single network" in Path("together/report.html").read_text()


def test_sets_of_one_name_have_folders_of_their_own(folder: Path, run_command: Command) -> None:
    shutil.copytree("other", "again/other")
    assert run_command(evaluate.command, "run=runs/a", "external=[other,again/other]", "mistakes=0").code == 0
    names = [row["set"] for row in rows_of("runs/a/report/test/image_sets.csv")][1:]
    assert names == [f"{folder.name}/other", "again/other"]
    assert all(Path(f"runs/a/report/test/external/{name}/predictions.csv").is_file() for name in names)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["external=nowhere"], "external=nowhere does not exist"),
        (["external=images/metadata.csv"], "external=images/metadata.csv is a file"),
        (["external=empty"], "empty has no image of the class 'benign'"),
        (["external=flat"], "+data.folder_names.rest=<class>"),
        (["external=[other,./other]"], "names a folder twice"),
        (["external=<own>"], "holds the images of the run itself"),
        (["external=<own>/train"], "holds the images of the run itself"),
        (["external=other", "split=validation"], "leave split=validation out"),
        (["external=other", "data.root=flat"], "leave data.root=flat out"),
        (["external=copied"], "external=copied: a network trained or chose on all 40 images of it"),
        (["source=clinic"], "write column=value"),
        (["source=clinic=9"], "source=clinic=9 leaves no test image"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_input_is_refused_in_one_line(
    arguments: list[str], words: str, trained: Path, folder: Path, run_command: Command
) -> None:
    arguments = [text.replace("<own>", str(trained / "images")) for text in arguments]
    Path("empty").mkdir()
    shutil.copytree("images/train", "copied")
    before = sorted(Path("runs").rglob("*"))
    result = run_command(evaluate.command, "run=runs/a", *arguments)
    assert (result.code, words in result.error) == (2, True), result.error
    assert len([line for line in result.error.splitlines() if "error" in line]) == 1
    assert sorted(Path("runs").rglob("*")) == before


def test_the_table_of_results(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--external", "flat", "--folder-name", "rest=benign", "--source", "clinic=0", "--results", "results.csv"]
    accuracy(["results", "runs/a", "runs/b", *words])
    rows = rows_of("results.csv")
    titles = ["one network", "one network, eight views", "ensemble of 2, eight views"]
    assert [(row["networks"], row["set"]) for row in rows] == [
        (title, name) for title in titles for name in ("test", "clinic=0", "flat")
    ]
    alone = [
        json.loads(Path(f"runs/{run}/report/test/metrics.json").read_text())["metrics"]["test/auroc"] for run in "ab"
    ]
    assert float(rows[0]["auroc"]) == pytest.approx(sum(alone) / 2)
    assert (float(rows[0]["low"]), float(rows[0]["high"])) == pytest.approx((min(alone), max(alone)))
    assert [row["ends"] for row in rows[::3]] == ["range", "range", "95 % CI"]
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(rows) and "| tiny | one network | test | 12 (6) |" in table[2]


@pytest.mark.real_data
def test_the_real_external_sets(shared_images: Path, folder: Path, run_command: Command) -> None:
    sets = ",".join(str(shared_images / "external" / name) for name in ("uda1", "isic2018"))
    result = run_command(
        evaluate.command, "run=runs/a", f"external=[{sets}]", "+data.folder_names.other=benign", "mistakes=0"
    )
    assert result.code == 0, result.error
    rows = rows_of("runs/a/report/test/image_sets.csv")[-2:]
    assert [(row["images"], row["malignant"]) for row in rows] == [("290", "88"), ("752", "77")]


def test_the_images_of_the_results_are_rebuilt(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = [next(Path("images/train").glob(f"*/{number:03d}.png")) for number in (4, 5, 6)]
    rows = [f"{path.parent.name}/{path.name},{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}" for path in named]
    Path("list.csv").write_text("image,sha256\n" + "\n".join(rows))
    monkeypatch.setattr(rebuild, "TEST_IMAGES", Path("list.csv"))
    shutil.copy("images/train/benign/006.png", "images/train/benign/twin.png")
    accuracy(["rebuild", "images", "again"])
    assert "again: 38 train, 3 test images, 1 of which have a near-duplicate in train" in capsys.readouterr().out
    tested = {path.relative_to("again/test").as_posix() for path in Path("again/test").rglob("*.png")}
    assert tested == {row.partition(",")[0] for row in rows}
    groups = {row["image"]: row["group"] for row in rows_of("again/metadata.csv")}
    assert len(groups) == 41 and groups["test/benign/006.png"] == groups["train/benign/twin.png"]
    draw_image(Path("images/train/benign/006.png"), malignant=True, seed=9)
    with pytest.raises(SystemExit, match="2"):
        accuracy(["rebuild", "images", "other_target"])
    assert "1 image (train/benign/006.png) of the 3 test images" in capsys.readouterr().err
    assert not Path("other_target").exists()


@pytest.mark.real_data
def test_the_list_of_test_images_is_that_of_the_real_ones(shared_images: Path) -> None:
    for row in rows_of(str(rebuild.TEST_IMAGES)):
        content = (shared_images / "isic_moles/test" / row["image"]).read_bytes()
        assert hashlib.sha256(content).hexdigest().startswith(row["sha256"])
