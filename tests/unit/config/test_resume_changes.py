"""Which differences between two configurations count."""

from pathlib import Path
from typing import Any

import pytest

from melanoma_pl.config.resume import OtherRunError, Resumption, check_same_run, differing_keys


def test_a_key_that_is_new_and_null_changes_nothing() -> None:
    assert differing_keys({"data": {"root": "a"}}, {"data": {"root": "a", "fold": None}}) == []
    assert differing_keys({"data": {"root": "a"}}, {"data": {"root": "a", "fold": 0}}) == ["data.fold"]
    assert differing_keys({"data": {"root": "a", "fold": 0}}, {"data": {"root": "a"}}) == ["data.fold"]


def test_sections_and_values() -> None:
    assert differing_keys({"a": {"b": 1}}, {"a": {"b": 2}}) == ["a.b"]
    assert differing_keys({"a": None}, {"a": {"b": 1}}) == ["a", "a.b"]
    assert differing_keys({"a": {"b": 1}}, {"a": {"b": 1}}) == []


def test_a_key_that_is_new_and_may_change_changes_nothing() -> None:
    assert differing_keys({"test": True}, {"test": True, "report": "page"}) == []
    assert differing_keys({"report": "page"}, {"report": "numbers"}) == ["report"]
    assert differing_keys({"data": {}}, {"data": {"cache_folder": "outputs/cache"}}) == []


def records(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two records whose configurations differ in some sections."""
    common: dict[str, Any] = {"data": {"root": "images"}, "seed": 0}
    one, two = ({**common, **changes} for changes in (before, after))
    return {"folder": "/", "composed": one, "config": one}, {"folder": "/", "composed": two, "config": two}


FOLDER = Path("outputs/run")


@pytest.mark.parametrize(("key", "old", "new"), [("seed", 0, 1), ("test", True, False)])
def test_without_resume_nothing_may_differ(key: str, old: Any, new: Any) -> None:
    with pytest.raises(OtherRunError, match=f"outputs/run holds a run with {key}={old}, not {new}"):
        check_same_run(*records({key: old}, {key: new}), FOLDER, None)
    assert check_same_run(*records({key: old}, {key: old}), FOLDER, None) == []


def test_with_resume_what_was_typed_may_change_if_it_may_change_at_all() -> None:
    typed = Resumption(("trainer.max_epochs=9",))
    changed = records({"trainer": {"max_epochs": 2}}, {"trainer": {"max_epochs": 9}})
    assert check_same_run(*changed, FOLDER, typed) == ["trainer.max_epochs"]
    with pytest.raises(OtherRunError, match="nobody typed it"):
        check_same_run(*changed, FOLDER, Resumption(("seed=0",)))
    with pytest.raises(OtherRunError, match="seed cannot change within a run"):
        check_same_run(*records({"seed": 0}, {"seed": 1}), FOLDER, Resumption(("seed=1",)))


def test_the_values_of_variables_count_but_not_the_folder() -> None:
    before, after = records({"lr": "${oc.env:LR}", "log": "${hydra:runtime.output_dir}"}, {})
    after["composed"] = before["composed"]
    before["config"] = before["config"] | {"lr": 0.1, "log": "/old"}
    after["config"] = before["config"] | {"lr": 0.1, "log": "/moved"}
    assert check_same_run(before, after, FOLDER, None) == []
    after["config"]["lr"] = 0.2
    with pytest.raises(OtherRunError, match="lr=0.1, not 0.2"):
        check_same_run(before, after, FOLDER, None)


def test_images_found_from_the_folder_of_the_start_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    before, after = records({}, {"data": {"root": str(tmp_path / "images")}})
    before["folder"] = str(tmp_path)
    assert check_same_run(before, after, FOLDER, Resumption(())) == []
