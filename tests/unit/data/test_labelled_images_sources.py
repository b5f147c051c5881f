"""All labelled images of a folder or a table, as the audit, the split and the data card list them."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import draw_image

from melanoma_pl.data.labelled_images import (
    LabelledImages,
    find_images,
    list_images,
    list_split,
    standard_label,
    standard_labels,
)
from melanoma_pl.data.options import FOLDER_NAMES, DataOptions
from melanoma_pl.errors import UserError


def test_a_folder_with_splits(image_folder: Path) -> None:
    listing = list_images(image_folder)
    assert len(listing) == 52
    assert listing.paths[0] == "test/benign/000.png"
    assert (listing.splits[0], listing.labels[0]) == ("test", "benign")
    assert listing.others == (), "metadata.csv is bookkeeping"
    assert listing.files[0] == image_folder / "test/benign/000.png"
    assert len(listing.without(["test/benign/000.png"])) == 51


def test_class_folders_at_any_depth_and_other_names(tmp_path: Path) -> None:
    draw_image(tmp_path / "Nevus/hospital a/1.png", malignant=False, seed=1)
    draw_image(tmp_path / "melanoma/1.PNG", malignant=True, seed=2)
    draw_image(tmp_path / "carcinoma/1.png", malignant=True, seed=3)
    draw_image(tmp_path / ".hidden/1.png", malignant=True, seed=3)
    (tmp_path / "melanoma/Thumbs.db").write_text("")
    (tmp_path / "loose.png").write_text("")
    listing = list_images(tmp_path)
    assert dict(zip(listing.paths, listing.labels, strict=True)) == {
        "Nevus/hospital a/1.png": "Nevus",
        "carcinoma/1.png": "carcinoma",
        "melanoma/1.PNG": "melanoma",
    }
    assert set(listing.splits) == {""}
    assert listing.others == ("loose.png", "melanoma/Thumbs.db")


def test_a_table(image_folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "images.csv"
    table.write_text("image,label,split\nb.png,melanoma,val\n../a.png,nevus,training\nc.png,nevus,\n")
    listing = list_images(table)
    assert listing.root == tmp_path
    assert listing.paths == ("../a.png", "b.png", "c.png")
    assert listing.labels == ("benign", "malignant", "benign")
    assert listing.splits == ("train", "validation", "")


def test_sources_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist: give <root>/\{train,test\}/<class>"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no labelled images"):
        list_images(tmp_path)
    table = tmp_path / "images.csv"
    table.write_text("image,lable\na.png,benign\n")
    with pytest.raises(UserError, match=r"has no column 'label' \(--label-column\): did you mean 'lable'"):
        list_images(table)
    with pytest.raises(UserError, match=r"--image-column") as refusal:
        list_images(table, image_column="imgae")
    assert "data." not in str(refusal.value)


def test_standard_label() -> None:
    assert [standard_label(name) for name in ("Benign", "NEVUS", "melanoma", "bcc")] == [
        "benign",
        "benign",
        "malignant",
        "bcc",
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("NEVUS", "melanoma", "Malignant"), ("benign", "malignant", "malignant")),
        (("melanoma", "rest"), ("melanoma", "rest")),
        (("Benign", "bcc"), ("Benign", "bcc")),
        ((), ()),
    ],
)
def test_synonyms_are_translated_if_all_labels_are_known(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert standard_labels(names) == expected


def test_melanoma_among_the_rest_keeps_its_name(tmp_path: Path) -> None:
    table = tmp_path / "images.csv"
    table.write_text("image,label\na.png,melanoma\nb.png,rest\n")
    assert list_images(table).labels == ("melanoma", "rest")


def test_fingerprint_depends_on_paths_splits_and_labels() -> None:
    listing = LabelledImages(Path("images"), ("a", "b"), ("benign", "malignant"), ("train", "test"))
    others = [
        replace(listing, paths=("a", "c")),
        replace(listing, labels=("malignant", "benign")),
        replace(listing, splits=("test", "train")),
        listing.without("a"),
    ]
    assert len({listing.fingerprint, *(other.fingerprint for other in others)}) == 5
    backwards = LabelledImages(Path("moved"), ("b", "a"), ("malignant", "benign"), ("test", "train"), ("notes.txt",))
    assert backwards.fingerprint == listing.fingerprint == "4a9babd8b4991602"
    assert len(replace(listing, paths=("a", "\udcff")).fingerprint) == 16


def test_folders_behind_links_are_entered_and_loops_are_not(image_folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    (root / "train").symlink_to(image_folder / "train")
    (root / "test").symlink_to(image_folder / "test")
    (root / "round").symlink_to(root)
    assert list_images(root).paths == list_images(image_folder).paths


def test_folders_that_cannot_be_read_are_refused(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refuse(path: str | Path) -> object:
        if str(path).endswith("test/malignant"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match="test/malignant cannot be read: Permission denied"):
        list_images(image_folder)


def test_spelling_of_foreign_classes(tmp_path: Path) -> None:
    for name in ("train/BCC", "test/bcc", "train/nevus", "test/Nevus"):
        draw_image(tmp_path / name / "1.png", malignant=False, seed=1)
    assert set(list_images(tmp_path).labels) == {"BCC", "Nevus"}


def test_the_split_column_of_a_table(tmp_path: Path) -> None:
    table = tmp_path / "images.csv"
    table.write_text("image,label,part\na.png,benign,Test \nb.png,malignant,train\n")
    assert list_images(table).splits == ("", "")
    assert list_images(table, split_column="part").splits == ("test", "train")
    with pytest.raises(UserError, match="did you mean 'part'"):
        list_images(table, split_column="prt")
    table.write_text("image,label,split\na.png,benign,tset\n")
    with pytest.raises(UserError, match="line 2: 'tset' is not a split: did you mean 'test'"):
        list_images(table)
    assert list_images(table, split_column=None).splits == ("",)


def test_all_listings_agree(own_image_folder: Path) -> None:
    (own_image_folder / "train").rename(own_image_folder / "Training")
    names = ("Nevus/a b/1.JPG", "benign-old/1.png", "benign/.hidden/1.png", "loose.png", "__MACOSX/1.png")
    for name in (*(f"Training/{name}" for name in names), "valid/benign/1.png"):
        draw_image(own_image_folder / name, malignant=False, seed=1)
    (own_image_folder / "Training/benign/Thumbs.db").write_text("")
    everything = list_images(own_image_folder)
    options = DataOptions(folder_names={**FOLDER_NAMES, "benign-old": "benign"})
    for split in ("train", "validation", "test"):
        found = list_split(own_image_folder, split, options, every_class=False)
        assert sorted(found.paths) == [
            path for path, own in zip(everything.paths, everything.splits, strict=True) if own == split
        ]
        assert found.splits == (split,) * len(found)
    assert everything.others == ("Training/__MACOSX/1.png", "Training/benign/Thumbs.db", "Training/loose.png")
    unlabelled = [own_image_folder / path for path in everything.others if path.endswith(".png")]
    images, others = find_images(own_image_folder)
    assert images == sorted([*everything.files, *unlabelled], key=str)
    assert others == ["Training/benign/Thumbs.db"]


def test_two_links_to_one_folder_are_both_listed(image_folder: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).symlink_to(image_folder / "test")
    assert len(list_images(tmp_path)) == 24
    assert [len(list_split(tmp_path, split)) for split in ("train", "test")] == [12, 12]


def test_a_table_with_a_column_without_a_name(tmp_path: Path) -> None:
    table = tmp_path / "images.csv"
    table.write_text(",image,label\n0,a.png,benign\n1,b.png,malignant\n")
    assert list_images(table, split_column=None).splits == ("", "")


def test_targets_of_foreign_labels() -> None:
    images = LabelledImages(Path(), ("a", "b", "c"), ("benign", "bcc", "malignant"), ("",) * 3)
    assert images.targets.tolist() == [0, -1, 1]
    assert images.take([2, 0]).targets.tolist() == [1, 0]
