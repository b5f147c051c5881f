"""From images to findings: leaks, conflicts, quarantine, and lesions in the metadata."""

from pathlib import Path

import pytest
from PIL import Image
from tests.unit.data.audit.conftest import draw, save

from melanoma_pl.data.audit.auditing import audit_images
from melanoma_pl.data.audit.findings import Audit
from melanoma_pl.data.audit.label_shortcuts import find_label_conflicts
from melanoma_pl.data.labelled_images import LabelledImages, list_images
from melanoma_pl.data.public_sets.diagnoses import malignancies
from melanoma_pl.errors import UserError

Rows = dict[str, dict[str, str]]


def audit(folder: Path, rows: Rows | None = None, group_column: str | None = None) -> Audit:
    return audit_images(list_images(folder), rows, group_column)[0]


def test_clean(mole_folder: Path) -> None:
    found = audit(mole_folder)
    assert found.is_clean
    assert (found.pairs, found.quarantine, found.leaking_test_images, found.clusters) == ((), {}, (), ())
    assert found.inventory["images"] == 8
    assert [shortcut.name for shortcut in found.shortcuts] == [
        "file facts",
        "image size",
        "mean colour",
        "outer border",
    ]


def test_a_leak(mole_folder: Path, moles: list[Image.Image]) -> None:
    save(moles[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT), mole_folder / "test/benign/copy.jpg")
    found = audit(mole_folder)
    assert not found.is_clean
    (pair,) = found.leaks
    assert (pair.first, pair.second, pair.turn) == ("train/benign/0.jpg", "test/benign/copy.jpg", "mirrored")
    assert pair.same_lesion is None
    assert not pair.is_conflict
    assert found.leaking_test_images == ("test/benign/copy.jpg",)
    assert found.quarantine == {"train/benign/0.jpg": "belongs together with test/benign/copy.jpg"}


def test_a_duplicate_within_train_is_not_a_leak(mole_folder: Path, moles: list[Image.Image]) -> None:
    save(moles[0], mole_folder / "train/benign/copy.jpg", quality=60)
    found = audit(mole_folder)
    assert found.is_clean
    assert len(found.pairs) == 1
    assert found.clusters == (("train/benign/0.jpg", "train/benign/copy.jpg"),)
    assert found.quarantine == {}


def test_one_image_with_two_labels(mole_folder: Path, moles: list[Image.Image]) -> None:
    save(moles[0], mole_folder / "train/malignant/copy.jpg", quality=60)
    found = audit(mole_folder)
    assert not found.is_clean
    assert not found.leaks
    (pair,) = found.conflicts
    assert sorted(pair.labels) == ["benign", "malignant"]
    assert set(found.quarantine) == {"train/benign/0.jpg", "train/malignant/copy.jpg"}


def test_copies_of_conflicting_images_go_too(mole_folder: Path, moles: list[Image.Image]) -> None:
    original = mole_folder / "train/benign/0.jpg"
    save(moles[0], mole_folder / "train/malignant/b1.jpg", quality=60)
    for copy, of in (("benign/a2.jpg", original), ("malignant/b2.jpg", mole_folder / "train/malignant/b1.jpg")):
        (mole_folder / "train" / copy).write_bytes(of.read_bytes())
    found = audit(mole_folder)
    assert len(found.quarantine) == 4
    assert audit_images(list_images(mole_folder), left_out=tuple(found.quarantine))[0].is_clean


def test_two_moles_of_one_patient_are_not_a_conflict(mole_folder: Path) -> None:
    rows = {
        path: {"patient": path.split("/")[-1] if "test" not in path else "P"} for path in list_images(mole_folder).paths
    }
    rows["train/malignant/5.jpg"]["patient"] = "P"
    found = audit(mole_folder, rows, "patient")
    assert found.leaks
    assert not found.conflicts
    assert found.quarantine == {"train/malignant/5.jpg": "belongs together with test/benign/6.jpg"}


