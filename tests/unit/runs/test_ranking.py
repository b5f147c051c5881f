"""The list of runs: which runs are ranked together, which are only counted, and what is refused."""

import json
from pathlib import Path

import pytest
from tests.unit.runs.run_examples import rows_of, tagged, write_images, write_run

from melanoma_pl.config.schema import direction
from melanoma_pl.errors import UserError
from melanoma_pl.runs.ranking import RunRanking, format_listing, listing_json, rank_runs


def text_of(folder: Path, by: str = "val/auroc", with_unfinished: bool = False) -> str:
    return format_listing(rank_runs(folder, by), with_unfinished)


def ranked(listing: RunRanking) -> list[list[str]]:
    return [[run.folder.name for run in group.ranked] for group in listing.groups]


@pytest.mark.parametrize(
    ("by", "order"),
    [("val/auroc", ["b", "a", "c"]), ("val/log_loss", ["c", "a", "b"]), ("val/specificity", ["a", "b", "c"])],
)
def test_the_best_comes_first(by: str, order: list[str], tmp_path: Path) -> None:
    write_run(tmp_path / "x/a", tagged("val", auroc=0.8, log_loss=0.5, specificity=0.6))
    write_run(tmp_path / "x/b", tagged("val", auroc=0.9, log_loss=0.6, specificity=0.5))
    write_run(tmp_path / "sweeps/y/c", tagged("val", auroc=0.7, log_loss=0.4, specificity=0.4))
    assert ranked(rank_runs(tmp_path, by)) == [order]


@pytest.mark.parametrize(
    ("figure", "expected"), [("val/auroc", "max"), ("val/log_loss", "min"), ("val/brier", "min"), ("val/ece", "min")]
)
def test_which_end_is_best(figure: str, expected: str) -> None:
    assert direction(figure) == expected


def test_the_table(tmp_path: Path) -> None:
    write_run(tmp_path / "a", tagged("val") | tagged("test", auroc=0.7))
    write_run(tmp_path / "b", tagged("val", auroc=0.9), started="2026-02-02T03:04:05+00:00")
    lines = text_of(tmp_path).splitlines()
    assert lines[0] == "images (01234567), validation: 40 images, 20 % of train by seed 0"
    assert lines[1].split() == [
        "rank", "val/auroc", "val/sensitivity", "val/specificity", "test/auroc*", "epochs", "started", "name", "folder",
    ]  # fmt: skip
    row = ["1", "0.900", "0.950", "0.500", "–", "5", "2026-02-02", "03:04", "default", str(tmp_path / "b")]
    assert lines[2].split() == row
    assert lines[3].split()[:5] == ["2", "0.800", "0.950", "0.500", "0.700"]
    text = "\n".join(lines)
    assert "* not used for ranking" in text
    assert f"melanoma-runs compare {tmp_path / 'a'} {tmp_path / 'b'} --split validation" in text
    assert "Synthetic" not in text
    assert "no diagnosis" in text


