import subprocess
import sys

import pytest

from melanoma_pl import evaluation


def test_every_name_is_there_and_listed_once():
    assert len(set(evaluation.__all__)) == len(evaluation.__all__) > 40
    for name in evaluation.__all__:
        assert getattr(evaluation, name) is not None
        assert name in dir(evaluation)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="auc"):
        evaluation.auc  # noqa: B018


def test_importing_the_package_loads_nothing_heavy():
    program = (
        "import sys; import melanoma_pl.evaluation;"
        "print([name for name in ('scipy', 'sklearn', 'torch', 'lightning') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
