"""Which differences between two configurations count."""

from melanoma_pl.config.resume import differing_keys


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
