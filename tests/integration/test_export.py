"""`melanoma-export` as its user types it: the folder alone gives the numbers of the run."""

import csv
import json
import shutil
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch

from melanoma_pl import evaluate, predict, train
from melanoma_pl.export import __main__ as export
from melanoma_pl.export.exported_network import load_exported
from melanoma_pl.export.int8 import Int8Comparison
from tests.conftest import TINY, Command, Result, only_run
from tests.integration.test_bad_input import HEAVY

for package in export.NEEDED:
    pytest.importorskip(package)

FILES = ["README.md", "config.json", "model.onnx", "model.pt2", "model.safetensors", "predict.py"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """A folder with two trained runs, `a` and `b`, on the tiny images, and `a` exported."""
    folder = tmp_path_factory.mktemp("trained")
    options = [*TINY, "data=folder", f"data.root={image_folder}", "data.group_column=group", "optimizer.lr=1e-2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["command"])
        for seed, name in enumerate("ab"):
            page = ["report=page"] if name == "a" else []
            assert train.command([*options, *page, f"seed={seed}", f"name={name}"]) == 0
        assert export.command([str(only_run(folder, "a")), "exported"]) == 0
    return folder


@pytest.fixture
def runs(trained: Path, work_folder: Path) -> tuple[str, str]:
    """The two runs, to be exported in this test's own folder."""
    shutil.copytree(trained / "outputs", work_folder / "outputs")
    first, second = (only_run(work_folder, name).relative_to(work_folder).as_posix() for name in "ab")
    return first, second


def predict_alone(folder: Path, *arguments: str) -> Result:
    """Run the exported `predict.py` in a process of its own, without this package."""
    words = [sys.executable, "-I", str(folder / "predict.py"), *arguments]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    return Result(answer.returncode, answer.stdout, answer.stderr)


def rows_of(output: str) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in output.splitlines()]


def check_same(alone: Result, ours: Result) -> None:
    """Fail unless two commands printed the same predictions."""
    assert (alone.code, ours.code) == (0, 0), alone.error + ours.error
    pairs = list(zip(rows_of(alone.output), rows_of(ours.output), strict=True))
    assert len(pairs) > 10
    for found, expected in pairs:
        assert found["probability"] == pytest.approx(expected["probability"], abs=1e-5)
        for key in ("path", "decision", "threshold", "out_of_distribution"):
            assert found[key] == expected[key], found["path"]


def test_the_folder_predicts_what_the_run_predicts(trained: Path, run_command: Command, image_folder: Path) -> None:
    folder = trained / "exported"
    assert sorted(file.name for file in folder.iterdir()) == FILES
    images = str(image_folder / "test")
    ours = run_command(predict.command, "--run", str(only_run(trained, "a")), images, "--json")
    alone = predict_alone(folder, images, "--json")
    check_same(alone, ours)
    assert {row["out_of_distribution"] for row in rows_of(alone.output)} <= {True, False}
    text = predict_alone(folder, images)
    for line, row in zip(text.output.splitlines(), rows_of(alone.output), strict=True):
        assert line.split()[:3] == [f"{row['probability']:.6f}", row["decision"], row["path"]]
    assert text.error.splitlines()[0] == "Research software, not a medical device: it makes no diagnosis."
    assert text.error.splitlines()[-1].startswith(f"threshold {rows_of(alone.output)[0]['threshold']:.6f}: ")


@pytest.mark.real_data
def test_real_images_are_predicted_alike(trained: Path, run_command: Command, shared_images: Path) -> None:
    images = [str(path) for path in sorted((shared_images / "photos").rglob("*.*g"))[::2]]
    ours = run_command(predict.command, "--run", str(only_run(trained, "a")), *images, "--json")
    check_same(predict_alone(trained / "exported", *images, "--json"), ours)


def test_every_file_computes_the_same(trained: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = trained / "exported"
    pixels = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    expected = session.run(None, {"pixels": pixels.numpy()})
    with torch.inference_mode():
        program = torch.export.load(folder / "model.pt2").module()(pixels)
        loaded = load_exported(folder)(pixels)
    for outputs in (program, loaded):
        for found, values in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(found.numpy(), values, rtol=1e-4, atol=1e-5)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["class_names"]) == ["benign", "malignant"]
    assert json.loads(facts["image_size"]) == 32 and json.loads(facts["opset"]) == {"ai.onnx": 18}
    assert facts["training_images"].startswith("images") and "not stated" in facts["license"]
    assert "makes no diagnosis" in facts["disclaimer"]
    assert {"melanoma-pl", "torch", "onnx"} <= json.loads(facts["versions"]).keys()


def test_the_card_has_the_test_figures(trained: Path) -> None:
    card = (trained / "exported/README.md").read_text(encoding="utf-8")
    metrics = json.loads((only_run(trained, "a") / "report/test/metrics.json").read_text())["rows"]["test"]
    assert f"value: {metrics['auroc']}" in card and "model-index" in card
    assert "## Intended use" in card and str(trained) not in card and ".svg)" not in card


def test_bad_images_have_a_line_each_and_the_rest_go_on(trained: Path, work_folder: Path, image_folder: Path) -> None:
    (work_folder / "broken.png").write_bytes(b"no image")
    good = str(image_folder / "test/benign/000.png")
    answer = predict_alone(trained / "exported", "broken.png", "missing.png", good)
    assert answer.code == 1 and "Traceback" not in answer.error
    broken, missing, last = answer.output.splitlines()
    assert broken.split()[:3] == ["–", "unreadable", "broken.png:"] and "missing.png: " in missing
    assert last.endswith(good)
    assert predict_alone(trained / "exported", good).code == 0


@pytest.mark.slow
def test_an_ensemble_with_views_and_the_figures_of_its_report(
    run_command: Command, runs: tuple[str, str], image_folder: Path
) -> None:
    evaluated = run_command(evaluate.command, f"run=[{','.join(runs)}]", "tta=dihedral", "output=report")
    assert evaluated.code == 0, evaluated.error
    result = run_command(export.command, *runs, "exported", "--tta", "--report", "report", "--license", "cc0-1.0")
    assert result.code == 0, result.error
    assert "cannot tell whether an image is out of distribution" in result.output
    metrics = json.loads(Path("report/metrics.json").read_text())
    config = json.loads(Path("exported/config.json").read_text())
    assert (config["threshold"], config["temperature"]) == (metrics["threshold"], metrics["temperature"])
    assert (len(config["members"]), config["views"], config["license"]) == (2, "dihedral", "cc0-1.0")
    assert f"value: {metrics['rows']['test']['auroc']}" in Path("exported/README.md").read_text(encoding="utf-8")
    alone = predict_alone(Path("exported"), str(image_folder / "test"), "--json")
    with Path("report/predictions.csv").open() as file:
        expected = {row["path"]: row for row in csv.DictReader(file)}
    rows = rows_of(alone.output)
    assert len(rows) == len(expected) == 12
    for row in rows:
        own = expected[Path(row["path"]).relative_to(image_folder).as_posix()]
        assert row["probability"] == pytest.approx(float(own["probability"]), abs=1e-5)
        assert (row["decision"], row["out_of_distribution"]) == (own["decision"], None)
    refused = run_command(export.command, *runs, "other", "--report", "report")
    assert (refused.code, "name the report of an evaluation of exactly these runs" in refused.error) == (2, True)


@pytest.mark.slow
def test_int8_is_written_only_within_its_tolerance(
    run_command: Command, runs: tuple[str, str], image_folder: Path
) -> None:
    result = run_command(export.command, runs[0], "within", "--int8", "--int8-tolerance", "0.99")
    assert result.code == 0, result.error
    assert sorted(file.name for file in Path("within").iterdir()) == sorted([*FILES, "model.int8.onnx"])
    assert "images/s with" in result.output and "model.int8.onnx" in Path("within/README.md").read_text()
    image = str(image_folder / "test/benign/000.png")
    answer = predict_alone(Path("within"), "--model", "within/model.int8.onnx", image, "--json")
    assert answer.code == 0 and "cannot tell whether an image is out of distribution" in answer.error
    assert json.loads(answer.output)["out_of_distribution"] is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Int8Comparison, "is_within", lambda self, tolerance: False)
        result = run_command(export.command, runs[0], "beyond", "--int8")
    assert result.code == 0 and "int8 is left out: " in result.output
    assert sorted(file.name for file in Path("beyond").iterdir()) == FILES


