"""The findings of an audit on the terminal."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.report.data.audit_examples import PLAIN, SHORTCUTS, empty_audit, full_audit, pair

from melanoma_pl.report.data.audit_summary import ways_out
from melanoma_pl.report.data.audit_terminal import WIDTH, format_audit

CLEAN = """
Audit of images: 9 images, 1.2 MB, 1.2 s

images     train  test  total
---------  -----  ----  -----
benign         3     1      4
malignant      3     2      5
total          6     3      9

formats                       PNG 8, JPEG 1
colours                       RGB 9
sizes                         2 different: 32×32 8, 4000×3000 1
broken                        none
other files                   none

pairs: one image or one lesion  exact  near  lesion  all
------------------------------  -----  ----  ------  ---
in two splits: leaks                0     0       0    0
with two labels: conflicts          0     0       0    0
within one split                    0     0       0    0

test images that leak         0 of 3 (0.0 %)
lesions in two splits         not known: no --group-column was given
duplicate images              none

labels against the diagnosis  none

Research software, not a medical device: it makes no diagnosis.
clean: no leak and no conflict was found
"""


def test_clean_audit_as_it_is_read() -> None:
    assert format_audit(empty_audit(Path("images"))) == CLEAN.strip("\n")


def test_every_finding_is_named() -> None:
    text = format_audit(full_audit(Path("images")))
    assert "3 images left out before" in text
    assert "in two splits: leaks                0     2       1    3" in text
    assert "with two labels: conflicts          0     1       0    1" in text
    assert "test images that leak         3 of 3 (100.0 %)" in text
    assert "lesions in two splits         2 (column 'group & more')" in text
    assert "5 in 2 clusters, at most 3 in one" in text
    assert "0.971 [0.962–0.980]" in text and "not computable" in text and "0.700 [not computable]" in text
    assert "labels against the diagnosis: 7" in text and "… and 2 more in audit.json" in text
    assert "near, similarity 0.987, mirrored, same group in the metadata" in text
    assert "conflicts within a split, 1 of 1:" in text and "benign against malignant" in text
    assert "A note with <b>markup</b>." in text


def test_verdict_comes_last_with_the_way_out() -> None:
    *_, verdict, fix, fix_command, split, split_command = format_audit(full_audit(Path("my images"))).split("\n")
    assert verdict.startswith("  ") and "images cannot be read" in verdict
    assert fix == "  write the list of images to leave out (1):"
    assert fix_command == "    melanoma-data audit 'my images' --group-column 'group & more' --fix quarantine.csv"
    assert split == "  or make new splits that keep images of one lesion together:"
    assert split_command == "    melanoma-data split 'my images' clean --group-column 'group & more'"


def test_what_was_just_done_is_not_proposed() -> None:
    found = {"pairs": (pair(PLAIN[1], PLAIN[3]),), "quarantine": {PLAIN[1]: "belongs together"}}
    audit = empty_audit(Path("images"), **found)
    words = ("my images", "--group-column", "lesion", "--exclude", "old.csv", "--fix", "new.csv")
    ways = ways_out(replace(audit, words=words, group_column="lesion"))
    assert ways == {
        "train without the images on the list (1)": "melanoma-train data=folder 'data.root=\"my images\"' "
        "data.group_column=lesion data.exclude=new.csv",
        "or make new splits that keep images of one lesion together": "melanoma-data split 'my images' clean "
        "--group-column lesion",
    }
    flagged = ways_out(replace(audit, words=("images", "--metadata", "none", "--no-images")))
    assert next(iter(flagged.values())) == "melanoma-data audit images --metadata none --fix quarantine.csv --no-images"
    table = ways_out(replace(audit, words=("moles.csv", "--image-column", "file", "--fix", "new.csv")))
    assert list(table.values()) == [
        "melanoma-train data=table data.table=moles.csv data.image_column=file data.exclude=new.csv",
        "melanoma-data split moles.csv clean --image-column file",
    ]
    assert "or make new splits that keep copies of one image together" in table, "no lesion is known without a column"


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ({"pairs": (pair(PLAIN[0], PLAIN[3]),)}, "leaks and conflicts were found: 1 pair across splits, 1 pair with"),
        ({"pairs": (pair(PLAIN[1], PLAIN[3]),)}, "leaks were found: 1 pair across splits"),
        ({"pairs": (pair(PLAIN[0], PLAIN[1]),)}, "conflicts were found: 1 pair with two labels"),
        ({"pairs": (pair(PLAIN[2], PLAIN[3]),)}, "clean: no leak and no conflict was found"),
        ({"shared_groups": {"a": PLAIN}}, "leaks were found: 1 lesion in two splits"),
        ({"broken": {"a.png": "cut short"}}, "clean: no leak and no conflict was found; 1 image cannot be read"),
        ({"shortcuts": SHORTCUTS}, "clean"),
    ],
)
def test_verdict_names_what_was_found(findings: dict[str, object], said: str) -> None:
    text = format_audit(empty_audit(Path("images"), **findings))
    assert said in text
    assert ("--fix" in text) != said.startswith("clean")
    assert ("melanoma-data split" in text) == ("leaks" in said)


def test_lines_are_narrow_and_hold_nothing_a_terminal_obeys() -> None:
    audit = full_audit(Path("images"))
    per_split = {"train": {"a class with a very long name that never ends " * 3: 10**6}, "validation": {"b": 1}}
    crowded = replace(audit, inventory=audit.inventory | {"per_split": per_split}, root="/a folder" * 30)
    for text in (format_audit(audit), format_audit(crowded)):
        lines = text.split("\n")
        commands = [line for line in lines if line.startswith("    melanoma-data")]
        assert len(commands) == 2
        assert max(len(line) for line in lines if line not in commands) <= WIDTH
        assert all(line.isprintable() for line in lines)
        text.encode("utf-8")


def test_images_without_splits_are_one_column() -> None:
    audit = empty_audit(Path("images"))
    text = format_audit(replace(audit, inventory=audit.inventory | {"per_split": {"all": {"benign": 4, "other": 5}}}))
    assert "images  total\n------  -----\nbenign      4\nother       5\ntotal       9" in text
    assert "images that leak              0 of 9 (0.0 %)" in text


def test_no_image_at_all() -> None:
    audit = empty_audit(Path("images"), broken={"a.png": "the file is empty"})
    text = format_audit(replace(audit, inventory=audit.inventory | {"images": 0, "per_split": {}, "bytes": 0}))
    assert "total       0" in text and "a.png: the file is empty" in text


def test_clean_images_need_no_way_out() -> None:
    assert ways_out(empty_audit(Path("images"), broken={"a.png": "cut short"})) == {}
