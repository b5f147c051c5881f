"""The reporting checklists: every item once, with a status and a fact, a request or a reason."""

import re
from dataclasses import replace

import pytest
from tests.unit.report.evaluation_examples import bare_content, full_content

from melanoma_pl.report.checklist import STATUSES, checklist, joined
from melanoma_pl.report.content import Content

PARTS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab", 27: "abc"}
TRIPOD = [f"{item}{part}" for item in range(1, 28) for part in PARTS.get(item, [""])]
CLEAR_DERM = [str(item) for item in range(1, 26)]
KNOWN = {
    "images": "mine",
    "split": "validation 20 % of train/",
    "audit": "no leak | found",
    "sizes": "train 480 (168 malignant), test 400 (140 malignant)",
    "preprocessing": "64 × 64 RGB pixels from 0 to 1",
}


@pytest.fixture(scope="module")
def content() -> Content:
    """A report on real images, of one network."""
    full = full_content()
    real = tuple(warning for warning in full.warnings if warning.kind != "synthetic")
    return replace(full, warnings=real, members=(), experiments=full.experiments[:1])


def items(text: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Return the items of both checklists: heading → number → status and text."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for name in ("TRIPOD+AI", "CLEAR Derm"):
        part = text.split(f"## {name}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| (\d+[a-g]?) \| (.+?) \| \**(.+?)\** \| (.+) \|$", part, flags=re.MULTILINE)
        assert len({number for number, *_ in rows}) == len(rows), "no item twice"
        assert len(rows) == len(re.findall(r"^\| \d", part, flags=re.MULTILINE)), "no row of another form"
        found[name] = {number: (status, words) for number, _, status, words in rows}
    return found


@pytest.mark.parametrize("known", [KNOWN, {}, KNOWN | {"drawn": "x"}, KNOWN | {"other images": "x"}])
def test_every_item_is_there_once_with_a_status(known: dict[str, str], content: Content) -> None:
    for one in (content, full_content(), bare_content()):
        text = checklist(one, known)
        tripod, clear_derm = items(text).values()
        assert list(tripod) == TRIPOD and len(TRIPOD) == 52
        assert list(clear_derm) == CLEAR_DERM
        for found in (tripod, clear_derm):
            statuses = [status for status, _ in found.values()]
            assert set(statuses) <= set(STATUSES)
            assert all(len(words) > 10 for _, words in found.values())
            counts = [statuses.count(status) for status in STATUSES]
            assert "{} filled, {} need a person, {} not applicable".format(*counts) in text
        assert "None" not in re.sub("None in this report", "", text)
        assert not re.search(r"<[a-z]", text), "names cannot be markup"


def test_facts_of_the_run_fill_items(content: Content) -> None:
    tripod, clear_derm = items(checklist(content, KNOWN)).values()
    assert tripod["12a"][0] == "filled" and "validation 20 % of train/" in tripod["12a"][1]
    assert "train 480 (168 malignant)" in tripod["21"][1] and "train 480 (168 malignant)" in clear_derm["11"][1]
    assert "AUROC 0.888" in tripod["23a"][1] and "355,269" in tripod["12c"][1]
    assert r"no leak \| found" in tripod["7"][1]
    assert tripod["20b"][0] == "filled" and "female (181, 62 malignant)" in tripod["20b"][1]
    assert clear_derm["8"] == (
        "filled",
        "skin tone, estimated from the border of the images; the counts are in the report.",
    )
    assert clear_derm["9"][0] == "filled" and "by AUROC" in clear_derm["9"][1]
    for number in ("17", "18a", "19", "25", "8a", "6b"):
        assert tripod[number][0] == "needs a person"


def test_what_the_run_does_not_know_is_not_filled() -> None:
    tripod, clear_derm = items(checklist(bare_content(), {})).values()
    for number in ("7", "12a", "12c", "14", "20b", "21", "22"):
        assert tripod[number][0] == "needs a person", number
    for number in ("7", "8", "9", "12", "15", "23"):
        assert clear_derm[number][0] == "needs a person", number
    assert clear_derm["5"][0] == "not applicable"


def test_facts_of_a_synthetic_run_say_so(content: Content) -> None:
    text = checklist(replace(content, subgroups=()), KNOWN | {"drawn": "x"})
    tripod, clear_derm = items(text).values()
    assert "**Synthetic images, drawn by a program." in text.split("## TRIPOD")[0]
    about_images = [tripod[number] for number in ("5a", "8a", "9b", "11", "12a", "13", "18e", "20a", "21", "23a")]
    about_images += [clear_derm[number] for number in ("1", "5", "9", "10", "11", "14", "16", "21")]
    for status, words in about_images:
        assert status == "filled" and "synthetic" in words.lower(), words
    for number in ("5b", "6a", "8b", "14", "17", "20b"):
        assert tripod[number][0] == "not applicable" and "synthetic" in tripod[number][1]
    assert clear_derm["18"][0] == "not applicable"


def test_real_images_of_a_network_that_learnt_from_drawn_ones_still_need_a_person(content: Content) -> None:
    text = checklist(content, KNOWN | {"drawn": "x", "other images": "x"})
    assert "The training images are synthetic" in text
    tripod, clear_derm = items(text).values()
    assert tripod["17"][0] == "needs a person" and tripod["16"][0] == "needs a person"
    assert clear_derm["12"][0] == "filled", "an external test"


def test_an_ensemble_names_the_facts_of_its_members() -> None:
    full = full_content()
    known = {f"split (<run {seed}>)": f"fold {seed}" for seed in range(3)}
    tripod, _ = items(checklist(replace(full, warnings=()), known)).values()
    assert "&lt;run 0&gt;: fold 0; &lt;run 1&gt;: fold 1" in tripod["12a"][1]
    assert "seed &lt;run 0&gt;: 0; &lt;run 1&gt;: 1" in tripod["12c"][1] and tripod["12c"][1].count("355,269") == 1
    assert "melanoma-evaluate" in tripod["12g"][1]


def test_texts_that_all_runs_share_are_told_once() -> None:
    assert joined({}) == ""
    assert joined({"a": "x", "b": "x"}) == "x"
    assert joined({"a": "x", "b": "y"}) == "a: x; b: y"


def test_the_file_says_what_was_not_checked(content: Content) -> None:
    text = checklist(content, KNOWN)
    assert "BMJ 2024;385:e078378" in text and "JAMA Dermatology 2022;158(1):90" in text
    assert "could not be compared with the publication" in text.split("## CLEAR Derm")[1]
