"""What an audit leaves for training, and what training says of it."""

from pathlib import Path

import pytest
from PIL import Image
from tests.unit.data.audit.conftest import save, scanned

from melanoma_pl.data.audit.auditing import audit_photos
from melanoma_pl.data.audit.quarantine import read_excluded, write_quarantine
from melanoma_pl.data.audit.record import audit_warning, fingerprint, leave_record
from melanoma_pl.data.audit.scanning import Scan
from melanoma_pl.data.listing import list_source
from melanoma_pl.errors import UserError

Loaded = dict[str, tuple[list[str], list[str]]]


def loaded(scan: Scan, without: tuple[str, ...] = ()) -> Loaded:
    """Return photos as training has them."""
    found: Loaded = {}
    for path, split, photo in zip(scan.listing.paths, scan.listing.splits, scan.photos, strict=True):
        if path not in without:
            paths, sha256 = found.setdefault(split, ([], []))
            paths.append(path)
            sha256.append(photo.sha256)
    return found


def leave(folder: Path, audits: Path) -> tuple[str, ...]:
    """Audit, leave the verdict, and return the quarantine."""
    found, scan = audit_photos(list_source(folder))
    sha256 = [photo.sha256 for photo in scan.photos]
    leave_record(found, scan.listing.splits, scan.listing.paths, sha256, Path("report"), audits)
    return tuple(found.quarantine)


def test_no_audit(mole_folder: Path, tmp_path: Path) -> None:
    text = audit_warning(mole_folder, loaded(scanned(mole_folder)), tmp_path / "audits")
    assert "no audit of these photos" in text
    assert f"melanoma-data audit {mole_folder}" in text
    assert "\n" not in text


def test_a_clean_audit_and_photos_that_changed_since(mole_folder: Path, tmp_path: Path) -> None:
    leave(mole_folder, tmp_path / "audits")
    photos = loaded(scanned(mole_folder))
    assert audit_warning(mole_folder, photos, tmp_path / "audits") == ""
    assert audit_warning(mole_folder, {"train": photos["train"]}, tmp_path / "audits") == ""
    (mole_folder / "train/benign/0.jpg").unlink()
    assert "no audit" in audit_warning(mole_folder, loaded(scanned(mole_folder)), tmp_path / "audits")


def test_a_leak_until_it_is_left_out(mole_folder: Path, tmp_path: Path, moles: list[Image.Image]) -> None:
    save(moles[0], mole_folder / "test/benign/copy.jpg", quality=60)
    quarantine = leave(mole_folder, tmp_path / "audits")
    photos = scanned(mole_folder)
    warning = audit_warning(mole_folder, loaded(photos), tmp_path / "audits")
    assert "found 1 test photos that are also in train (report/audit.html)" in warning
    assert "data.exclude=quarantine.csv" in warning
    assert quarantine == ("train/benign/0.jpg",)
    assert audit_warning(mole_folder, loaded(photos, quarantine), tmp_path / "audits") == ""
    assert "no audit" in audit_warning(mole_folder, loaded(photos, ("train/benign/2.jpg",)), tmp_path / "audits")


def test_half_an_audit_is_none(mole_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "audits").mkdir()
    (tmp_path / "audits/half.json").write_text('{"splits": {')
    assert "no audit" in audit_warning(mole_folder, loaded(scanned(mole_folder)), tmp_path / "audits")


def test_fingerprint() -> None:
    assert fingerprint(["a", "b"], ["1", "2"]) == fingerprint(["b", "a"], ["2", "1"])
    assert fingerprint(["a", "b"], ["1", "2"]) != fingerprint(["a", "b"], ["2", "1"])


def test_the_list_of_photos_to_leave_out(tmp_path: Path) -> None:
    table = tmp_path / "quarantine.csv"
    write_quarantine(table, {"train/a,b.jpg": "shows the same as test/c.jpg"}, {"train/a,b.jpg": "f00"})
    assert table.read_text().splitlines()[0] == "image,reason,sha256"
    assert read_excluded(table, ["train/a,b.jpg", "d.jpg"]) == ["train/a,b.jpg"]
    with pytest.raises(UserError, match="names 1 photos that are not there"):
        read_excluded(table, ["d.jpg"])
    with pytest.raises(UserError, match="does not exist"):
        read_excluded(tmp_path / "nowhere.csv", [])
