"""The source of functions, printed without docstrings."""

from melanoma_pl.foundations import backpropagation, neurons
from melanoma_pl.foundations.display import code_of


def without_a_docstring():
    return 1  # kept


def test_the_docstring_is_gone_and_the_code_stays():
    lines = code_of(neurons.sigmoid).splitlines()
    assert lines == ["def sigmoid(z: Tensor) -> Tensor:", "    return 1 / (1 + torch.exp(-z))"]


def test_comments_stay_and_functions_follow_one_another():
    code = code_of(backpropagation.cost_gradient, without_a_docstring)
    assert "# step 4" in code
    assert '"""' not in code
    assert code.endswith("return 1  # kept")
