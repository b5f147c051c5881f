"""Images decoded in a copy of the process while it imports PyTorch."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melanoma_pl.data.cache.early_images import EarlyImages, begin_early, early_images
from melanoma_pl.data.decoding import decode_file
from melanoma_pl.data.labelled_images import list_split
from melanoma_pl.data.options import DataOptions
from melanoma_pl.preprocessing import Preprocessing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies of a process are for Linux")


def finished(folder: Path, *folders: str, side: int = 16) -> EarlyImages:
    """Return what a copy decoded that had all the time it needed."""
    early = EarlyImages(folder, DataOptions(), side, folders)
    early._copy.join()
    early.stop()
    return early


def test_every_image_is_as_if_decoded_later(image_folder: Path) -> None:
    early = finished(image_folder, "train", "test")
    files = [*list_split(image_folder, "train").files, *list_split(image_folder, "test").files]
    assert len(files) == 52
    for file in files:
        found, expected = early.find(file), decode_file(file, Preprocessing(16))
        assert found is not None and expected.pixels is not None
        np.testing.assert_array_equal(found[0], expected.pixels.permute(1, 2, 0).numpy())
        assert found[1] == expected.sha256


def test_a_large_photo_is_as_if_decoded_later(own_image_folder: Path) -> None:
    """Only a smaller copy of it is decoded, in both."""
    photo = own_image_folder / "train/benign/large.jpg"
    Image.effect_noise((900, 700), 80).convert("RGB").save(photo)
    found, expected = finished(own_image_folder, "train").find(photo), decode_file(photo, Preprocessing(16))
    assert found is not None and expected.pixels is not None
    np.testing.assert_array_equal(found[0], expected.pixels.permute(1, 2, 0).numpy())


def test_changed_broken_and_unlisted_files_are_not_found(own_image_folder: Path) -> None:
    broken, changed, removed, whole = list_split(own_image_folder, "train").files[:4]
    broken.write_bytes(b"no image")
    early = finished(own_image_folder, "train")
    shutil.copyfile(whole, changed)
    os.utime(changed, ns=(1, 1))
    removed.unlink()
    assert [early.find(file) is not None for file in (broken, changed, removed, whole)] == [False, False, False, True]
    assert early.find(list_split(own_image_folder, "test").files[0]) is None


def test_what_does_not_fit_and_a_missing_folder_are_left_out(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("melanoma_pl.data.cache.early_images.MOST_BYTES", 5 * 3 * 16**2)
    early = finished(image_folder, "train")
    assert [early.find(file) is not None for file in list_split(image_folder, "train").files] == [True] * 5 + [
        False
    ] * 35
    assert not finished(tmp_path, "train")._places
    monkeypatch.setattr("melanoma_pl.data.cache.early_images.MOST_BYTES", 0)
    assert len(finished(image_folder, "train")._places) == 1


def test_stopped_at_once_it_knows_only_whole_images(image_folder: Path) -> None:
    early = EarlyImages(image_folder, DataOptions(), 512, ("train",))
    early.stop()
    for file in list_split(image_folder, "train").files:
        if (found := early.find(file)) is not None:
            expected = decode_file(file, Preprocessing(512)).pixels
            assert expected is not None and np.array_equal(found[0], expected.permute(1, 2, 0).numpy())


def test_with_pytorch_there_is_nothing_to_wait_for(image_folder: Path) -> None:
    assert "torch" in sys.modules
    begin_early(image_folder, DataOptions(), 16, ("train",))
    assert early_images(16) is None


TRAINING = """
import sys, time
from pathlib import Path
from melanoma_pl.data.cache import early_images
from melanoma_pl.data.options import DataOptions
folder = Path(sys.argv[1])
early_images.begin_early(folder, DataOptions(), 16, ("train", "test"))
early_images._begun[0]._copy.join()
from melanoma_pl.data import decoding
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.preprocessing import Preprocessing
decode = decoding.decode_file
bicubic, shades = Preprocessing(16, interpolation="bicubic"), Preprocessing(16, colour_constancy="shades_of_gray")
for preprocessing, count in ((Preprocessing(16), 0), (bicubic, 52), (shades, 52), (Preprocessing(24), 52)):
    decoded = []
    decoding.decode_file = lambda path, *options: decoded.append(path) or decode(path, *options)
    data = MoleDataModule(folder, preprocessing=preprocessing)
    data.load("train"), data.load("test")
    assert len(decoded) == count, (preprocessing, len(decoded))
print(data.load("train").fingerprint())
early_images.end_early()
assert early_images.early_images(16) is None
"""


def test_a_data_module_takes_them_if_they_are_of_its_preprocessing(image_folder: Path) -> None:
    words = [sys.executable, "-c", TRAINING, str(image_folder)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert answer.returncode == 0, answer.stderr


COMMAND = """
import os, sys
from melanoma_pl.data.cache import early_images
early_images.begin_early = lambda source, options, image_size, folders: (
    print(source, image_size, *folders, flush=True), os._exit(7)
)
from melanoma_pl.train import main
sys.argv[0] = "melanoma-train"
main()
"""


@pytest.mark.parametrize(("option", "folders"), [("test=true", "train test"), ("test=false", "train")])
def test_a_training_begins_before_it_imports_pytorch(
    option: str, folders: str, image_folder: Path, tmp_path: Path
) -> None:
    words = ["data=folder", f"data.root={image_folder}", "data.image_size=24", option]
    answer = subprocess.run(
        [sys.executable, "-c", COMMAND, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert (answer.returncode, answer.stdout.splitlines()[-1]) == (7, f"{image_folder} 24 {folders}"), answer.stderr


ENDLESS = """
import os, signal, sys
from pathlib import Path
from melanoma_pl.data.cache import early_images
from melanoma_pl.data.options import DataOptions
def files(*_):
    while True:
        yield Path(sys.argv[1])
early_images._list = files
early_images.MOST_BYTES = 2**25
early = early_images.EarlyImages(Path(), DataOptions(), 1, ())
print(early._copy.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_copy_ends_if_its_process_is_killed(image_folder: Path) -> None:
    """It holds the lock of the run, so a resumed training would be refused."""
    words = [sys.executable, "-c", ENDLESS, str(list_split(image_folder, "train").files[0])]
    process = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    copy = int(process.stdout)
    for _ in range(500):
        status = Path(f"/proc/{copy}/stat")
        if not status.exists() or status.read_text().rpartition(") ")[2][0] == "Z":
            return
        time.sleep(0.02)
    os.kill(copy, 9)
    pytest.fail("the copy goes on")
