"""The lines of a function, to be read beside its formula."""

import ast
import inspect
from collections.abc import Callable
from typing import Any


def code_of(*functions: Callable[..., Any]) -> str:
    """Return the source of functions without their docstrings, which a notebook's text takes the place of."""
    return "\n\n".join(_without_docstring(inspect.getsource(function)) for function in functions)


def _without_docstring(source: str) -> str:
    """Return one function's source without its docstring; comments stay."""
    definition = ast.parse(source).body[0]
    if not isinstance(definition, ast.FunctionDef) or ast.get_docstring(definition) is None:
        return source.rstrip()
    docstring, lines = definition.body[0], source.rstrip().splitlines()
    return "\n".join(lines[: docstring.lineno - 1] + lines[docstring.end_lineno :])
