"""Specs: a class and its options as plain values, `{"_target_": "package.module.Class", **options}`. Light.

The form is Hydra's, so that a YAML file can name any class. But only plain values enter a checkpoint, and only classes
of the expected kind are called.
"""

import importlib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from melanoma_pl.errors import UserError, did_you_mean

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
TARGET = "_target_"
UNION_BRANCHES = {"int", "float", "constrained", "literal", "str", "dict", "bool"}  # pydantic's names in a location


def find_class(name: str, base: type[T]) -> type[T]:
    """Import a class by its dotted name.

    Raises:
        UserError: If it cannot be imported or is not a subclass of `base`.
    """
    module_name, _, class_name = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"_target_={name} cannot be imported ({error})", "is its package installed?") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise UserError(f"_target_={name} is not a {base.__name__}", f"name a subclass of {base.__name__}")
    return found


def build(spec: Mapping[str, Any], base: type[T], *arguments: Any) -> T:
    """Return the object that a spec describes.

    Args:
        spec: The class and its options.
        base: A class that it must be a subclass of.
        *arguments: Positional arguments, which come before the options.

    Raises:
        UserError: If the class cannot be found or does not take these options.
    """
    options = {key: value for key, value in spec.items() if key != TARGET}
    if TARGET not in spec:
        raise UserError(f"{dict(spec)} names no class", f"add _target_=<a subclass of {base.__name__}>")
    found = find_class(str(spec[TARGET]), base)
    try:
        return found(*arguments, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{found.__name__} does not take {options} ({error})") from error


def name_of(kind: type) -> str:
    """Return the dotted name with which `find_class` finds a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def validated(kind: type[Model], values: Mapping[str, Any], prefix: str = "") -> Model:
    """Return the settings that plain values describe.

    Args:
        kind: A pydantic model.
        values: Its fields.
        prefix: The start of each key in errors, such as `data.`.

    Raises:
        UserError: If a key is unknown or a value not allowed. The message names the key, the value and what is allowed.
    """
    for name in values:
        if name not in kind.model_fields and kind.model_config.get("extra") == "forbid":
            raise UserError(f"there is no key {prefix}{name}", did_you_mean(name, kind.model_fields))
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(_explain(error, prefix)) from error


def _explain(error: ValidationError, prefix: str) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error" and not first["loc"]:  # raised by a check of several keys
        return str(first["ctx"]["error"])
    parts = [str(part) for part in first["loc"] if str(part).isidentifier() and str(part) not in UNION_BRANCHES]
    problems = {
        problem["msg"].replace("Input should be ", "")
        for problem in error.errors()
        if problem["loc"][:1] == first["loc"][:1]
    }
    allowed = " or ".join(sorted(problem[0].lower() + problem[1:] for problem in problems))
    return f"{prefix}{'.'.join(parts)}={first['input']} is not allowed: it should be {allowed}"