def test_lesions_with_images_of_both_classes(tmp_path: Path) -> None:
    """Each malignant image is of a lesion that begins with a benign one: no class has lesions of its own to cut."""
    for index in range(12):
        save(draw(index, size=64), tmp_path / f"{('benign', 'malignant')[index % 2]}/{index:02d}.jpg")
    rows = {path: {"lesion": str(int(Path(path).stem) // 2)} for path in list_images(tmp_path).paths}
    assert audit(tmp_path, rows, "lesion").shortcuts[2].auroc is None


def test_all_images_left_out(mole_folder: Path) -> None:
    with pytest.raises(UserError, match="all 8 images are left out"):
        audit_images(list_images(mole_folder), left_out=list_images(mole_folder).paths)


def test_images_of_the_test_split_are_never_put_into_quarantine(mole_folder: Path, moles: list[Image.Image]) -> None:
    save(moles[6], mole_folder / "test/malignant/copy.jpg", quality=60)
    found = audit(mole_folder)
    assert found.conflicts
    assert found.quarantine == {}


def test_training_copies_of_a_leaking_image_go_too(mole_folder: Path, moles: list[Image.Image]) -> None:
    """One of them by pixels, one by metadata, one that is a copy of that one."""
    save(moles[0], mole_folder / "test/benign/copy.jpg", quality=60)
    save(moles[2], mole_folder / "train/benign/two.jpg", quality=60)
    rows = {path: {"lesion": "L" if Path(path).stem in ("0", "2") else ""} for path in list_images(mole_folder).paths}
    found = audit(mole_folder, rows, "lesion")
    assert sorted(found.quarantine) == ["train/benign/0.jpg", "train/benign/2.jpg", "train/benign/two.jpg"]
    assert found.shared_groups == {}, "the metadata does not know of the copy in test"


def test_lesions_that_only_the_metadata_knows(mole_folder: Path) -> None:
    rows = {
        path: {"lesion": "L1" if path.endswith(("4.jpg", "6.jpg")) else path} for path in list_images(mole_folder).paths
    }
    found = audit(mole_folder, rows, "lesion")
    assert found.shared_groups == {"L1": ("test/benign/6.jpg", "train/benign/4.jpg")}
    (pair,) = found.leaks
    assert (pair.kind, pair.similarity, pair.first, pair.same_lesion) == ("lesion", None, "train/benign/4.jpg", True)
    assert set(found.quarantine) == {"train/benign/4.jpg"}


def test_lesions_of_a_pair_in_the_metadata(mole_folder: Path, moles: list[Image.Image]) -> None:
    save(moles[0], mole_folder / "test/benign/copy.jpg", quality=60)
    paths = list_images(mole_folder).paths
    assert audit(mole_folder, {path: {"lesion": path} for path in paths}, "lesion").leaks[0].same_lesion is False
    assert audit(mole_folder, {path: {"lesion": "one"} for path in paths}, "lesion").leaks[0].same_lesion is True
    assert audit(mole_folder, {path: {"lesion": ""} for path in paths}, "lesion").leaks[0].same_lesion is None


def test_rows_that_are_missing(mole_folder: Path) -> None:
    with pytest.raises(UserError, match="no row for 8 of 8 images"):
        audit(mole_folder, {"other.jpg": {"lesion": "1"}}, "lesion")
    assert "Rows of the metadata without an image here: 1." in audit(mole_folder, {"other.jpg": {}}).notes


def test_class_folders_without_splits(tmp_path: Path) -> None:
    for index in range(2):
        save(draw(index), tmp_path / f"{('nevus', 'melanoma')[index]}/{index}.jpg")
    found = audit(tmp_path)
    assert found.inventory["per_split"] == {"all": {"malignant": 1, "benign": 1}}
    assert any("no train and test split" in note for note in found.notes)


def test_no_readable_image(tmp_path: Path) -> None:
    (tmp_path / "train/benign").mkdir(parents=True)
    (tmp_path / "train/benign/a.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="none of 1 images can be read"):
        audit(tmp_path)


@pytest.mark.parametrize(
    ("diagnosis", "label", "means"),
    [
        ("seborrheic keratosis", "malignant", "benign"),
        ("Melanoma", "benign", "malignant"),
        ("nv", "malignant", "benign"),
        ("nv", "benign", None),
        ("melanoma|seborrheic keratosis", "malignant", None),
        ("something else", "malignant", None),
        ("", "malignant", None),
        ("nv", "lesion", None),
        ("melanoma", "nevus", "malignant"),
    ],
)
def test_a_diagnosis_that_contradicts_the_label(diagnosis: str, label: str, means: str | None) -> None:
    listing = LabelledImages(Path(), ("a.jpg",), (label,), ("train",))
    found = find_label_conflicts(listing, {"a.jpg": {"diagnosis": diagnosis}})
    assert [conflict.means for conflict in found] == ([means] if means else [])
    assert find_label_conflicts(listing, None) == find_label_conflicts(listing, {"a.jpg": {}}) == ()


def test_diagnoses_that_sets_disagree_on_are_uncertain() -> None:
    assert set(malignancies().values()) == {"benign", "malignant", "uncertain"}
    assert malignancies()["akiec"] == "uncertain"


def test_metadata_that_are_unknown_of_one_class_only(own_image_folder: Path) -> None:
    """Fifteen images without age, all of them malignant: an age of 200 is none."""
    images = list_images(own_image_folder)
    malignant = [path for path in images.paths if "malignant" in path]
    rows = {
        path: {"image": path, "age": "" if path in malignant[:14] else "200" if path == malignant[20] else "50"}
        for path in images.paths
    }
    found, _ = audit_images(images, rows)
    missing = found.shortcuts[-1]
    assert (missing.name, missing.tells) == ("missing metadata", True)
    assert missing.gaps == ("age is unknown for 15 of 26 malignant and 0 of 26 other images.",)
    assert missing.sentence.endswith(missing.gaps[0])
    assert any(note.startswith("The age of 1 image is not a number of years from 0 to 120") for note in found.notes)
    complete = {
        path: {"image": path, "age": "50", "diagnosis": "" if path in malignant else "nevus"} for path in images.paths
    }
    assert "missing metadata" not in [each.name for each in audit_images(images, complete)[0].shortcuts]
