"""Photos of any labelled set, before it is in our layout."""

from pathlib import Path

import pytest
from tests.conftest import draw_photo

from melanoma_pl.data.listing import list_source, meaning
from melanoma_pl.errors import UserError


def test_the_layout(photo_folder: Path) -> None:
    listing = list_source(photo_folder)
    assert len(listing) == 52
    assert listing.paths[0] == "test/benign/000.png"
    assert (listing.splits[0], listing.labels[0]) == ("test", "benign")
    assert listing.others == (), "metadata.csv is bookkeeping"
    assert listing.files[0] == photo_folder / "test/benign/000.png"
    assert len(listing.without(["test/benign/000.png"])) == 51


def test_class_folders_at_any_depth_and_other_names(tmp_path: Path) -> None:
    draw_photo(tmp_path / "Nevus/hospital a/1.png", malignant=False, seed=1)
    draw_photo(tmp_path / "melanoma/1.PNG", malignant=True, seed=2)
    draw_photo(tmp_path / "carcinoma/1.png", malignant=True, seed=3)
    draw_photo(tmp_path / ".hidden/1.png", malignant=True, seed=3)
    (tmp_path / "melanoma/Thumbs.db").write_text("")
    (tmp_path / "loose.png").write_text("")
    listing = list_source(tmp_path)
    assert dict(zip(listing.paths, listing.labels, strict=True)) == {
        "Nevus/hospital a/1.png": "benign",
        "carcinoma/1.png": "carcinoma",
        "melanoma/1.PNG": "malignant",
    }
    assert set(listing.splits) == {""}
    assert listing.others == ("loose.png", "melanoma/Thumbs.db")


def test_a_table(photo_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text("image,label,split\nb.png,melanoma,val\n../a.png,nevus,training\nc.png,nevus,\n")
    listing = list_source(table)
    assert listing.root == tmp_path
    assert listing.paths == ("../a.png", "b.png", "c.png")
    assert listing.labels == ("benign", "malignant", "benign")
    assert listing.splits == ("train", "validation", "")


def test_what_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist: give <root>/\{train,test\}/<class>"):
        list_source(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no labelled photos"):
        list_source(tmp_path)
    table = tmp_path / "photos.csv"
    table.write_text("image,lable\na.png,benign\n")
    with pytest.raises(UserError, match=r"has no column 'label' \(label\): did you mean 'lable'"):
        list_source(table)


def test_meanings() -> None:
    assert [meaning(name) for name in ("Benign", "NEVUS", "melanoma", "bcc")] == [
        "benign",
        "benign",
        "malignant",
        "bcc",
    ]
