"""New splits: stratified, no group in two parts, reproducible, with their tables, complete or absent."""

import csv
import hashlib
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import draw_image

from melanoma_pl.data.audit.duplicates import Match
from melanoma_pl.data.audit.scanning import Scan
from melanoma_pl.data.labelled_images import LabelledImages, list_split
from melanoma_pl.data.metadata import read_groups
from melanoma_pl.data.options import DataOptions
from melanoma_pl.data.partition.partitioning import groups_by_column, join_groups, partition
from melanoma_pl.errors import UserError


@pytest.fixture(autouse=True)
def similarity(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drawn spots are too similar to be told apart: two of `train/benign` stand for near-duplicates."""
    near = ("train/benign/000.png", "train/benign/036.png")

    def find(scanned: Scan) -> tuple[list[Match], int]:
        paths = scanned.listing.paths
        return ([Match(*map(paths.index, near), "near", 0.9, "")] if set(near) <= set(paths) else []), 0

    monkeypatch.setattr("melanoma_pl.data.partition.partitioning.find_matches", find)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def split_of(source: Path, target: Path, **options: Any) -> list[dict[str, str]]:
    partition(source, target, **options)
    return rows_of(target / "split.csv")


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_every_image_once_where_the_table_says(image_folder: Path, tmp_path: Path) -> None:
    rows = split_of(image_folder, tmp_path / "new", group_column="group")
    assert list(rows[0]) == ["image", "source", "label", "split", "fold", "group", "sha256"]
    images = [path.relative_to(image_folder).as_posix() for path in image_folder.rglob("*.png")]
    assert sorted(row["source"] for row in rows) == sorted(images)
    placed = sorted(path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*.png"))
    assert [row["image"] for row in rows] == placed
    for row in rows:
        assert row["image"].startswith(f"{row['split']}/{row['label']}/")
        assert row["label"] in row["source"]
        content = (image_folder / row["source"]).read_bytes()
        assert (tmp_path / "new" / row["image"]).read_bytes() == content
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["fold"] == ""


def test_old_splits_do_not_count_and_groups_stay_together(image_folder: Path, tmp_path: Path) -> None:
    rows = split_of(image_folder, tmp_path / "new", group_column="group", folds=3, test_fraction=0.25)
    assert {(row["split"], row["source"].split("/")[0]) for row in rows} == {
        (new, old) for new in ("train", "test") for old in ("train", "test")
    }
    sides = {(row["group"], row["split"], row["fold"]) for row in rows}
    assert len(sides) == len({row["group"] for row in rows}) == 25
    known = {row["image"]: row["group"] for row in rows_of(image_folder / "metadata.csv")}
    joined = {known["train/benign/036.png"]: known["train/benign/000.png"]}  # two lesions, had the pixels not told
    assert all(row["group"] == joined.get(known[row["source"]], known[row["source"]]) for row in rows)


def test_stratified(image_folder: Path, tmp_path: Path) -> None:
    rows = split_of(image_folder, tmp_path / "new", test_fraction=0.2, folds=4)
    counts = Counter((row["split"], row["label"]) for row in rows)
    assert counts["test", "benign"] == pytest.approx(52 * 0.2 / 2, abs=2)
    assert counts["test", "malignant"] == pytest.approx(52 * 0.2 / 2, abs=2)
    folds = Counter((row["fold"], row["label"]) for row in rows if row["split"] == "train")
    assert {fold for fold, _ in folds} == {"0", "1", "2", "3"}
    assert all(count == pytest.approx(41 / 8, abs=2) for count in folds.values())


def test_near_duplicates_stay_together_without_metadata(image_folder: Path, tmp_path: Path) -> None:
    rows = split_of(image_folder, tmp_path / "new")
    named = {row["source"]: row["group"] for row in rows}
    assert named["train/benign/000.png"] == named["train/benign/036.png"] == "image:train/benign/000.png"
    assert named["train/benign/004.png"] == "image:train/benign/004.png"
    assert len(set(named.values())) == 51


def test_the_split_does_not_depend_on_the_order_of_files(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = split_of(image_folder, tmp_path / "first", folds=3)
    rglob = Path.rglob

    def backwards(self: Path, pattern: str) -> Iterator[Path]:
        return iter(sorted(rglob(self, pattern), reverse=True))

    monkeypatch.setattr(Path, "rglob", backwards)
    assert split_of(image_folder, tmp_path / "again", folds=3) == first
    assert split_of(image_folder, tmp_path / "other", folds=3, seed=1) != first


def test_pinned(tmp_path: Path) -> None:
    """A split must be the same on any machine and in any later version."""
    for index in range(10):
        draw_image(tmp_path / f"images/{'benign' if index % 2 else 'malignant'}/{index}.png", index % 2 == 0, index)
    rows = split_of(tmp_path / "images", tmp_path / "new", folds=2)
    assert [row["source"] for row in rows if row["split"] == "test"] == PINNED_TEST
    assert [row["source"] for row in rows if row["fold"] == "0"] == PINNED_FOLD


PINNED_TEST = ["benign/5.png", "malignant/2.png"]
PINNED_FOLD = ["benign/3.png", "benign/9.png", "malignant/4.png", "malignant/6.png"]


def test_images_of_one_name_both_get_another(own_image_folder: Path, tmp_path: Path) -> None:
    rows = split_of(own_image_folder, tmp_path / "new", test_fraction=0, folds=2)
    by_source = {row["source"]: row["image"] for row in rows}
    assert by_source["train/benign/000.png"] == "train/benign/train_benign_000.png"
    assert by_source["test/benign/000.png"] == "train/benign/test_benign_000.png"
    assert by_source["train/benign/020.png"] == "train/benign/020.png"


def test_no_test_split(image_folder: Path, tmp_path: Path) -> None:
    rows = split_of(image_folder, tmp_path / "new", test_fraction=0, folds=2)
    assert {(row["split"], row["fold"]) for row in rows} == {("train", "0"), ("train", "1")}
    assert not (tmp_path / "new/test").exists()


def test_metadata_follows_the_images(image_folder: Path, tmp_path: Path) -> None:
    partition(image_folder, tmp_path / "new")
    old = {row["image"]: row for row in rows_of(image_folder / "metadata.csv")}
    new = {row["image"]: row for row in rows_of(tmp_path / "new/metadata.csv")}
    for row in rows_of(tmp_path / "new/split.csv"):
        assert new[row["image"]] == {"image": row["image"], "group": row["group"], "age": old[row["source"]]["age"]}
    paths = list_split(tmp_path / "new", "train").paths
    assert len(read_groups(paths, tmp_path / "new/metadata.csv", "image", "group")) == len(paths)


def test_metadata_is_made_where_there_is_none(own_image_folder: Path, tmp_path: Path) -> None:
    (own_image_folder / "metadata.csv").unlink()
    partition(own_image_folder, tmp_path / "new")
    split = [{name: row[name] for name in ("image", "group", "label")} for row in rows_of(tmp_path / "new/split.csv")]
    assert rows_of(tmp_path / "new/metadata.csv") == split


def test_a_table_is_its_own_metadata(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").symlink_to(image_folder)
    rows = [
        {"file": f"images/{row['image']}", "dx": row["image"].split("/")[1], "split": "test", "lesion": row["group"]}
        for row in rows_of(image_folder / "metadata.csv")
    ]
    table = write_table(tmp_path / "table.csv", rows)
    columns = {"image_column": "file", "label_column": "dx", "group_column": "lesion"}
    split = {row["image"]: row for row in split_of(table, tmp_path / "new", **columns)}
    new = rows_of(tmp_path / "new/metadata.csv")
    assert list(new[0]) == ["image", "group", "dx", "split", "lesion"]
    assert {row["split"] for row in new} == {"train", "test"}
    for row in new:
        placed = split[row["image"]]
        assert (row["split"], row["group"], row["lesion"]) == (placed["split"], placed["group"], placed["group"])


def test_more_than_two_classes(tmp_path: Path) -> None:
    for index in range(30):
        draw_image(tmp_path / f"images/{('nevus', 'bcc', 'scc')[index % 3]}/{index}.png", index % 2 == 0, index)
    made = partition(tmp_path / "images", tmp_path / "new")
    assert {path.name for path in (tmp_path / "new/test").iterdir()} == {"nevus", "bcc", "scc"}
    assert "'+data.folder_names.bcc=<benign or malignant>' '+data.folder_names.scc=" in made.text()
    assert "folder_names.nevus" not in made.text(), "training knows a nevus"


def test_melanoma_or_rest_can_be_trained_on_as_the_terminal_says(tmp_path: Path) -> None:
    for index in range(20):
        draw_image(tmp_path / f"images/{('melanoma', 'rest')[index % 2]}/{index}.png", index % 2 == 0, index)
    made = partition(tmp_path / "images", tmp_path / "new")
    assert made.text().endswith(" 'data.class_names=[rest,melanoma]'") and "folder_names" not in made.text()
    images = list_split(tmp_path / "new", "train", DataOptions(class_names=("rest", "melanoma")))
    assert all(
        ("/melanoma/" in path) == bool(target) for path, target in zip(images.paths, images.targets, strict=True)
    )
    assert 0 < images.targets.sum() < len(images)


def test_the_summary_for_the_terminal(image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = partition(image_folder, Path("new"), group_column="group", test_fraction=0.25).text().splitlines()
    assert text[0].split() == ["benign", "malignant", "images", "groups"]
    counts = {line.split()[0]: [int(cell) for cell in line.split()[1:]] for line in text[1:3]}
    assert counts["train"][2] + counts["test"][2] == 52
    assert counts["train"][3] + counts["test"][3] == 25
    assert "groups  25, 25 of them with several images; known by column 'group' and pixels" in "\n".join(text)
    assert "images  52 linked, 0 copied" in "\n".join(text)
    assert text[-1] == "next: melanoma-train data=folder data.root=new data.group_column=group"
    text = partition(image_folder, Path("new (2)"), folds=3, copy=True).text().splitlines()
    assert text[5].split()[:2] == ["fold", "2"]
    assert "images  0 linked, 52 copied" in "\n".join(text)
    assert f"known by comparing pixels ({image_folder}/metadata.csv may know more: --group-column" in "\n".join(text)
    assert text[-1].endswith("""'data.root="new (2)"' data.group_column=group data.fold=0,1,2""")
    assert text[-1].startswith("next: melanoma-train -m ")


def test_near_duplicates_that_metadata_overlooks_join_its_groups(image_folder: Path, tmp_path: Path) -> None:
    rows = split_of(image_folder, tmp_path / "new", group_column="group")
    groups = {row["source"]: row["group"] for row in rows}
    joined = {path for path, group in groups.items() if group == "trainFalse0"}
    assert joined == {f"train/benign/{number}.png" for number in ("000", "002", "036", "038")}


def test_an_empty_cell_is_a_group_of_its_own(own_image_folder: Path, tmp_path: Path) -> None:
    table = own_image_folder / "metadata.csv"
    table.write_text(table.read_text().replace("trainFalse1", ""))
    groups = {row["source"]: row["group"] for row in split_of(own_image_folder, tmp_path / "new", group_column="group")}
    assert groups["train/benign/004.png"] == "image:train/benign/004.png"
    assert groups["train/benign/006.png"] == "image:train/benign/006.png"


def test_broken_images_are_refused(own_image_folder: Path, tmp_path: Path) -> None:
    for number in (0, 2, 4, 6):
        (own_image_folder / f"train/benign/00{number}.png").write_bytes(b"" if number else b"broken")
    for options in ({}, {"group_column": "group"}):
        with pytest.raises(UserError) as error:
            partition(own_image_folder, tmp_path / "new", **options)  # type: ignore[arg-type]
        assert "4 images (train/benign/000.png: not an image in a format" in str(error.value)
        assert "train/benign/002.png: the file is empty" in str(error.value)
        assert "006.png" not in str(error.value)
        assert not (tmp_path / "new").exists()


def test_rows_that_are_missing(own_image_folder: Path, tmp_path: Path) -> None:
    table = own_image_folder / "metadata.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(keepends=True) if "test/benign" not in line))
    with pytest.raises(UserError, match=r"no row for 6 images \(test/benign/000.png, .*, …\) of 52"):
        partition(own_image_folder, tmp_path / "new", group_column="group")
    partition(own_image_folder, tmp_path / "new")
    assert [row["age"] for row in rows_of(tmp_path / "new/metadata.csv")].count("") == 6


def test_stopped_while_it_writes(image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        assert list(tmp_path.rglob("*.png")), "images were placed before the tables are written"
        raise KeyboardInterrupt

    monkeypatch.setattr("melanoma_pl.data.partition.partitioning.write_tables", interrupt)
    with pytest.raises(KeyboardInterrupt):
        partition(image_folder, tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_the_next_command_can_be_pasted_for_odd_names(tmp_path: Path) -> None:
    for index in range(30):
        draw_image(tmp_path / f"images/{('nevus', 'basal cell', 'nävi')[index % 3]}/{index}.png", index % 2 == 0, index)
    target = tmp_path / "my 'new' (1)"
    text = partition(tmp_path / "images", target).text()
    command, note = text.partition("next: ")[2].split(" (first ")
    words = shlex.split(command)
    assert words[2] == f'data.root="{target}"'
    assert words[-1] == r"+data.folder_names={basal\ cell: <benign or malignant>}"
    assert note == "rename the folders nävi: no override can name them)"


def test_blanks_around_a_lesion_do_not_count() -> None:
    cells = {"a.png": "L1", "b.png": "L1 ", "c.png": " ", "d.png": "", "e.png": "L 1"}
    listing = LabelledImages(Path(), tuple(cells), ("benign",) * 5, ("",) * 5)
    rows = {path: {"lesion": cell} for path, cell in cells.items()}
    groups = groups_by_column(listing, Path("m.csv"), rows, "lesion")
    assert groups == ["L1", "L1", "image:c.png", "image:d.png", "L 1"]


def test_joined_groups_take_the_alphabetically_first_name() -> None:
    assert join_groups(["c", "b", "a", "d", "b"], [(0, 1), (4, 3)]) == ["b", "b", "a", "b", "b"]
    assert join_groups(["c", "b"], []) == ["c", "b"]
