"""The summary that the command prints at the end."""

from collections.abc import Callable
from pathlib import Path

from tests.conftest import Result
from tests.unit.data.public_sets import downloads

from melanoma_pl.data.public_sets import preparing

Prepare = Callable[..., Result]

SUMMARY = """pad-ufes-20, malignant-vs-benign: 21 images (21 linked) → ready

               benign  malignant
      train         {}          {}
       test         {}          {}

left out: 1, all listed in ready/left_out.csv
      1  malignancy uncertain: ACK

licence: CC BY 4.0
cite: A. G. C. Pacheco et al., PAD-UFES-20, Data in Brief 32:106221 (2020), doi.org/10.1016/j.dib.2020.106221
warning: all of its cancers are proven by biopsy, but not all of its other lesions
warning: only 52 of its 2,298 images show a melanoma: too few to test a melanoma task

next: melanoma-data audit ready --group-column group
      melanoma-train data=folder data.root=ready data.group_column=group
Research software, not a medical device: it makes no diagnosis.
"""


def test_the_whole_summary(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_pad(work_folder / "pad")
    output = prepare("pad-ufes-20", "pad", "ready").output
    rows = downloads.read_table(work_folder / "ready/metadata.csv")
    counts = [
        sum((row["split"], row["label"]) == (split, label) for row in rows)
        for split in ("train", "test")
        for label in ("benign", "malignant")
    ]
    assert sum(counts) == 21
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert lines == [" ".join(line.split()) for line in SUMMARY.format(*counts).splitlines()]


def test_all_images_used_and_odd_paths(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_isic(work_folder / "isic")
    result = prepare("isic", "isic", "my images (1)", "--task", "melanoma-vs-rest")
    assert result.code == 0, result.error
    assert not (work_folder / "my images (1)/left_out.csv").exists()
    assert "left out: none" in result.output
    assert "melanoma-data audit 'my images (1)' --group-column group" in result.output
    assert "'data.root=\"my images (1)\"' data.group_column=group 'data.class_names=[rest,melanoma]'" in result.output


def test_many_reasons_are_cut(prepare: Prepare, work_folder: Path) -> None:
    rows = downloads.isic_rows()
    count = preparing.SHOWN + 5
    rows += [downloads.isic_row(100 + number, ("", "", f"stranger {number}", "", "")) for number in range(count)]
    downloads.write_isic(work_folder / "isic", rows)
    result = prepare("isic", "isic", "ready", "--unknown", "leave-out")
    assert result.code == 0, result.error
    assert result.output.count("unknown diagnosis: stranger") == preparing.SHOWN
    assert "and 5 rarer ones" in result.output
    assert len(downloads.read_table(work_folder / "ready/left_out.csv")) == count


def test_ages_that_are_none_are_left_empty_and_said(prepare: Prepare, work_folder: Path) -> None:
    rows = downloads.isic_rows()
    rows[0]["age_approx"], rows[1]["age_approx"], rows[2]["age_approx"] = "200", "fifty", "unknown"
    downloads.write_isic(work_folder / "isic", rows)
    result = prepare("isic", "isic", "ready")
    assert "the age of 2 images is not a number of years from 0 to 120, and is left out" in result.output
    ages = [row["age"] for row in downloads.read_table(work_folder / "ready/metadata.csv")]
    assert (ages.count(""), ages.count("45")) == (3, len(rows) - 3)
