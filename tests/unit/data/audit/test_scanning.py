"""One pass over images of any kind."""

from pathlib import Path

import numpy as np
from PIL import Image, TiffImagePlugin
from tests.unit.data.audit.conftest import scanned

from melanoma_pl.data.audit.scanning import BORDER_CELLS, SIDE, Scanned, inventory, scan_file


def test_features_of_an_image(tmp_path: Path) -> None:
    pixels = np.zeros((80, 160, 3), dtype=np.uint8)
    pixels[:, :, 0] = 200  # a red image with a blue middle
    pixels[20:60, 40:120] = (0, 0, 100)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = scan_file(tmp_path / "a.png")
    assert isinstance(found, Scanned)
    assert (found.facts.image_format, found.facts.mode, found.facts.width, found.facts.height) == (
        "PNG",
        "RGB",
        160,
        80,
    )
    assert found.facts.size == (tmp_path / "a.png").stat().st_size
    assert found.grey.shape == (SIDE, SIDE)
    np.testing.assert_allclose(found.mean_colour, [150, 0, 25], atol=1)
    assert found.border.shape == ((BORDER_CELLS**2 - (BORDER_CELLS - 2) ** 2) * 3,)
    np.testing.assert_allclose(found.border.reshape(-1, 3), np.tile([200, 0, 0], (28, 1)), atol=1)


def test_file_facts_of_a_jpeg(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 40), "red")
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    image.save(tmp_path / "plain.jpg", quality=90)
    image.save(tmp_path / "camera.jpg", quality=50, dpi=(300, 300), exif=exif)
    plain, camera = scan_file(tmp_path / "plain.jpg"), scan_file(tmp_path / "camera.jpg")
    assert isinstance(plain, Scanned)
    assert isinstance(camera, Scanned)
    assert (plain.facts.density, camera.facts.density) == (1, 300)
    assert plain.facts.exif_size == 0 < camera.facts.exif_size
    assert plain.facts.quantisation < camera.facts.quantisation


def test_broken_files_say_why(mole_folder: Path) -> None:
    train = mole_folder / "train/benign"
    (train / "empty.jpg").write_bytes(b"")
    (train / "text.jpg").write_text("no image")
    (train / "cut.jpg").write_bytes((train / "0.jpg").read_bytes()[:1500])
    (train / "gone.jpg").symlink_to("nowhere.jpg")
    (train / "notes.txt").write_text("mine")
    found = scanned(mole_folder)
    reasons = {Path(path).name: reason for path, reason in found.broken.items()}
    assert reasons["empty.jpg"] == "the file is empty"
    assert "format" in reasons["text.jpg"]
    assert "truncated" in reasons["cut.jpg"]
    assert len(found.images) == len(found.listing) == 8
    assert reasons["gone.jpg"] == "No such file or directory"
    assert found.listing.others == ("train/benign/notes.txt",)


def test_inventory(mole_folder: Path) -> None:
    Image.new("L", (30, 20), 90).save(mole_folder / "test/benign/grey.png")
    scan = scanned(mole_folder)
    found = inventory(scan.listing, [image.facts for image in scan.images])
    assert found["images"] == 9
    assert found["per_split"] == {"test": {"benign": 2, "malignant": 1}, "train": {"benign": 3, "malignant": 3}}
    assert found["formats"] == {"JPEG": 8, "PNG": 1}
    assert found["modes"] == {"RGB": 8, "L": 1}
    assert found["sizes"] == {"128×128": 8, "30×20": 1}
    assert found["different_sizes"] == 2
    assert found["bytes"] == sum(path.stat().st_size for path in mole_folder.rglob("*.*"))


def test_a_density_of_zero_by_zero(tmp_path: Path) -> None:
    nothing = TiffImagePlugin.IFDRational(0, 0)
    Image.new("RGB", (20, 20)).save(tmp_path / "a.tif", tiffinfo={282: nothing, 283: nothing, 296: 2})
    found = scan_file(tmp_path / "a.tif")
    assert isinstance(found, Scanned)
    assert found.facts.density == 0
