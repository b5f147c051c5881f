"""`melanoma-predict` as its user types it, and `predict_images`."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from melanoma_pl import MelanomaClassifier, evaluate, predict, predict_images, train
from melanoma_pl.errors import UserError
from melanoma_pl.runs.__main__ import command as runs_command
from tests.conftest import SIZE, TINY, Command, draw_image, only_run


@pytest.fixture
def run_folder(run_command: Command, work_folder: Path, image_folder: Path) -> str:
    """A trained run."""
    result = run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}", "test=false")
    assert result.code == 0, result.error
    return str(only_run(work_folder))


def test_two_images(run_command: Command, run_folder: str, image_folder: Path) -> None:
    images = [str(image_folder / "test" / name) for name in ("benign/000.png", "malignant/001.png")]
    result = run_command(predict.command, "--run", run_folder, *images)
    assert result.code == 0, result.error
    lines = result.output.splitlines()
    assert len(lines) == 2
    for line, image in zip(lines, images, strict=True):
        probability, decision, path = line.split()
        assert 0 <= float(probability) <= 1
        assert decision in ("benign", "malignant"), "the classes of the checkpoint"
        assert path == image
    assert len({line.index(image) for line, image in zip(lines, images, strict=True)}) == 1, "aligned"
    assert result.error.count("not a medical device: it makes no diagnosis") == 1
    assert result.error.count("threshold") == 2, "threshold 0.…: …; at this threshold …"
    assert "validation images" in result.error.splitlines()[-1], "the test split was not opened"


def test_names_are_chosen_and_the_order_of_the_classes_is_kept(
    run_command: Command, run_folder: str, image_folder: Path
) -> None:
    image = str(image_folder / "test/benign/000.png")
    named = run_command(predict.command, "--run", run_folder, image, "--names", "normal,melanoma", "--json")
    assert json.loads(named.output)["decision"] in ("normal", "melanoma")
    assert "malignant" not in named.error and "melanoma" in named.error.splitlines()[-1]
    reversed_names = run_command(predict.command, "--run", run_folder, image, "--names", "malignant,benign")
    assert (reversed_names.code, reversed_names.output) == (2, "")
    assert "the benign one first" in reversed_names.error


def test_the_closing_line_has_the_false_alarms_of_the_test_images(
    run_command: Command, run_folder: str, image_folder: Path
) -> None:
    assert run_command(evaluate.command, f"run={run_folder}").code == 0
    metrics = json.loads((Path(run_folder) / "report/test/metrics.json").read_text())["metrics"]
    result = run_command(predict.command, "--run", run_folder, str(image_folder / "test"), "--json")
    rows = list(map(json.loads, result.output.splitlines()))
    called = sum(row["decision"] == "malignant" for row in rows)
    assert called == metrics["test/true_positives"] + metrics["test/false_positives"], "the same images"
    line = result.error.splitlines()[-1]
    assert ("are too" in line) == (called > 0) and ("missed" in line) == (called < len(rows))
    rate = 100 * (1 - metrics["test/specificity"])
    assert called == 0 or f"{rate:.0f} % of {metrics['test/n'] - metrics['test/positives']} benign test images" in line
    copied = Path(run_folder).parent / "copy.ckpt"
    copied.write_bytes((Path(run_folder) / "checkpoints/best.ckpt").read_bytes())
    alone = run_command(predict.command, "--checkpoint", str(copied), str(image_folder / "test"))
    assert "test images" not in alone.error and "called malignant" in alone.error.splitlines()[-1]


def test_latest_is_the_newest_finished_run_in_every_command(
    run_command: Command, run_folder: str, image_folder: Path
) -> None:
    image = str(image_folder / "test/benign/000.png")
    result = run_command(predict.command, "--run", "latest", image)
    assert result.code == 0, result.error
    assert result.error.startswith(f"latest: {Path(run_folder).relative_to(Path.cwd())}\n")
    assert result.output == run_command(predict.command, "--run", run_folder, image).output
    assert predict_images("latest", image) == predict_images(run_folder, image)
    evaluated = run_command(evaluate.command, "run=latest", "split=validation")
    assert (evaluated.code, "latest: outputs" in evaluated.error) == (0, True), evaluated.error
    twice = run_command(evaluate.command, f"run=[latest,{Path(run_folder).resolve()}]", "split=validation")
    assert (twice.code, "names a run twice" in twice.error) == (2, True)
    compared = run_command(runs_command, "compare", run_folder, "latest")
    assert (compared.code, "A and B are the same predictions" in compared.error) == (2, True), compared.error


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (predict.command, ["--run", "latest", "image.png"]),
        (evaluate.command, ["run=latest"]),
        (runs_command, ["compare", "latest", "latest"]),
    ],
)
def test_latest_without_a_finished_run_is_refused_in_one_line(
    command,
    words,
    run_command: Command,
    work_folder: Path,  # type: ignore[no-untyped-def]
) -> None:
    result = run_command(command, *words)
    assert (result.code, result.output) == (2, "")
    assert "there is no finished run under outputs/" in result.error
    assert len(result.error.strip().splitlines()) == 1


def test_one_alone_or_among_many(run_command: Command, run_folder: str, image_folder: Path) -> None:
    many = run_command(predict.command, "--run", run_folder, str(image_folder), "--json")
    rows = {row["path"]: row for row in map(json.loads, many.output.splitlines())}
    assert len(rows) == 52
    image = str(image_folder / "test/benign/000.png")
    alone = json.loads(run_command(predict.command, "--run", run_folder, image, "--json").output)
    assert alone["probability"] == pytest.approx(rows[image]["probability"], abs=1e-6)


def test_broken_images_are_reported_and_the_rest_go_on(
    run_command: Command, run_folder: str, work_folder: Path
) -> None:
    draw_image(work_folder / "in/good.png", malignant=True, seed=0)
    (work_folder / "in/broken.png").write_bytes(b"no image")
    (work_folder / "in/notes.txt").write_text("not even meant to be one")
    result = run_command(predict.command, "--run", run_folder, "in", "--csv", "out.csv", "--names", "a,b")
    assert result.code == 1
    assert "1 of 2 images could not be read" in result.error
    with (work_folder / "out.csv").open() as file:
        broken, good = csv.DictReader(file)
    assert broken["path"] == "in/broken.png"
    assert broken["error"]
    assert broken["probability"] == broken["decision"] == ""
    assert broken["threshold"] == good["threshold"] != ""
    assert good["decision"] in ("a", "b")


def test_the_threshold_decides(run_command: Command, run_folder: str, image_folder: Path) -> None:
    report = Path(run_folder) / "report/validation"
    threshold = json.loads((report / "metrics.json").read_text())["threshold"]
    result = run_command(predict.command, "--run", run_folder, str(image_folder / "train"), "--json")
    for row in map(json.loads, result.output.splitlines()):
        assert row["threshold"] == pytest.approx(threshold)
        assert row["decision"] == ("malignant" if row["probability"] >= threshold else "benign")


def test_out_of_distribution_images_are_marked(
    run_command: Command, run_folder: str, work_folder: Path, image_folder: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(work_folder / "noise.png")
    ordinary = str(image_folder / "train/benign/000.png")
    result = run_command(predict.command, "--run", run_folder, "noise.png", ordinary, "--csv", "out.csv")
    assert result.code == 0, result.error
    first, second = result.output.splitlines()
    assert first.endswith("noise.png  (out of distribution: do not rely on this number)")
    assert "distribution" not in second
    assert "1 of 2 images are out of distribution" in result.error
    with (work_folder / "out.csv").open() as file:
        assert [row["out_of_distribution"] for row in csv.DictReader(file)] == ["1", "0"]


@pytest.mark.parametrize("case", ["missing", "of another checkpoint", "damaged"])
def test_a_checkpoint_without_its_ood_detector_says_so(
    case: str, run_command: Command, run_folder: str, image_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint, extras = (Path(run_folder) / "checkpoints" / name for name in ("best.ckpt", "best.inference.pt"))
    if case == "missing":
        extras.unlink()
    elif case == "damaged":
        extras.write_bytes(extras.read_bytes()[:100])
    else:
        torch.save(torch.load(checkpoint, weights_only=True) | {"changed": 1}, checkpoint)
    image = str(image_folder / "test/benign/000.png")
    result = run_command(predict.command, "--checkpoint", str(checkpoint), image, "--json")
    assert result.code == 0, result.error
    assert "cannot tell whether an image is out of distribution" in result.error
    assert json.loads(result.output.splitlines()[-1])["out_of_distribution"] is None
    assert ("best.inference.pt" in caplog.text) == (case != "missing")


def test_heat_maps_have_the_images_shape_and_their_own_files(
    run_command: Command, run_folder: str, work_folder: Path, image_folder: Path
) -> None:
    with Image.open(image_folder / "test/malignant/001.png") as image:
        image.resize((90, 60)).save(work_folder / "wide.png")
    (work_folder / "broken.png").write_bytes(b"no image")
    same_names = [str(image_folder / split / "benign/000.png") for split in ("train", "test")]
    arguments = ("--heatmaps", "maps", "--json")
    result = run_command(predict.command, "--run", run_folder, "wide.png", "broken.png", *same_names, *arguments)
    assert result.code == 1, "one image is broken"
    rows = list(map(json.loads, result.output.splitlines()))
    assert rows[1]["heat_map"] is None
    written = [rows[index]["heat_map"] for index in (0, 2, 3)]
    assert len(set(written)) == 3, "images of one name in two folders"
    assert Path(written[0]).name == "wide.png"
    with Image.open(written[0]) as written_image:
        assert written_image.width == 480 and written_image.height > 320, "enlarged, with a caption"


def test_eight_views(run_command: Command, run_folder: str, work_folder: Path, image_folder: Path) -> None:
    image = image_folder / "test/malignant/001.png"
    with Image.open(image) as upright:
        upright.rotate(90).save(work_folder / "turned.png")
    once = run_command(predict.command, "--run", run_folder, str(image), "--tta", "--json")
    assert "to fit them for --tta: melanoma-evaluate" in once.error
    turned = run_command(predict.command, "--run", run_folder, "turned.png", "--tta", "--json")
    probability = json.loads(once.output)["probability"]
    assert json.loads(turned.output)["probability"] == pytest.approx(probability, abs=1e-6)
    assert run_command(evaluate.command, f"run={run_folder}", "split=validation", "tta=dihedral").code == 0
    fitted = run_command(predict.command, "--run", run_folder, str(image), "--tta", "--json")
    assert "to fit them" not in fitted.error
    checkpoints = Path(run_folder) / "checkpoints"
    single = torch.load(checkpoints / "best.ckpt", weights_only=True)["melanoma_pl"]
    averaged = torch.load(checkpoints / "best.inference.pt", weights_only=True)["augmented_decision"]
    logit = np.log(probability / (1 - probability)) * single["temperature"]
    expected = 1 / (1 + np.exp(-logit / averaged["temperature"]))
    assert json.loads(fitted.output)["probability"] == pytest.approx(expected, abs=1e-6)


def test_a_folder_that_cannot_be_made(run_command: Command, run_folder: str, work_folder: Path) -> None:
    (work_folder / "file").write_text("")
    draw_image(work_folder / "image.png", malignant=True, seed=0)
    result = run_command(predict.command, "--run", run_folder, "image.png", "--heatmaps", "file/maps")
    assert result.code == 2
    assert "--heatmaps file/maps cannot be made" in result.error


def test_no_image_is_overwritten(run_command: Command, run_folder: str, work_folder: Path) -> None:
    draw_image(work_folder / "in/image.png", malignant=True, seed=0)
    before = (work_folder / "in/image.png").read_bytes()
    table = run_command(predict.command, "--run", run_folder, "in/image.png", "--csv", "in/image.png")
    assert (table.code, "is one of the images" in table.error) == (2, True)
    maps = run_command(predict.command, "--run", run_folder, "in", "--heatmaps", "in/maps")
    assert (maps.code, "lies among the images" in maps.error) == (2, True)
    assert (work_folder / "in/image.png").read_bytes() == before
    assert not (work_folder / "in/maps").exists()
    beside = run_command(predict.command, "--run", run_folder, "in/image.png", "--heatmaps", "in")
    assert (beside.code, "would replace the image" in beside.error) == (2, True)
    assert (work_folder / "in/image.png").read_bytes() == before


def test_the_function_gives_what_the_command_gives(
    run_command: Command, run_folder: str, work_folder: Path, image_folder: Path
) -> None:
    """Files, PIL images, arrays and tensors in one list, one of them with EXIF data that turn it."""
    plain = image_folder / "test/malignant/001.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    large = Image.effect_noise((640, 480), 60).convert("RGB")
    large.save("large.jpg", exif=exif)
    (work_folder / "broken.png").write_bytes(b"no image")
    files = [str(plain), "large.jpg", "large.jpg", str(plain), str(plain), str(plain), "broken.png"]
    result = run_command(predict.command, "--run", run_folder, *files, "--json")
    rows = list(map(json.loads, result.output.splitlines()))
    checkpoint = Path(run_folder) / "checkpoints/best.ckpt"
    for source in (run_folder, checkpoint):
        with Image.open("large.jpg") as turned, Image.open(plain) as opened, Image.open(plain) as decoded:
            pixels = np.asarray(decoded)
            images = [plain, "large.jpg", turned, opened, pixels, torch.tensor(pixels), "broken.png"]
            predictions = predict_images(source, images)
        assert [prediction.index for prediction in predictions] == list(range(7))
        for row, prediction in zip(rows, predictions, strict=True):
            assert prediction.decision == row["decision"]
            assert prediction.is_ood == row["out_of_distribution"]
            assert bool(prediction.reason) == bool(row["error"])
            if row["probability"] is None:
                assert prediction.probability is None
            else:
                assert prediction.probability == pytest.approx(row["probability"], abs=1e-6)
                assert prediction.decision == (
                    "malignant" if prediction.probability >= prediction.threshold else "benign"
                )
    assert predictions[0].path == plain and predictions[4].path is None
    eight = run_command(predict.command, "--run", run_folder, str(plain), "--tta", "--json")
    classifier = MelanomaClassifier.load_from_checkpoint(checkpoint).train()
    classifier.network.dense_1.eval()
    modes = [module.training for module in classifier.modules()]
    (alone,) = predict_images(classifier, pixels, views="dihedral")
    assert [module.training for module in classifier.modules()] == modes, "as before the prediction"
    assert alone.probability == pytest.approx(json.loads(eight.output)["probability"], abs=1e-6)
    assert alone.is_ood is None, "the classifier alone has no detector"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nowhere.ckpt", "image.png"), "nowhere.ckpt"),
        (("{run}", "nowhere.png"), "nowhere.png does not exist"),
        (("{run}", [np.zeros((8, 8, 3))]), "image 0 is float64"),
        (("{run}", [np.zeros((8, 8), dtype=np.uint8)]), "image 0 is uint8 of shape"),
        (("{run}", ["image.png", 3]), "image 1 is a int"),
    ],
)
def test_mistakes_in_python_are_user_errors(arguments, expected, run_folder, work_folder) -> None:  # type: ignore[no-untyped-def]
    draw_image(work_folder / "image.png", malignant=True, seed=0)
    source, images = arguments
    with pytest.raises(UserError, match=expected):
        predict_images(source.format(run=run_folder), images)
    with pytest.raises(UserError, match="views='eight' is not allowed"):
        predict_images(run_folder, "image.png", views="eight")  # type: ignore[arg-type]


@pytest.mark.real_data
def test_images_as_people_have_them(run_command: Command, run_folder: str, shared_images: Path) -> None:
    result = run_command(predict.command, "--run", run_folder, str(shared_images / "photos"), "--json")
    assert result.code == 0, result.error
    assert len(result.output.splitlines()) == 34
