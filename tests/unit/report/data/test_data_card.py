"""The data card: what it says of images, metadata, audits and limits."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import draw_image, write_image_folder
from tests.unit.report.data.audit_examples import FOREIGN, MARKUP, NO_UTF8, empty_audit, listing_of

from melanoma_pl.data.audit.auditing import audit_images
from melanoma_pl.data.columns import Column, ages_of, known, read_columns, role_of, telling_values
from melanoma_pl.data.labelled_images import LabelledImages, list_images
from melanoma_pl.data.metadata import read_table
from melanoma_pl.errors import UserError
from melanoma_pl.report.data.audit_summary import audit_to_dict, write_json
from melanoma_pl.report.data.data_card import data_card, is_of, read_audit, write_card
from melanoma_pl.report.markup import code, text

SECTIONS = [
    *("What it is", "Where it comes from", "What is known of each image", "Lesions and patients"),
    *("How it was labelled", "What an audit found", "Known limits", "Use", "Licence", "Whom to cite", "Upkeep"),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    """Six images: four in train, two in test."""
    root = tmp_path_factory.mktemp("data") / "my_images"
    for seed, path in enumerate(PATHS):
        draw_image(root / path, "malignant" in path, seed)
    return list_images(root)


PATHS = [f"train/{label}/{n}.png" for label in ("benign", "malignant") for n in (1, 2)]
PATHS += ["test/benign/5.png", "test/malignant/6.png"]
COLUMNS = {
    "age": ["40", "50.0", "unknown", "70", "", "60"],
    "sex": ["male", "female", "", "male", "NA", "female"],
    "dx": ["nv", "nv", "mel", "mel", "nv", ""],
    "lesion_id": ["a", "a", "b", "c", "d", "b"],
    "licence": ["CC0", "CC0", "CC BY 4.0", "", "CC0", "CC0"],
    "source": ["clinic", "clinic", "archive", "archive", "clinic", "archive"],
    "camera": ["x|1", "<y>", "x|1", "<y>", "x|1", "<y>"],
    "empty": [""] * 6,
    "label": ["nevus", "benign", "melanoma", "malignant", "mole", "malignant"],
}


def rows(**columns: list[str]) -> dict[str, dict[str, str]]:
    return {
        path: {"image": path, **{name: values[index] for name, values in columns.items()}}
        for index, path in enumerate(PATHS)
    }


PATH_KEYS = list(enumerate(sorted(PATHS)))  # as a listing has them


def headings(card: str) -> list[str]:
    return re.findall(r"^## (.*)$", card, re.MULTILINE)


def test_card_without_metadata_says_what_is_not_known(images: LabelledImages) -> None:
    card = data_card(images)
    assert headings(card) == SECTIONS
    assert card.startswith("# Data card: my_images\n\n**Research software, not a medical device:")
    assert "6 images of moles, each labelled with one of 2 classes, in 2 splits." in card
    assert "| benign | 2 | 1 | 3 |" in card and "| total | 4 | 2 | 6 |" in card
    assert "PNG 6" in card and "32×32 6" in card
    assert "Only the label: there is no metadata." in card
    assert "## Licence\n\nNot stated: ask the source.\n" in card
    assert "## Whom to cite\n\nNot stated: ask the source.\n" in card
    assert "These images were not audited" in card
    assert "Skin types are not known" in card and "Nothing is known of age and sex and site." in card
    assert not re.search(r"TODO|TBD|FIXME|placeholder|\[.*needed\]|<[a-z ]+>", card, re.IGNORECASE)


def test_card_summarises_the_metadata(images: LabelledImages) -> None:
    card = data_card(images, rows(**COLUMNS))
    assert "| `age` | 4 (66.7 %) | 4 |" in card and "| `empty` | 0 (0.0 %) | 0 |" in card
    assert "| benign | 2 | 45 | 40 | 50 |" in card and "| malignant | 2 | 65 | 60 | 70 |" in card
    assert "| all | 4 | 55 | 40 | 70 |" in card
    assert "## Sex: `sex`" in card and "| not known | 1 | 1 | 2 |" in card
    assert "| nv | 3 | 0 | 3 |" in card and "| mel | 0 | 2 | 2 |" in card
    assert "`lesion_id`: 4 different in 6 images, 2 of them with several images, **1 in more than one split**" in card
    assert "- CC BY 4.0: 1 image\n- CC0: 4 images\n- no licence stated: 1 image; ask the source" in card
    assert r"| x\|1 | 2 | 1 | 3 |" in card and "| &lt;y&gt; | 1 | 2 | 3 |" in card
    assert "The diagnosis of 1 of 3 malignant images is not known." in card
    assert "Patients are not known" in card and "`label`" not in card and "`image`" not in card
    assert set(SECTIONS) < set(headings(card))


def test_card_of_the_layout_and_its_own_table(image_folder: Path) -> None:
    card = data_card(list_images(image_folder), read_table(image_folder / "metadata.csv", "image"))
    assert "52 images of moles" in card and "## Age: `age`" in card and "`group`: 26 different" in card


def test_card_tells_what_the_audit_of_these_images_found(images: LabelledImages) -> None:
    found = audit_of(images)
    card = data_card(images, None, found)
    assert "Leaks or conflicts were found. Fingerprint `0123456789abcdef`." in card
    assert "1 test image with a partner in another split" in card
    assert "Figures on all test images are too good: 1 image leaked." in card
    assert "1.2 MB; PNG 8, JPEG 1" in card  # the audit's own inventory: nothing is read again
    assert "(fingerprint of the audit: `0123456789abcdef`)" in card


def test_card_names_the_shortcuts_that_the_audit_measured(images: LabelledImages) -> None:
    found = audit_of(images) | {
        "shortcuts": [
            {"name": "file facts", "auroc": 0.9, "interval": [0.85, 0.95], "sentence": "It gives the label away."},
            {"name": "image size", "auroc": None, "interval": None, "sentence": "All are of *one* size."},
        ]
    }
    card = data_card(images, None, found)
    assert "- label predicted from file facts: AUROC 0.900 [0.850–0.950]. It gives the label away.\n" in card
    assert r"- label predicted from image size: AUROC not computable. All are of \*one\* size." in card


def test_audit_of_other_images_is_not_used(images: LabelledImages) -> None:
    found = audit_of(images)
    other = list_images(images.root).without(PATHS[:1])
    card = data_card(other, None, found)
    assert "The existing audit is of other images, splits or classes. These images were not audited" in card
    assert "0123456789abcdef" not in card and "5 images of moles" in card
    assert is_of(found, images) and not is_of(found, other)
    assert not is_of({name: value for name, value in found.items() if name != "listing"}, images), "of an old version"


def test_audit_of_another_split_with_equal_counts_is_not_used(images: LabelledImages) -> None:
    swapped = {PATHS[0]: "test", PATHS[4]: "train"}
    splits = tuple(swapped.get(path, split) for path, split in zip(images.paths, images.splits, strict=True))
    other = replace(images, splits=splits)
    assert sorted(splits) == sorted(images.splits) and splits != images.splits
    assert not is_of(audit_of(images), other)
    assert "These images were not audited" in data_card(other, None, audit_of(images))


def test_images_that_the_audit_left_out_are_left_out_and_counted(images: LabelledImages) -> None:
    found = audit_of(images.without(PATHS[:1])) | {"excluded": 1}
    assert not is_of(found, images), "which one was left out is not known"
    known = found | {"left_out": PATHS[:1]}
    card = data_card(images, rows(sex=["male", *["female"] * 5]), known)
    assert is_of(known, images) and "- 1 image left out before the audit; not counted here\n" in card
    assert "| `sex` | 5 (100.0 %) | 1 |" in card


def test_audit_that_was_made_of_these_images_is_used(images: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    positive: list[list[int]] = []
    monkeypatch.setattr(
        "melanoma_pl.data.audit.auditing.find_label_shortcuts",
        lambda _, targets, groups, **metadata: positive.append([*targets]) or (),
    )
    broken = replace(images, paths=(*images.paths[:5], "train/malignant/none.png"))
    labelled = replace(broken, labels=tuple("rest" if name == "benign" else "melanoma" for name in images.labels))
    for listing in (images, broken, labelled):
        found = audit_to_dict(audit_images(listing)[0])
        assert is_of(json.loads(json.dumps(found)), listing)
    assert positive == [[0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 1], [0, 1, 0, 0, 1]], "1 is melanoma, not the rest"


def audit_of(images: LabelledImages) -> dict[str, Any]:
    counts = {"train": {"benign": 2, "malignant": 2}, "test": {"benign": 1, "malignant": 1}}
    audit = empty_audit(images.root, leaking_test_images=(PATHS[4],), shared_groups={"a": (PATHS[0], PATHS[4])})
    return audit_to_dict(
        replace(audit, inventory=audit.inventory | {"images": 6, "per_split": counts}, listing=images.fingerprint)
    )


def test_audit_is_read_back(tmp_path: Path) -> None:
    audit = empty_audit(tmp_path)
    assert read_audit(write_json(audit, tmp_path)) == json.loads(json.dumps(audit_to_dict(audit)))
    assert read_audit(tmp_path / "none.json") is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"inventory": {}}', json.dumps({"inventory": []})])
def test_another_file_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(content)
    with pytest.raises(UserError, match=r"audit\.json is not an audit of images: remove it") as refusal:
        read_audit(tmp_path / "audit.json")
    assert "\n" not in str(refusal.value)


def test_shortcuts_are_named_but_not_diagnoses(tmp_path: Path) -> None:
    paths = [f"{label}/{n}.png" for label in ("benign", "malignant") for n in range(20)]
    listing = LabelledImages(tmp_path, tuple(paths), ("benign",) * 20 + ("malignant",) * 20, ("",) * 40)
    table = {path: {"clinic": path[0], "diagnosis": path[0], "room": str(n % 2)} for n, path in enumerate(paths)}
    card = data_card(listing, table)
    assert "`clinic` predicts the class: b only with benign, m only with malignant." in card
    assert "`room` predicts" not in card and "`diagnosis` predicts" not in card
    assert "There is no test split" in card and "without a split into training and test" in card
    assert "not readable 40" in card


def test_few_images_of_one_class_are_no_shortcut(images: LabelledImages) -> None:
    columns = read_columns(images, rows(camera=["x", "x", "y", "y", "x", "y"]))
    assert telling_values(columns[0], images.labels) == {}


def test_images_of_one_class_only(tmp_path: Path) -> None:
    card = data_card(LabelledImages(tmp_path, ("nevi/1.png",), ("nevi",), ("",)))
    assert "All images are of one class, nevi" in card


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    listing = listing_of(tmp_path, (MARKUP, FOREIGN, NO_UTF8))
    table = {path: {"a|`b`": "*x*\n## New section", "sex": "\x1b[31m"} for path in listing.paths}
    card = data_card(listing, table)
    card.encode("utf-8")
    assert "New section" not in headings(card)
    assert r"| a\|\`b\` |" in card and "\x1b" not in card
    for block in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_values_of_each_image_are_not_listed(tmp_path: Path) -> None:
    listing = LabelledImages(tmp_path, tuple(f"{n:02}" for n in range(60)), ("benign",) * 60, ("",) * 60)
    table = {path: {"source": f"image {path}", "site": f"site {int(path) // 2}"} for path in listing.paths}
    card = data_card(listing, table)
    assert "60 different values in 60 images: the metadata lists them." in card
    assert "| 5 rarer values | 10 | 10 |" in card


def test_rows_and_images_need_not_match(images: LabelledImages) -> None:
    table = {PATHS[0]: {"image": PATHS[0], "age": "33"}, "elsewhere.png": {"image": "elsewhere.png", "age": "99"}}
    card = data_card(images, table)
    assert "| `age` | 1 (16.7 %) | 1 |" in card and "99" not in card


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["40", "60", "x", "", "nan", "inf"], (2, 2, 50, 40, 60)),
        (["45.5"], (1, 0, 45.5, 45.5, 45.5)),
        (["85+", "40", "-"], (2, 0, 62.5, 40, 85)),
        (["200", "-3", "120", "0", "1e9"], (2, 3, 60, 0, 120)),
        (["+", "40-50", "8+5"], (0, 3, None, None, None)),
    ],
)
def test_ages(values: list[str], expected: tuple[float | None, ...]) -> None:
    ages = ages_of(values)
    assert (ages.known, ages.impossible, ages.median, ages.lowest, ages.highest) == expected


def test_cells_that_say_nothing() -> None:
    assert [known(cell) for cell in (" NaN ", "Unknown", None, "", " trunk ")] == ["", "", "", "", "trunk"]


def test_columns_are_known_by_their_names() -> None:
    names = {"Age_approx": "age", "fitspatrick": "skin type", "copyright_license": "licence", "dx": "diagnosis"}
    assert {name: role_of(name) for name in names} == names and role_of("camera") == ""


def test_markdown_is_escaped() -> None:
    assert text("a_b *c* <d> [e](f) |g| _h_") == r"a_b \*c\* &lt;d&gt; \[e\](f) \|g\| \_h\_"
    assert code("a_b") == "`a_b`" and code("a`b") == r"a\`b"


def test_card_is_written_whole_into_a_new_folder(tmp_path: Path) -> None:
    written = write_card("# Données\n", tmp_path / "a" / "b" / "DATA_CARD.md")
    assert written.read_text(encoding="utf-8") == "# Données\n"
    assert [file.name for file in written.parent.iterdir()] == ["DATA_CARD.md"]


def test_card_does_not_name_the_folder_above_the_images(tmp_path: Path) -> None:
    root = write_image_folder(tmp_path / "a_secret_folder" / "moles", train=8, test=4)
    assert "a_secret_folder" not in data_card(list_images(root))


def test_ages_that_are_not_numbers_are_counted(images: LabelledImages) -> None:
    card = data_card(images, rows(age=["85+", "40-50", "adult", "", "60", "70"]))
    assert "The age of 2 images is not a number of years from 0 to 120, and counts as unknown." in card
    assert "| all | 3 | 70 | 60 | 85 |" in card
    assert "not a number" not in data_card(images, rows(age=["85+", "40", "", "", "60", "70"]))


def test_values_that_differ_in_case_only_are_one(images: LabelledImages) -> None:
    spelt = ["Male", "male", "male", "FEMALE", "", "MALE"]
    columns = {column.name: column for column in read_columns(images, rows(sex=spelt, camera=spelt))}
    assert set(columns["sex"].values) == {"male", "FEMALE", ""} and columns["sex"].different == 2
    assert columns["camera"].different == 4


def test_rare_classes_are_not_told_by_chance() -> None:
    values = ["a", "a", *(f"{n}" for n in range(98))]
    labels = ("malignant", "malignant", *["benign"] * 98)
    many, one = Column("clinic", "", tuple(values)), Column("clinic", "", ("a", "a", *["b"] * 98))
    assert telling_values(many, labels) == {}, "0.02² × 99 values is no small probability"
    assert telling_values(one, labels)["a"] == "malignant"


def limits_of(card: str) -> str:
    return card.split("## Known limits")[1].split("\n## ")[0]


def test_lesions_on_both_sides_limit_what_figures_say(images: LabelledImages) -> None:
    told = limits_of(data_card(images, rows(lesion_id=list("abcdbb"))))
    assert "Figures on all test images are too good: by `lesion_id`, 1 lesion is in more than one split." in told
    assert "not audited" not in told and "By the metadata no" not in told
    told = limits_of(
        data_card(images, rows(lesion_id=list("abcdbb")), audit_of(images) | {"group_column": "lesion_id"})
    )
    assert "1 image leaked" in told and "by `lesion_id`" not in told
    table = rows(lesion_id=["a", "b", "a", "c", "d", "e"])
    moved = replace(
        images, splits=tuple("validation" if path == PATHS[0] else images.splits[n] for n, path in PATH_KEYS)
    )
    assert "Figures on all validation images are too good" in limits_of(data_card(moved, table))


def test_metadata_that_shows_no_lesion_in_two_splits_is_believed(images: LabelledImages) -> None:
    told = limits_of(data_card(images, rows(lesion_id=list("aabcde"))))
    assert "By the metadata no lesion is in two splits. Without an audit, near-duplicates remain unknown." in told
    assert "in several splits" not in told
    told = limits_of(data_card(images, rows(lesion_id=["a", "a", "b", "c", "", "e"])))
    assert (
        "It is not known whether images of one lesion are in several splits" in told and "By the metadata" not in told
    )


def test_images_in_no_split_are_no_split(images: LabelledImages) -> None:
    some = replace(images, splits=tuple("" if path == PATHS[0] else images.splits[n] for n, path in PATH_KEYS))
    card = data_card(some, rows(lesion_id=list("aabcde")))
    assert "in 2 splits." in card and "| class | train | test | no split | total |" in card
    assert "| benign | 1 | 1 | 1 | 3 |" in card and "| all |" not in card
    assert "in more than one split" not in card, "a lesion in train and in no split is in one"
    assert "no split" not in data_card(replace(images, splits=("",) * 6))


def test_melanoma_among_the_rest(images: LabelledImages) -> None:
    card = data_card(replace(images, labels=tuple("rest" if "benign" in path else "melanoma" for path in images.paths)))
    assert "50.0 % of the images are melanoma, far more" in card and "| melanoma | 2 | 1 | 3 |" in card
    assert "malignant" not in limits_of(card)


@pytest.mark.parametrize("value", ["- CC0", "+ CC0", "- - CC0", "1. CC0", "12) CC0", "  - CC0", "---"])
def test_text_never_starts_a_list(value: str, images: LabelledImages) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    card = data_card(images, rows(licence=[value] * 6))
    assert f"- {text(value.strip())}: 6 images\n" in card
    tokens = markdown_it.MarkdownIt("commonmark").parse(f"- {text(value)}\n- {text(value)}: 6 images\n")
    assert [token.type for token in tokens].count("list_item_open") == 2
    shown = [token.children[0].content if token.children else "" for token in tokens if token.type == "inline"]
    assert "".join(shown).count("CC0") == 2 * value.count("CC0")


def test_other_text_with_dashes_is_unchanged() -> None:
    assert [text(value) for value in ("-5", "1.5", "a - b", "+49")] == ["-5", "1.5", "a - b", "+49"]


def test_column_without_a_name(images: LabelledImages) -> None:
    card = data_card(images, rows(**{"": ["x", "y"] * 3}))
    assert "| (no name) | 6 (100.0 %) | 2 |" in card and "``" not in card


def test_metadata_that_are_unknown_of_one_class_only(tmp_path: Path) -> None:
    images = list_images(write_image_folder(tmp_path / "images"))
    rows = {path: {"image": path, "age": "" if "malignant" in path else "50"} for path in images.paths}
    gap = "- age is unknown for 26 of 26 malignant and 0 of 26 other images. The classes seem"
    assert gap in data_card(images, rows)
    rows = {path: {**row, "age": str(index % 2 or "")} for index, (path, row) in enumerate(rows.items())}
    assert "The classes seem" not in data_card(images, rows)
