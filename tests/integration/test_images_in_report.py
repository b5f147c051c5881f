"""Runs, evaluations and audits that leave the images of the dataset out of everything they write."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from melanoma_pl import evaluate, train
from melanoma_pl.data import __main__ as data
from melanoma_pl.data.decoding import decode_file
from melanoma_pl.preprocessing import Preprocessing
from tests.conftest import SIZE, TINY, Command, only_run

CALLBACKS = "melanoma_pl.training.callbacks.tensorboard"
SHOWING = [  # as in conf/, where TINY leaves them out
    "logger=default",
    f"callbacks.training_images={{_target_:{CALLBACKS}.TrainingImages,count:4}}",
    f"callbacks.worst_mistakes={{_target_:{CALLBACKS}.WorstMistakes,count:4,every_n_epochs:1}}",
    f"callbacks.curves={{_target_:{CALLBACKS}.ValidationCurves,every_n_epochs:1}}",
    "report=page",
    "threshold=fixed",  # at 0.5, so little training leaves mistakes
]
STARTS = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n")  # of a JPEG and of a PNG file
EMBEDDED = re.compile(rb"data:image/(?!svg\+xml)\w")  # figures are SVG


def images_in(folder: Path) -> Iterator[str]:
    """Yield each file that holds an image which is not a figure, and each image in TensorBoard's files."""
    for file in folder.rglob("*"):
        if file.is_file() and file.parent.name != "figures":
            content = file.read_bytes()
            is_events = file.name.startswith("events.out")
            if EMBEDDED.search(content) or (not is_events and any(map(is_image, ends(content)))):
                yield file.relative_to(folder).as_posix()
    yield from EventAccumulator(str(folder)).Reload().Tags()["images"]


def ends(content: bytes) -> Iterator[bytes]:
    return (content[found.start() :] for found in STARTS.finditer(content))


def is_image(content: bytes) -> bool:
    try:  # three bytes of a weight may look like the beginning of a JPEG file
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except OSError:
        return False
    return True


def pixels_in(folder: Path, images: Path) -> list[str]:
    """Return each file that holds the middle row of an image as the network sees it, as bytes or as floats."""
    rows = []
    for file in images.rglob("*.png"):
        pixels = decode_file(file, Preprocessing(SIZE)).pixels
        assert pixels is not None
        middle = pixels[:, SIZE // 2].numpy()  # uint8 (3, S)
        for values in (middle, (middle / 255).astype(np.float32), middle.astype(np.float32)):
            rows += [values[0].tobytes(), values.T.tobytes()]  # channels first and last
    contents = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return [str(file) for file, content in contents.items() if any(row in content for row in rows)]


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_run_without_images_holds_none(
    is_shown: bool, run_command: Command, work_folder: Path, image_folder: Path
) -> None:
    options = [*TINY, "data=folder", f"data.root={image_folder}", *SHOWING]
    result = run_command(train.command, *options, f"images_in_report={str(is_shown).lower()}")
    assert result.code == 0, result.error
    run = only_run(work_folder)
    pages = {f"report/{name}report.html" for name in ("", "test/", "validation/")}
    figures = {"visuals/roc"}  # a curve
    shown = {*pages, "visuals/training_images", "visuals/worst_mistakes"} if is_shown else set()
    assert set(images_in(run)) == figures | shown
    assert pixels_in(run, image_folder) == []
    page = (run / "report/report.html").read_text()
    assert ("leaves out the images of the dataset" in page) is not is_shown
    assert ("similarity to control" in page) or ("no similarity" in page)

    result = run_command(evaluate.command, f"run={run}")
    assert result.code == 0, result.error
    assert ("data:image/jpeg" in (run / "report/report.html").read_text()) is is_shown, "as the run was trained"
    result = run_command(evaluate.command, f"run={run}", f"images_in_report={str(not is_shown).lower()}")
    assert result.code == 0, result.error
    assert ("data:image/jpeg" in (run / "report/report.html").read_text()) is not is_shown


def test_published_points_are_on_the_page_only_on_request(
    run_command: Command, work_folder: Path, image_folder: Path
) -> None:
    assert run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}").code == 0
    run = only_run(work_folder)
    for is_requested in (False, True):
        assert run_command(evaluate.command, f"run={run}", f"published={str(is_requested).lower()}").code == 0
        page = (run / "report/report.html").read_text()
        assert ("Because the images differ" in page) is is_requested


def test_an_audit_without_images(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    images, report = work_folder / "leaky", work_folder / "audit"
    shutil.copytree(image_folder, images)
    first = next((images / "train/benign").iterdir())
    shutil.copy(first, images / "test/benign" / f"copy_of_{first.name}")
    for options, is_shown in (((), True), (("--no-images",), False)):
        result = run_command(data.command, "audit", str(images), "--report", str(report), *options)
        assert result.code == 1, result.error
        page = (report / "audit.html").read_text()
        assert ("data:image/jpeg" in page) is is_shown
        assert ("This page leaves out the images" in page) is not is_shown
        assert "cannot be read</p>" not in page
        assert ("--no-images" in result.output) is not is_shown, "the proposed command leaves them out, too"
