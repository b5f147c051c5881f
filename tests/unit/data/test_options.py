"""The options of the data module: one set of defaults, checked at construction, shown by `help()`."""

import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from melanoma_pl.config.composition import conf_dir
from melanoma_pl.config.schema import DataSettings
from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.options import DataOptions
from melanoma_pl.errors import UserError

NOT_OF_THE_MODULE = {"root", "synthetic", "image_size", "normalisation", "colour_constancy"}


def test_defaults_are_those_of_the_configuration() -> None:
    files = [conf_dir() / "data" / f"{name}.yaml" for name in ("folder", "table")]
    values = {key: value for file in files for key, value in OmegaConf.load(file).items() if key != "defaults"}
    assert set(values) == set(DataOptions.model_fields) | NOT_OF_THE_MODULE == set(DataSettings.model_fields)
    configured = DataSettings.model_validate(OmegaConf.to_container(OmegaConf.create(values)))
    defaults = DataOptions()
    assert {name: getattr(configured, name) for name in DataOptions.model_fields} == dict(defaults)
    assert MoleDataModule("images").options == defaults


def test_every_option_is_commented_in_the_configuration_and_described() -> None:
    lines = [
        line for name in ("folder", "table") for line in (conf_dir() / f"data/{name}.yaml").read_text().splitlines()
    ]
    for name, field in DataOptions.model_fields.items():
        assert any(line.startswith(f"{name}:") and "#" in line for line in lines), name
        assert field.description, name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, ["data.batch_size=0", "greater than or equal to 1"]),
        ({"validation_fraction": 1.5}, ["data.validation_fraction=1.5", "less than 1"]),
        ({"on_broken": "ignore"}, ["data.on_broken=ignore", "'stop' or 'skip'"]),
        ({"num_workers": -1}, ["data.num_workers=-1", "'auto' or greater than or equal to 0"]),
        ({"class_names": ("a", "b", "c")}, ["data.class_names=[a, b, c]", "two classes"]),
        ({"class_names": ["malignant", "benign"]}, ["[malignant, benign]", "data.class_names=[benign,malignant]"]),
        ({"class_names": ["Melanoma", "other"]}, ["data.class_names=[other,Melanoma]"]),
        ({"class_names": ["other", "nevus"]}, ["data.class_names=[nevus,other]"]),
        ({"class_names": ["nevus", "Nevus"]}, ["two classes"]),
        ({"batchsize": 3}, ["data.batchsize", "did you mean 'batch_size'"]),
    ],
)
def test_wrong_options_are_refused_at_construction(options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        MoleDataModule("images", **options)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_signature_and_help_show_every_option() -> None:
    parameters = inspect.signature(MoleDataModule).parameters
    assert {name: parameters[name].default for name in DataOptions.model_fields} == dict(DataOptions())
    assert {"root", "preprocessing", "augmentation", "seed"} < set(parameters)
    text = pydoc.render_doc(MoleDataModule)
    assert all(str(field.description) in text for field in DataOptions.model_fields.values())


def test_a_subclass_has_a_signature_of_its_own() -> None:
    class Module(MoleDataModule):
        def __init__(self, root: Path) -> None:
            super().__init__(root, batch_size=3)

    assert list(inspect.signature(Module).parameters) == ["root"]
    assert Module(Path("images")).options.batch_size == 3


@pytest.mark.parametrize("module", ["options", "labelled_images", "metadata", "columns"])
def test_light_modules_import_neither_torch_nor_torchvision(module: str) -> None:
    code = f"import sys, melanoma_pl.data.{module}; print({{'torch', 'torchvision', 'sklearn'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
