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


def test_no_module_loads_torch_or_lightning_or_reads_files():
    program = """
import sys
from melanoma_pl import evaluation
from melanoma_pl.evaluation import decision, out_of_distribution, strata, weighted_metrics
for name in evaluation.__all__:
    getattr(evaluation, name)
foreign = ("torch", "torchvision", "lightning", "PIL", "hydra", "melanoma_pl.files", "melanoma_pl.image_files")
print([name for name in foreign if name in sys.modules])
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"