def refuse(run_command: Command, *arguments: str) -> str:
    """Return the one line with which an export is refused that leaves nothing behind."""
    before = sorted(Path().iterdir())
    result = run_command(export.command, *arguments)
    assert (result.code, result.output) == (2, ""), result.error
    assert sorted(Path().iterdir()) == before
    (line,) = result.error.strip().splitlines()
    return line


def test_bad_input_is_refused_in_a_line(
    run_command: Command, runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs[0]
    Path("taken").mkdir()
    assert "taken exists already" in refuse(run_command, run, "taken")
    assert "the run folder nowhere does not exist" in refuse(run_command, "nowhere", "exported")
    assert "a run is named twice" in refuse(run_command, run, f"{run}/", "exported")
    assert "is not in [0, 1)" in refuse(run_command, run, "exported", "--int8", "--int8-tolerance", "nan")
    assert "holds no metrics.json" in refuse(run_command, run, "exported", "--report", "taken")
    record = Path(run, "run.json")
    content = record.read_text()
    record.write_text(json.dumps({**json.loads(content), "finished": False}))
    assert f"melanoma-train resume={run}" in refuse(run_command, run, "exported")
    record.write_text(content)
    with monkeypatch.context() as patch:
        patch.setattr(export, "find_spec", lambda name: None if name == "safetensors" else ModuleSpec(name, None))
        assert "needs safetensors: pip install 'melanoma-pl[export]'" in refuse(run_command, run, "exported")
    Path(run, "checkpoints/best.ckpt").write_bytes(b"no checkpoint")
    assert "best.ckpt cannot be read" in refuse(run_command, run, "exported")
    Path(run, "checkpoints/best.ckpt").unlink()
    assert "has no checkpoints/best.ckpt" in refuse(run_command, run, "exported")


def test_a_network_that_onnx_cannot_express_leaves_nothing(
    run_command: Command, runs: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from melanoma_pl.models import ThreeConvNet

    plain = ThreeConvNet.forward
    monkeypatch.setattr(ThreeConvNet, "forward", lambda self, images: torch.special.bessel_j0(plain(self, images)))
    assert "bessel_j0" in refuse(run_command, runs[0], "exported")


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["nowhere", "exported"], ["latest", "exported"]], ids=" ".join)
def test_answers_without_importing_anything_heavy(words: list[str], work_folder: Path) -> None:
    code = (
        "import sys\nfrom melanoma_pl.export.__main__ import command\nfrom melanoma_pl.config.app import run_command\n"
        "try:\n    run_command(command, sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', [name for name in {(*HEAVY, 'onnx', 'onnxruntime')} if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert "heavy: []" in answer.stdout, answer.stderr
