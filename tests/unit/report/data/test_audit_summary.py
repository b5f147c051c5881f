"""The JSON file of an audit."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from tests.unit.report.data.audit_examples import NO_UTF8, empty_audit, full_audit, pair

from melanoma_pl.data.audit.findings import Audit
from melanoma_pl.report.data.audit_summary import audit_to_dict, relations, write_json


def test_the_file_contains_all_findings(tmp_path: Path) -> None:
    audit = full_audit(tmp_path)
    written = write_json(audit, tmp_path / "audits" / "images")
    assert written == tmp_path / "audits" / "images" / "audit.json"
    read = json.loads(written.read_text(encoding="utf-8"))
    assert read == json.loads(json.dumps(audit_to_dict(audit)))
    assert {field.name for field in fields(Audit)} < set(read)
    assert read["broken"][NO_UTF8] == "the file is empty"
    assert [len(read[name]) for name in ("pairs", "shortcuts", "label_conflicts", "clusters")] == [7, 4, 7, 2]


def test_the_summary_counts_the_findings(tmp_path: Path) -> None:
    summary = audit_to_dict(full_audit(tmp_path))["summary"]
    assert summary == {
        "is_clean": False,
        "leaks": 3,
        "shared_groups": 2,
        "leaking_test_images": 3,
        "conflicts": 1,
        "label_conflicts": 7,
        "pairs": 7,
        "clusters": 2,
        "broken": 2,
        "quarantine": 1,
    }
    clean = audit_to_dict(empty_audit(tmp_path))["summary"]
    assert clean.pop("is_clean") is True and set(clean.values()) == {0}


def test_relations_explain_the_counts(tmp_path: Path) -> None:
    third, fourth, other = "test/malignant/3.png", "test/malignant/4.png", "test/malignant/5.png"
    audit = empty_audit(
        tmp_path,
        pairs=(
            pair("train/malignant/1.png", third),
            pair("train/malignant/2.png", fourth, kind="lesion", similarity=None),
            pair(third, other),
            pair("train/benign/7.png", "train/benign/8.png"),
        ),
        shared_groups={"a": ("train/malignant/2.png", fourth)},
        group_column="lesion",
        leaking_test_images=(third, fourth, other),
        clusters=(("train/malignant/1.png", third, other), ("train/benign/7.png", "train/benign/8.png")),
    )
    images, groups, clusters = relations(audit)
    assert images == (
        "3 of 3 test images leak: 1 because the metadata has their lesion in another split, too, 1 because their "
        "pixels match an image of another split, 1 through another image of their split."
    )
    assert "2 groups of images" in groups and "knows 1 of them (1 lesion in two splits)" in groups
    assert groups.endswith("the other 1.")
    assert "of 2, 1 reach into two splits, and 1 stay within one" in clusters
    assert relations(empty_audit(tmp_path)) == []
    alone = replace(audit, leaking_test_images=(third,))
    assert relations(alone)[0] == ("1 of 3 test images leak, because their pixels match an image of another split."), (
        "one reason needs no count"
    )
    assert "metadata" not in " ".join(relations(replace(audit, shared_groups={}, group_column=None)))


def test_pairs_say_whether_they_leak(tmp_path: Path) -> None:
    audit = full_audit(tmp_path)
    pairs = audit_to_dict(audit)["pairs"]
    assert [(pair["is_leak"], pair["is_conflict"]) for pair in pairs] == [
        (pair.is_leak, pair.is_conflict) for pair in audit.pairs
    ]


def test_order_does_not_depend_on_the_order_of_finding(tmp_path: Path) -> None:
    orders = [dict(items) for items in ([("b", "x"), ("a", "y")], [("a", "y"), ("b", "x")])]
    texts = [write_json(empty_audit(tmp_path, broken=broken), tmp_path).read_bytes() for broken in orders]
    assert texts[0] == texts[1]


def test_the_old_file_stays_whole_when_writing_fails(tmp_path: Path) -> None:
    write_json(empty_audit(tmp_path), tmp_path)
    before = (tmp_path / "audit.json").read_bytes()
    with pytest.raises(TypeError):
        write_json(empty_audit(tmp_path, notes=(object(),)), tmp_path)
    assert (tmp_path / "audit.json").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["audit.json"]
