import subprocess
import sys

import pytest

from melanoma_pl import evaluation


def test_every_name_is_there_and_listed_once():
    assert sorted(evaluation._MODULES) == sorted(evaluation.__all__)
    for name in evaluation.__all__:
        assert getattr(evaluation, name) is not None
        assert name in dir(evaluation)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'auc'"):
        evaluation.auc  # noqa: B018


def test_importing_the_package_and_its_rules_loads_nothing_heavy():
    program = (
        "import sys; from melanoma_pl.evaluation import RULES, choose_threshold;"
        "print([name for name in ('scipy', 'sklearn', 'torch', 'lightning') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
