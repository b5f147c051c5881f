"""The record that an audit leaves for training, and the warning that training gives."""

from pathlib import Path

import pytest
from PIL import Image
from tests.unit.data.audit.conftest import save, scanned

from melanoma_pl.data.audit.audit_record import (
    audit_warning,
    fingerprint,
    leave_record,
    read_quarantine,
    write_quarantine,
)
from melanoma_pl.data.audit.auditing import audit_images
from melanoma_pl.data.audit.scanning import Scan
from melanoma_pl.data.labelled_images import list_images
from melanoma_pl.errors import UserError

Contents = tuple[list[str], list[str]]


def contents(scan: Scan, split: str, without: tuple[str, ...] = ()) -> Contents:
    """Return the images of a split as training has them."""
    rows = zip(scan.listing.paths, scan.listing.splits, scan.images, strict=True)
    chosen = [(path, image.sha256) for path, where, image in rows if where == split and path not in without]
    return [path for path, _ in chosen], [sha256 for _, sha256 in chosen]


def warning(folder: Path, without: tuple[str, ...] = ()) -> str:
    """Return what training says of a folder."""
    images = scanned(folder)
    audits = folder.parent / "audits"
    text = audit_warning(folder, contents(images, "train", without), contents(images, "test"), audits)
    assert "\n" not in text
    return text


def leave(folder: Path, group_column: str | None = None, lesions: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Audit, leave the verdict, and return the quarantine; images of the same `lesions` are one."""
    listing = list_images(folder)
    rows = {path: {"lesion": "one" if path in lesions else path} for path in listing.paths}
    found, scan = audit_images(listing, rows if group_column else None, group_column)
    leave_record(found, scan, Path("report"), folder.parent / "audits")
    return tuple(found.quarantine)


def test_a_missing_audit(mole_folder: Path) -> None:
    assert "no audit of these images" in warning(mole_folder)
    assert f"melanoma-data audit {mole_folder}" in warning(mole_folder)


def test_a_clean_audit_and_images_that_changed_since(mole_folder: Path) -> None:
    leave(mole_folder)
    assert warning(mole_folder) == ""
    (mole_folder / "train/benign/0.jpg").unlink()
    assert warning(mole_folder) == "", "fewer images were audited too"
    (mole_folder / "train/benign/2.jpg").write_bytes((mole_folder / "train/benign/4.jpg").read_bytes())
    assert "no audit" in warning(mole_folder)


def test_a_new_test_image_needs_a_new_audit(mole_folder: Path, moles: list[Image.Image]) -> None:
    leave(mole_folder)
    save(moles[0], mole_folder / "test/benign/copy.jpg", quality=60)
    assert "no audit" in warning(mole_folder)
    train = contents(scanned(mole_folder), "train")
    assert audit_warning(mole_folder, train, None, mole_folder.parent / "audits") == "", "a sweep does not open test"


def test_a_leak_until_it_is_left_out(mole_folder: Path, moles: list[Image.Image]) -> None:
    save(moles[0], mole_folder / "test/benign/copy.jpg", quality=60)
    quarantine = leave(mole_folder)
    assert quarantine == ("train/benign/0.jpg",)
    assert "found 1 training images that show the same as test images (report/audit.html)" in warning(mole_folder)
    assert "data.exclude=quarantine.csv" in warning(mole_folder)
    assert warning(mole_folder, quarantine) == ""
    assert "found 1 training images" in warning(mole_folder, ("train/benign/2.jpg",))


def test_the_audit_that_finds_most_leaks_counts(mole_folder: Path, moles: list[Image.Image]) -> None:
    save(moles[0], mole_folder / "test/benign/copy.jpg", quality=60)
    by_lesion = leave(mole_folder, "lesion", ("train/benign/2.jpg", "test/benign/6.jpg"))
    by_pixels = leave(mole_folder)
    assert set(by_lesion) == {"train/benign/0.jpg", "train/benign/2.jpg"}
    assert "found 2 training images" in warning(mole_folder)
    assert "found 1 training images" in warning(mole_folder, by_pixels)
    assert warning(mole_folder, by_lesion) == ""


def test_a_validation_folder_counts_as_training(mole_folder: Path) -> None:
    leave(mole_folder)
    images = scanned(mole_folder)
    paths, sha256 = contents(images, "train")
    assert audit_warning(mole_folder, (paths[:4], sha256[:4]), None, mole_folder.parent / "audits") == ""


@pytest.mark.parametrize("text", ['{"test": {', "[1, 2]", '{"test": {}}', ""])
def test_half_a_record_does_not_count(text: str, mole_folder: Path) -> None:
    records = mole_folder.parent / "audits/records"
    records.mkdir(parents=True)
    (records / "half.json").write_text(text)
    assert "no audit" in warning(mole_folder)


def test_fingerprint() -> None:
    assert fingerprint(["a", "b"], ["1", "2"]) == fingerprint(["b", "a"], ["2", "1"])
    assert fingerprint(["a", "b"], ["1", "2"]) != fingerprint(["a", "b"], ["2", "1"])


def test_names_that_are_not_utf8() -> None:
    assert len(fingerprint(["\udcff.jpg"], ["1"])) == 16


def test_the_list_of_images_to_leave_out(tmp_path: Path) -> None:
    table = tmp_path / "quarantine.csv"
    listed = {"train/a,b.jpg": {"reason": "belongs together with test/c.jpg", "sha256": "f00"}}
    write_quarantine(table, listed)
    assert table.read_text().splitlines()[0] == "image,reason,sha256"
    found = read_quarantine(table, ["train/a,b.jpg", "d.jpg"])
    assert found == {"train/a,b.jpg": {"image": "train/a,b.jpg", **listed["train/a,b.jpg"]}}
    write_quarantine(tmp_path / "again.csv", found)
    assert (tmp_path / "again.csv").read_text() == table.read_text()
    with pytest.raises(UserError, match="names 1 images that do not exist"):
        read_quarantine(table, ["d.jpg"])
    with pytest.raises(UserError, match="does not exist"):
        read_quarantine(tmp_path / "nowhere.csv", [])
    table.write_text("image\nd.jpg\n")
    write_quarantine(table, read_quarantine(table, ["d.jpg"]))
    assert table.read_text().splitlines() == ["image,reason,sha256", "d.jpg,,"]
