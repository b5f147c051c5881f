"""Words of commands: the shell and Hydra read back what was meant."""

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from melanoma_pl.config.composition import compose_config
from melanoma_pl.messages import class_word, hydra_word

ODD = [
    "/my images (1)", "a,b", "a=b", "Fotos für Ärzte", "~/images", 'a"b', "it's", "back\\slash", "end\\",
    'a\\"b', "a\\\\b",
    "a${b}", "$HOME", "[a]", "{a: b}", "a#b", "null", "True", "2024", "1e3", "nan", "", " a ", "a;b&c|d>e",
    "`a`", "!a", "-x",
]  # fmt: skip


@pytest.mark.parametrize("value", ["/images/a-b_c.d/1", "../x", *ODD])
def test_the_shell_and_hydra_read_the_value_as_it_is(value: str) -> None:
    (word,) = shlex.split(hydra_word("data.root", value))
    override = OverridesParser.create().parse_override(word)
    assert override.key_or_group == "data.root"
    assert OmegaConf.create({"root": override.value()}).root == value


def test_plain_values_stay_bare() -> None:
    assert hydra_word("data.root", "/images/a-b_c.d/1") == "data.root=/images/a-b_c.d/1"
    assert hydra_word("data.root", "/my images (1)") == """'data.root="/my images (1)"'"""


NAMES = [
    "bcc",
    "basal cell",
    "a-b",
    "1",
    "true",
    "nan",
    "b(1)",
    "a.b",
    "a,b",
    "a=b",
    "a:b",
    "a+b",
    "[x] {y}",
    "1a",
    "a/b",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_class_is_named(name: str) -> None:
    word = class_word(name, "malignant")
    assert word is not None
    names = compose_config("train", ["data=folder", *shlex.split(word)], None).data.folder_names
    assert names[name] == "malignant"
    assert names["nevus"] == "benign", "the names that training knows stay"


@pytest.mark.parametrize("name", ["", "nævus", " a", "007", "1.5", "a'b", 'a"b', "a\\b", "a\nb", "a<b"])
def test_what_hydra_has_no_words_for(name: str) -> None:
    assert class_word(name, "malignant") is None


def test_a_placeholder_is_quoted_for_the_shell() -> None:
    assert class_word("bcc", "<class>") == "'+data.folder_names.bcc=<class>'"
    assert class_word("basal cell", "<class>") == r"'+data.folder_names={basal\ cell: <class>}'"