def test_another_figure_has_a_column_of_its_own(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    head = text_of(tmp_path, "val/log_loss").splitlines()[1].split()
    assert head[:3] == ["rank", "val/log_loss", "val/auroc"]
    assert text_of(tmp_path, "val/sensitivity").splitlines()[1].split().count("val/sensitivity") == 1


@pytest.mark.parametrize(
    ("change", "header"),
    [
        ({"data": {"split_seed": 1}}, "20 % of train by seed 1"),
        ({"data": {"validation_fraction": 0.125}}, "12.5 % of train by seed 0"),
        ({"data": {"fold": 2}}, "fold 2"),
        ({"has_validation_split": True}, "the dataset's validation split"),
        ({"data": {"group_column": "lesion_id"}}, "20 % of train by seed 0, lesions by lesion_id"),
        ({"data": {"root": "other"}, "fingerprint": "fedcba9876543210"}, "other (fedcba98)"),
    ],
    ids=["seed", "fraction", "fold", "validation split", "group column", "images"],
)
def test_different_validation_images_get_tables_of_their_own(
    change: dict[str, object], header: str, tmp_path: Path
) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", started="2025-01-01T00:00:00+00:00", **change)
    assert ranked(rank_runs(tmp_path)) == [["a"], ["b"]]
    text = text_of(tmp_path)
    assert header in text
    assert "cannot be compared" in text
    assert "melanoma-runs compare" not in text


def test_runs_with_the_same_validation_images_share_a_table(tmp_path: Path) -> None:
    write_run(tmp_path / "a", data={"fold": 1, "split_seed": 1, "root": "here"})
    write_run(tmp_path / "b", data={"fold": 1, "split_seed": 2, "root": "moved/there"})
    assert len(rank_runs(tmp_path).groups) == 1


def test_the_listed_validation_images_are_told_apart(tmp_path: Path) -> None:
    """A table of splits or folds can change, and nothing else with it."""
    rows = rows_of([0.1, 0.9, 0.4], "bmb", "train")
    lists = {"a": (rows[:1], rows[1:]), "b": (rows[:1], rows[:0:-1]), "c": (rows[1:], rows[:1]), "d": ([], [])}
    for day, (name, (train, validation)) in enumerate(lists.items(), start=1):
        run = write_run(tmp_path / name, started=f"2026-01-0{9 - day}T00:00:00+00:00", data={"fold": 0})
        if name != "d":
            write_images(run, train=train, validation=validation)
    listing = rank_runs(tmp_path)
    assert ranked(listing) == [["a", "b"], ["c"], ["d"]], "whatever the order of the rows"
    headers = [block.splitlines()[0] for block in text_of(tmp_path).split("\n\n")[:3]]
    hashes = [group.validation.listed for group in listing.groups]
    assert headers == [
        f"images (01234567), validation: 40 images ({str(hashes[0])[:8]}), fold 0",
        f"images (01234567), validation: 40 images ({str(hashes[1])[:8]}), fold 0",
        "images (01234567), validation: 40 images, fold 0",
    ]
    write_images(tmp_path / "b", train=rows[:1], validation=[("train/001.png#changed", 0.9, "malignant"), rows[2]])
    assert ranked(rank_runs(tmp_path)) == [["a"], ["b"], ["c"], ["d"]]


def test_a_broken_list_of_images_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    (write_run(tmp_path / "b") / "images.csv").write_text("path,sha256\na,0\n")
    assert f"{tmp_path / 'b/images.csv'} cannot be read (it lacks 'split')" in text_of(tmp_path)
    assert ranked(rank_runs(tmp_path)) == [["a"]]


def test_validated_on_test_comes_last_and_is_not_ranked(tmp_path: Path) -> None:
    write_run(tmp_path / "good", tagged("val", auroc=0.99), {"validate_on": "test"}, started="2027-01-01T00:00:00")
    write_run(tmp_path / "other")
    listing = rank_runs(tmp_path)
    assert ranked(listing) == [["other"], []]
    assert [run.folder.name for run in listing.groups[1].unranked] == ["good"]
    last = text_of(tmp_path).split("\n\n")[1].splitlines()
    assert "validated on test, as the original did: not ranked" in last[0]
    assert last[2].split()[:2] == ["–", "0.990"]


def test_a_run_that_lacks_the_figure_is_not_ranked(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", {"val/n": 40, "val/loss": float("nan")})
    listing = rank_runs(tmp_path)
    assert ranked(listing) == [["a"]]
    assert listing.groups[0].unranked[0].figures == {"val/n": 40}
    assert json.dumps(listing_json(listing), allow_nan=False)


def test_an_evaluation_on_test_after_the_run_is_shown(tmp_path: Path) -> None:
    report = write_run(tmp_path / "job") / "report/test"
    report.mkdir(parents=True)
    (report / "metrics.json").write_text('{"metrics": {"test/auroc": 0.65}}')
    assert rank_runs(tmp_path).groups[0].ranked[0].figures["test/auroc"] == 0.65
    (report / "metrics.json").write_text("{")
    assert "test/auroc" not in rank_runs(tmp_path).groups[0].ranked[0].figures


def test_unfinished_runs_are_counted_or_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", finished=False)
    write_run(tmp_path / "c", finished=False, error="no memory")
    assert "2 runs did not finish: --all names them" in text_of(tmp_path)
    named = text_of(tmp_path, with_unfinished=True)
    assert f"did not finish: {tmp_path / 'b'}: stopped, or still training" in named
    assert f"did not finish: {tmp_path / 'c'}: no memory" in named


def test_no_run_has_finished(tmp_path: Path) -> None:
    write_run(tmp_path / "b", finished=False)
    text = text_of(tmp_path)
    assert text.startswith(f"no run below {tmp_path} has finished")
    assert "1 run did not finish: --all names it" in text


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"format": 2, "finished": true}', '{"format": 2, "finished": true, "config": null}'],
)
def test_a_broken_record_is_named(content: str, tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/run.json").write_text(content)
    assert f"{tmp_path / 'b/run.json'} cannot be read (" in text_of(tmp_path)
    assert ranked(rank_runs(tmp_path)) == [["a"]]


def test_records_of_earlier_versions_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", format=None)
    assert f"{tmp_path / 'b/run.json'} was written by melanoma_pl before 0.2" in text_of(tmp_path)
    assert ranked(rank_runs(tmp_path)) == [["a"]]


def test_a_run_without_a_fingerprint_is_told_apart_by_the_path_of_its_images(tmp_path: Path) -> None:
    write_run(tmp_path / "a", fingerprint=None)
    assert text_of(tmp_path).startswith("images (images), validation: 40 images")


DRAWN = {"root": None, "synthetic": {"seed": 0}}
TABLE = {"root": None, "table": "a/t.csv"}


@pytest.mark.parametrize(("data", "name"), [(DRAWN, "synthetic"), (TABLE, "t.csv")])
def test_datasets_have_names(data: dict[str, object], name: str, tmp_path: Path) -> None:
    write_run(tmp_path / "a", data=data)
    text = text_of(tmp_path)
    assert text.startswith(f"{name} (")
    assert ("Synthetic images, drawn by a program" in text) == (name == "synthetic")


def test_json(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", finished=False)
    content = json.loads(json.dumps(listing_json(rank_runs(tmp_path)), allow_nan=False))
    assert content["by"] == "val/auroc"
    assert content["best"] == "largest"
    (group,) = content["groups"]
    assert group["validation"]["fraction"] == 0.2
    (run,) = group["runs"]
    assert (run["rank"], run["val/auroc"], run["folder"]) == (1, 0.8, str(tmp_path / "a"))
    assert [run["status"] for run in content["unfinished"]] == ["stopped, or still training"]
    assert any("no diagnosis" in note for note in content["notes"])


def test_control_characters_are_escaped(tmp_path: Path) -> None:
    write_run(tmp_path / "a\x1b[2J")
    assert "\x1b" not in text_of(tmp_path)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("test/auroc", "would choose on the test images: take a figure of validation"),
        ("val/auc", "did you mean 'val/auroc'"),
        ("auroc", "did you mean 'val/auroc'"),
        ("val/positives", "no run can be ranked by that: .*available are val/auroc, val/log_loss, val/s"),
    ],
)
def test_figures_that_cannot_rank(by: str, expected: str, tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    with pytest.raises(UserError, match=expected):
        rank_runs(tmp_path, by)


def test_folders_without_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder, expected in [("", "there is no run below"), ("no", "does not exist"), ("file", "is not a folder")]:
        with pytest.raises(UserError, match=expected):
            rank_runs(tmp_path / folder)
