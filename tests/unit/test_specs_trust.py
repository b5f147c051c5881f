"""Modules that a checkpoint or a record names are not imported unless the user named them."""

import sys
from pathlib import Path

import pytest

from melanoma_pl.errors import UserError
from melanoma_pl.specs import check_targets

OWN = ["melanoma_pl.models.three_conv.ThreeConvNet", "torch.nn.Linear", "lightning.pytorch.callbacks.EarlyStopping"]


@pytest.mark.parametrize("name", OWN)
def test_classes_of_the_package_and_its_libraries_may_be_named(name: str) -> None:
    check_targets({"a": [{"_target_": name}]}, (), "the record")


@pytest.mark.parametrize("name", ["os.system", "numpy.load", "torchy.nn.Linear", "evil.Net", "Net", "builtins.print"])
def test_other_modules_are_refused_by_name(name: str) -> None:
    with pytest.raises(UserError, match=f"the record names _target_={name}"):
        check_targets({"callbacks": {"x": {"deep": [{"_target_": name}]}}}, (), "the record")


def test_a_named_module_stands_for_what_lies_in_it_and_for_nothing_else() -> None:
    for trust in (["my_parts"], "my_parts"):
        check_targets({"_target_": "my_parts.nets.Net"}, trust, "the record")
    with pytest.raises(UserError, match="trust=my_parts_too"):
        check_targets({"_target_": "my_parts_too.Net"}, ["my_parts"], "the record")


def test_nothing_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "never_imported.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError):
        check_targets({"_target_": "never_imported.Net"}, (), "the checkpoint")
    assert "never_imported" not in sys.modules
